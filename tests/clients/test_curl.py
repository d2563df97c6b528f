"""``docs/clients/curl.sh`` as it stands, and what else curl shows of EVA's HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.clients.node import SNIPPETS
from tests.clients.place import (
    ANSWER,
    QUESTION,
    RATE_HZ,
    SAID,
    WAIT_S,
    Place,
    ended,
    hears,
    hears_file,
    question,
)
from tests.clients.wires import BIG
from tests.fakes.provider import Call, Reply

pytestmark = [
    pytest.mark.process,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here"),
]
STORY = tuple(f" number {count} is a very nice one, I think." for count in range(1, 60))
BODY = ("-H", "content-type: application/json", "-d")


def command(place: Place, path: str) -> list[str]:
    return ["curl", "-sS", "-N", "-H", f"Authorization: Bearer {place.key}", f"{place.url}{path}"]


async def curl(place: Place, folder: Path, path: str, *arguments: str) -> str:
    return await place.run(folder, *command(place, path), *arguments)


@pytest.mark.compatible("curl", "transcription", "speech", "chat", "chat with audio")
async def test_every_endpoint_answers_the_script(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    said = await place.run(tmp_path, "sh", str(SNIPPETS / "curl.sh"), str(question(tmp_path)))
    models, *middle, secret = said.splitlines()
    assert "eva" in {model["id"] for model in json.loads(models)["data"]}
    assert QUESTION in "\n".join(middle)
    assert middle[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(line.removeprefix("data: ")) for line in middle if line.startswith("data: {")]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == ANSWER
    assert QUESTION in (tmp_path / "question.srt").read_text()
    assert (tmp_path / "spoken.mp3").read_bytes()[:2] in {b"ID", b"\xff\xfb", b"\xff\xf3"}
    hears((tmp_path / "spoken.pcm").read_bytes())
    audio = json.loads((tmp_path / "answer.json").read_text())["choices"][0]["message"]["audio"]
    (tmp_path / "answer.wav").write_bytes(base64.b64decode(audio["data"]))
    hears_file(tmp_path / "answer.wav")
    assert audio["transcript"] == ANSWER
    assert json.loads(secret)["value"].startswith("ek_")


@pytest.mark.compatible("curl", "streaming sound")
async def test_sound_of_an_answer_comes_before_it_has_been_made(place: Place, tmp_path: Path) -> None:
    place.will(Reply(tokens=STORY, stall_after=4))
    body = {
        "model": "gpt-audio", "stream": True, "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "pcm16"},
        "messages": [{"role": "user", "content": "Tell me a story."}],
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command(place, "/chat/completions"), *BODY, json.dumps(body), cwd=tmp_path, stdout=PIPE, limit=BIG
    )
    assert process.stdout is not None
    sound = b""
    try:
        async with asyncio.timeout(WAIT_S):
            while len(sound) < RATE_HZ * 2:  # of one second
                line = (await process.stdout.readline()).decode()
                assert line
                if line.startswith("data: {"):
                    audio = json.loads(line[6:])["choices"][0]["delta"].get("audio") or {}
                    sound += base64.b64decode(audio.get("data") or "")
    finally:
        await ended(process)
    hears(sound)


@pytest.mark.compatible("curl", "tools")
async def test_a_function_is_asked_for(place: Place, tmp_path: Path) -> None:
    place.will(Reply(tokens=(), calls=(Call(name="look", arguments='{"at": "the sky"}', id="c"),)), SAID)
    look = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
    asked = {"role": "user", "content": "What colour is the sky?"}
    body = {"model": "eva", "messages": [asked], "tools": [{"type": "function", "function": look}]}
    answer = json.loads(await curl(place, tmp_path, "/chat/completions", *BODY, json.dumps(body)))
    message = answer["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"at": "the sky"}
    body["messages"] = [asked, message, {"role": "tool", "tool_call_id": call["id"], "content": "blue"}]
    answer = json.loads(await curl(place, tmp_path, "/chat/completions", *BODY, json.dumps(body)))
    assert answer["choices"][0]["message"]["content"] == ANSWER
    assert place.told[-1] == ("tool", "blue")


@pytest.mark.compatible("curl", "errors")
async def test_a_mistake_has_its_status_and_names_the_field(place: Place, tmp_path: Path) -> None:
    body = {"model": "eva", "messages": []}
    said = await curl(place, tmp_path, "/chat/completions", *BODY, json.dumps(body), "-w", "\n%{http_code}")
    answer, _, status = said.rpartition("\n")
    assert (status, json.loads(answer)["error"]["param"]) == ("400", "messages")
