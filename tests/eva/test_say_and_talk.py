import json
import wave
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection

from eva.chat_client import NotRunning, SocketLost, socket_url
from eva.line import NoAnswer
from eva.place import free_port
from eva.say import SayOptions, say
from eva.talk import NoMicrophone, TalkOptions, talk
from eva.wav import wav_bytes
from services.gateway.chat_protocol import ErrorEvent, Interrupted, Token, TurnStarted
from shared.errors import BadInput
from tests.fakes.eva_gateway import (
    TIMELINE,
    ScriptedGateway,
    answer_mutely,
    answer_well,
    close_at_once,
    speak_in_riddles,
    tell,
)


def spoken_file(path: Path, *, rate_hz: int = 16000, channels: int = 1) -> Path:
    speech = (np.sin(np.arange(rate_hz // 2) / 5) * 9000).astype("<i2").tobytes()
    path.write_bytes(wav_bytes(rate_hz, *[speech] * channels))
    return path


async def test_a_typed_turn_prints_the_text_writes_the_sound_and_shows_the_strip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = ScriptedGateway(answer_well)
    async with gateway.listening() as url:
        wish = SayOptions(text="Hi!", url=url, out=tmp_path / "reply.wav", voice="amy", session="s9")
        assert await say(wish) == 0
    shown = capsys.readouterr()
    assert shown.out == "Hello there.\n"
    assert "llm 3 · tts 21 · send 1 → 25 ms" in shown.err
    assert "way groq:fast: queue 1 · first token 2 · first segment 3 ms\n" in shown.err
    assert "mind companion · voice espeak (cpu)" in shown.err
    assert (gateway.starts[0].voice, gateway.starts[0].session_id) == ("amy", "s9")
    assert gateway.typed[0].text == "Hi!"
    with wave.open(str(tmp_path / "reply.wav")) as wav:
        assert (wav.getframerate(), wav.getnframes()) == (24000, 2400)


async def test_json_is_one_value_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with ScriptedGateway(answer_well).listening() as url:
        assert await say(SayOptions(text="Hi!", url=url, is_json=True)) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["text"], said["heard"], said["has_audio"], said["session_id"]) == (
        "Hello there.",
        "Hi!",
        True,
        "s1",
    )
    assert said["timeline"]["response_ms"] == 25
    assert (said["route"]["route"], said["route"]["first_segment_ms"]) == ("groq:fast", 3)


async def test_text_alone_asks_for_no_sound(capsys: pytest.CaptureFixture[str]) -> None:
    gateway = ScriptedGateway(answer_mutely)
    async with gateway.listening() as url:
        assert await say(SayOptions(text="Hi!", url=url, with_audio=False)) == 0
    assert gateway.starts[0].audio_out is None
    assert not gateway.typed[0].include_audio


async def test_a_mute_answer_is_a_failure_whatever_it_claims(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ScriptedGateway(answer_mutely).listening() as url:
        assert await say(SayOptions(text="Hi!", url=url, out=tmp_path / "reply.wav")) == 1
    assert "without audible sound" in capsys.readouterr().err


async def test_a_turn_that_failed_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail(socket: ServerConnection, _said: str) -> None:
        await tell(socket, TurnStarted(turn_id="t1", is_spoken=False))
        await tell(socket, Token(turn_id="t1", text="Well"))
        await tell(socket, ErrorEvent(code="engine_failed", message="the mind is gone", turn_id="t1"))

    async with ScriptedGateway(fail).listening() as url:
        assert await say(SayOptions(text="Hi!", url=url, is_json=True)) == 1
    assert "the turn failed: the mind is gone" in capsys.readouterr().err


async def test_an_answer_that_was_begun_anew_is_shown_on_a_new_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def again(socket: ServerConnection, said: str) -> None:
        await tell(socket, Token(turn_id="t1", text="Good evening"))
        await answer_well(socket, said)

    async with ScriptedGateway(again).listening() as url:
        assert await say(SayOptions(text="Hi!", url=url, with_audio=False)) == 0
    assert capsys.readouterr().out == "Good evening\nHello there.\n"


async def test_a_conversation_that_is_refused_says_why() -> None:
    refusal = ErrorEvent(code="busy", message="too many conversations")
    async with ScriptedGateway(answer_well, refuse=refusal).listening() as url:
        with pytest.raises(SocketLost, match="too many conversations"):
            await say(SayOptions(text="Hi!", url=url, is_json=True))


async def test_an_error_instead_of_a_turn_ends_the_wait() -> None:
    async def refuse(socket: ServerConnection, _said: str) -> None:
        await tell(socket, ErrorEvent(code="invalid_request", message="the message is too long"))

    async with ScriptedGateway(refuse).listening() as url:
        with pytest.raises(NoAnswer, match="too long"):
            await say(SayOptions(text="Hi!", url=url, is_json=True))


async def test_a_gateway_that_goes_away_in_mid_turn_is_named() -> None:
    async with ScriptedGateway(close_at_once).listening() as url:
        with pytest.raises(SocketLost, match="1012 draining"):
            await say(SayOptions(text="Hi!", url=url, is_json=True))


async def test_what_is_no_event_is_an_error_of_its_own() -> None:
    async with ScriptedGateway(speak_in_riddles).listening() as url:
        with pytest.raises(SocketLost, match="does not understand"):
            await say(SayOptions(text="Hi!", url=url, is_json=True))


async def test_no_eva_at_all_is_one_line_with_the_command_that_starts_it() -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1', 0)}"
    with pytest.raises(NotRunning, match="start it with `make run` or `eva up`"):
        await say(SayOptions(text="Hi!", url=url, is_json=True))


@pytest.mark.parametrize(
    ("rate_hz", "channels", "sent_hz"), [(16000, 1, 16000), (44100, 2, 44100), (11025, 1, 16000)]
)
async def test_a_file_is_spoken_in_real_time_and_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rate_hz: int, channels: int, sent_hz: int
) -> None:
    gateway = ScriptedGateway(answer_well)
    wav = spoken_file(tmp_path / "in.wav", rate_hz=rate_hz, channels=channels)
    async with gateway.listening() as url:
        assert await talk(TalkOptions(url=url, wav=wav, out=tmp_path / "out.wav", language="en")) == 0
    shown = capsys.readouterr()
    assert shown.out == "You: good morning\nEVA: Hello there.\n"
    assert "… good" in shown.err
    assert "  way groq:fast: queue 1 · first token 2 · first segment 3 ms\n" in shown.err
    assert gateway.starts[0].audio_in is not None
    assert (gateway.starts[0].audio_in.rate_hz, gateway.starts[0].language) == (sent_hz, "en")
    assert 25 + 10 <= gateway.frames <= 25 + 40
    with wave.open(str(tmp_path / "out.wav")) as out:
        assert out.getnframes() > 2400


async def test_a_spoken_conversation_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with ScriptedGateway(answer_well).listening() as url:
        assert await talk(TalkOptions(url=url, wav=spoken_file(tmp_path / "in.wav"), is_json=True)) == 0
    (turn,) = json.loads(capsys.readouterr().out)["turns"]
    assert (turn["heard"], turn["text"]) == ("good morning", "Hello there.")


async def test_a_mute_answer_to_speech_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ScriptedGateway(answer_mutely).listening() as url:
        assert await talk(TalkOptions(url=url, wav=spoken_file(tmp_path / "in.wav"))) == 1
    assert "without audible sound" in capsys.readouterr().err


async def test_an_answer_that_gave_way_to_the_rest_of_the_tape_is_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def twice(socket: ServerConnection, said: str) -> None:
        await tell(socket, TurnStarted(turn_id="t0", is_spoken=True))
        await tell(socket, Interrupted(turn_id="t0", reason="speech", heard="", timeline=TIMELINE))
        await answer_well(socket, said)

    async with ScriptedGateway(twice).listening() as url:
        assert await talk(TalkOptions(url=url, wav=spoken_file(tmp_path / "in.wav"))) == 0
    assert "in.wav goes on behind a pause: an answer gave way to it" in capsys.readouterr().err


async def test_an_answer_that_was_interrupted_at_the_end_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def cut(socket: ServerConnection, _said: str) -> None:
        await tell(socket, TurnStarted(turn_id="t1", is_spoken=True))
        await tell(socket, Interrupted(turn_id="t1", reason="client", heard="", timeline=TIMELINE))

    async with ScriptedGateway(cut).listening() as url:
        assert await talk(TalkOptions(url=url, wav=spoken_file(tmp_path / "in.wav"))) == 1
    assert "the turn was interrupted" in capsys.readouterr().err


async def test_silence_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(wav_bytes(16000, bytes(3200)))
    async with ScriptedGateway(answer_well).listening() as url:
        with pytest.raises(ExceptionGroup) as caught:
            await talk(TalkOptions(url=url, wav=tmp_path / "in.wav"))
    assert caught.group_contains(NoAnswer, match="no speech was heard")


async def test_no_microphone_and_no_file_is_one_line() -> None:
    with pytest.raises(NoMicrophone, match="--wav FILE"):
        await talk(TalkOptions(url="http://127.0.0.1:9"))


async def test_a_file_that_is_no_sound_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_text("nothing")
    with pytest.raises(BadInput, match=r"in\.wav"):
        await talk(TalkOptions(url="http://127.0.0.1:9", wav=tmp_path / "in.wav"))


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://box:8000", "ws://box:8000/ws/chat"),
        ("https://box/", "wss://box/ws/chat"),
        ("box:8000", "ws://box:8000/ws/chat"),
    ],
)
def test_the_socket_lies_where_eva_is(url: str, wanted: str) -> None:
    assert socket_url(url) == wanted
