"""The Python snippets of ``docs/clients``, as they stand, against a real EVA."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.place import ANSWER, QUESTION, SAID, Place, hears_file, question
from tests.fakes.provider import Call, Reply

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.compatible("openai-python", "transcription", "speech", "chat", "chat with audio")
async def test_a_recording_is_heard_answered_and_spoken_over_http(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    said = await place.python(tmp_path, "openai_http.py", str(question(tmp_path)))
    assert said.splitlines() == [f"you: {QUESTION}", f"eva: {ANSWER}", f"eva: {ANSWER}"]
    hears_file(tmp_path / "spoken.wav")
    hears_file(tmp_path / "answer.wav")
    assert place.told == [("user", QUESTION)]


@pytest.mark.compatible("openai-python", "typed turn")
async def test_a_typed_turn_is_spoken(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    assert await place.python(tmp_path, "openai_realtime.py", "What time is it?") == f"{ANSWER}\n"
    hears_file(tmp_path / "answer.wav")
    assert place.told == [("user", "What time is it?")]


@pytest.mark.compatible("openai-agents", "typed turn", "tools")
async def test_an_agent_uses_its_tool_and_speaks(place: Place, tmp_path: Path) -> None:
    call = Call(name="sky", arguments='{"place": "Paris"}', id="call_1")
    place.will(Reply(tokens=(), calls=(call,)), SAID)
    asked = "What colour is the sky in Paris?"
    assert await place.python(tmp_path, "agents_realtime.py", asked) == "tool: The sky over Paris is blue.\n"
    hears_file(tmp_path / "answer.wav")
    assert (place.told[0], place.told[-1]) == (("user", asked), ("tool", "The sky over Paris is blue."))


@pytest.mark.compatible("websockets", "spoken turn")
async def test_a_recording_is_spoken_to_eva_over_a_plain_socket(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    said = await place.python(tmp_path, "plain_websockets.py", str(question(tmp_path)))
    assert sorted(said.splitlines()) == [f"eva: {ANSWER}", f"you: {QUESTION}"]
    hears_file(tmp_path / "answer.wav")
    assert place.told == [("user", QUESTION)]
