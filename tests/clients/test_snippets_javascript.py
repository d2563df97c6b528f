"""The JavaScript snippets of ``docs/clients``, as they stand, in Node, against a real EVA."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.node import needs_node, workplace
from tests.clients.place import ANSWER, QUESTION, SAID, Place, hears, hears_file, question
from tests.fakes.provider import Call, Reply

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session"), needs_node]


HTTP = ("transcription", "speech", "chat", "chat with audio")


@pytest.mark.parametrize(
    ("script", "has_packages"),
    [
        pytest.param("openai_http.mjs", True, marks=pytest.mark.compatible("openai-node", *HTTP)),
        pytest.param("plain_http.mjs", False, marks=pytest.mark.compatible("plain JavaScript", *HTTP)),
    ],
)
async def test_a_recording_is_heard_answered_and_spoken_over_http(
    place: Place, tmp_path: Path, script: str, *, has_packages: bool
) -> None:
    folder = workplace(tmp_path, has_packages=has_packages)
    place.will(SAID)
    said = await place.node(folder, script, str(question(folder)))
    assert said.splitlines() == [f"you: {QUESTION}", f"eva: {ANSWER}", f"eva: {ANSWER}"]
    hears_file(folder / "spoken.wav")
    hears_file(folder / "answer.wav")
    assert place.told == [("user", QUESTION)]


@pytest.mark.compatible("openai-node", "typed turn")
async def test_a_typed_turn_is_spoken_to_the_stock_client(place: Place, tmp_path: Path) -> None:
    folder = workplace(tmp_path, has_packages=True)
    place.will(SAID)
    assert await place.node(folder, "openai_realtime.mjs", "What time is it?") == f"eva: {ANSWER}\n"
    hears((folder / "answer.pcm").read_bytes())
    assert place.told == [("user", "What time is it?")]


@pytest.mark.compatible("@openai/agents-realtime", "typed turn", "tools")
async def test_an_agent_uses_its_tool_and_speaks(place: Place, tmp_path: Path) -> None:
    folder = workplace(tmp_path, has_packages=True)
    call = Call(name="sky", arguments='{"place": "Paris"}', id="call_1")
    place.will(Reply(tokens=(), calls=(call,)), SAID)
    asked = "What colour is the sky in Paris?"
    said = await place.node(folder, "agents_realtime.mjs", asked)
    assert said == f"tool: The sky over Paris is blue.\neva: {ANSWER}\n"
    hears((folder / "answer.pcm").read_bytes())
    assert (place.told[0], place.told[-1]) == (("user", asked), ("tool", "The sky over Paris is blue."))
