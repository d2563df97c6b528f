"""A sink whose client may be gone: what it is told then, and what of that when it is back."""

from __future__ import annotations

from services.gateway.chat_protocol import AudioEvent, ErrorEvent, Pong, Timeline, TurnDone, TurnStarted
from services.gateway.parked import Unsent, Wire
from tests.gateway.rig import Leaving

SOUND = AudioEvent(turn_id="s-1", segment=0, seq=0, format="pcm", rate_hz=8000, duration_ms=1.0, size_bytes=2)


def done(turn_id: str) -> TurnDone:
    return TurnDone(turn_id=turn_id, text="", has_audio=False, timeline=Timeline(), engines={})


class Late(Leaving):
    """Had not sent everything."""

    def leave(self, because: ErrorEvent | None) -> Unsent:
        return Unsent([done("s-0"), Pong(), SOUND], super().leave(because).audio_ms + 7.0)


def test_while_somebody_is_there_all_is_sent() -> None:
    client = Leaving()
    wire = Wire(client)
    wire.emit(SOUND, b"ab")
    wire.drop_audio("s-1")
    assert (client.events, client.payloads, client.dropped) == ([SOUND], [b"ab"], ["s-1"])


def test_what_ended_while_nobody_was_there_is_told_once_in_order() -> None:
    wire = Wire(Late())
    assert wire.leave() == 7.0
    assert wire.leave() == 0.0, "nobody is there any more"
    for event in (TurnStarted(turn_id="s-1", is_spoken=True), SOUND, done("s-1"), Pong()):
        wire.emit(event, b"ab" if event is SOUND else b"")
    wire.drop_audio("s-1")
    client = Leaving()
    wire.join(client)
    wire.tell_missed(None)
    wire.tell_missed(None)
    assert client.events == [done("s-0"), TurnStarted(turn_id="s-1", is_spoken=True), done("s-1")]


def test_the_beginning_and_the_end_of_a_turn_that_goes_on_are_told_by_itself() -> None:
    wire = Wire(Late())
    wire.leave()
    failed = ErrorEvent(code="broken", message="")
    for event in (TurnStarted(turn_id="s-1", is_spoken=True), done("s-1"), failed):
        wire.emit(event)
    client = Leaving()
    wire.join(client)
    wire.tell_missed("s-1")
    assert client.events == [done("s-0"), failed]
