"""What the turn machine says is to be done, as the session reads it."""

import msgspec

from services.gateway.chat_protocol import Pong
from services.gateway.turn_actions import Emit, EmitAudio, playing
from shared.messages import AudioChunk

CHUNK = AudioChunk(
    turn=3,
    attempt=2,
    segment=1,
    take=4,
    seq=0,
    start=0,
    samples=1,
    rate_hz=8000,
    codec="pcm",
    level=0.3,
    data=b"ab",
)
PLAYED = EmitAudio(turn=3, chunk=CHUNK)


def test_sound_that_was_played_and_did_nothing_else_is_known_by_its_take() -> None:
    follows = msgspec.structs.replace(CHUNK, seq=1, start=1)
    assert playing(CHUNK, [PLAYED]) == playing(follows, [PLAYED]) == (3, 2, 1, 4)
    assert playing(msgspec.structs.replace(CHUNK, take=5), [PLAYED]) != playing(CHUNK, [PLAYED])


def test_whatever_else_has_happened_is_no_sound_that_goes_on() -> None:
    told = Emit(event=Pong(id=1))
    assert playing(CHUNK, []) is None
    assert playing(CHUNK, [told]) is None
    assert playing(CHUNK, [told, PLAYED]) is None
    assert playing(object(), [PLAYED]) is None
