"""``@openai/agents-realtime`` in Node, through its ``RealtimeSession``, against a real EVA."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.gateway.realtime import formats
from services.gateway.realtime.session_types import Pcmu
from shared.audio import from_pcm16
from tests.clients.node import flags, needs_node, workplace
from tests.clients.place import ANSWER, QUESTION, RATE_HZ, SAID, WAIT_S, Place, ended
from tests.clients.wires import BIG, FRAME_S
from tests.e2e.talker import is_audible
from tests.fakes.provider import Call, Reply
from tests.fakes.speech import Pcm, resampled, silence, speech

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session"), needs_node]
CLIENT = "@openai/agents-realtime"
STORY = tuple(f" number {count} is a very nice one, I think." for count in range(1, 60))


@dataclass
class Talk:
    """What the session told so far: pairs of a name and a value."""

    process: Process
    told: list[tuple[str, Any]] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _is_closed: bool = False

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._news:
                what, value = json.loads(line)
                self.told.append((what, value))
                self._news.notify_all()
        async with self._news:
            self._is_closed = True
            self._news.notify_all()

    def of(self, what: str) -> list[Any]:
        return [value for name, value in self.told if name == what]

    def frames(self, kind: str) -> list[dict[str, Any]]:
        """The frames of a type that passed the package's checks."""
        return [frame for frame in self.of("frame") if frame["type"] == kind]

    async def until(self, holds: Any) -> None:
        """Waits until something is so."""
        try:
            async with self._news, asyncio.timeout(WAIT_S):
                await self._news.wait_for(lambda: holds() or self._is_closed)
        except TimeoutError:
            raise AssertionError(str([pair for pair in self.told if pair[0] != "audio"])[-3000:]) from None
        assert holds(), "the process has ended"

    async def do(self, what: str, value: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([what, value]).encode() + b"\n")
        await self.process.stdin.drain()

    async def say(self, pcm: Pcm, *, is_mulaw: bool = False) -> None:
        """Speaks (16 kHz) in frames of 20 ms as time goes, then is silent."""
        rate_hz = 8000 if is_mulaw else RATE_HZ
        sound = resampled(np.concatenate([pcm, silence(1.5)]), 16000, rate_hz)
        due_s, size = time.monotonic(), int(rate_hz * FRAME_S)
        for start in range(0, len(sound), size):
            data = sound[start : start + size].astype("<i2").tobytes()
            data = formats.compress(Pcmu(), data) if is_mulaw else data
            await self.do("audio", base64.b64encode(data).decode())
            due_s += FRAME_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    def sound(self) -> bytes:
        return b"".join(base64.b64decode(data) for data in self.of("audio"))

    def remembers(self, *history: tuple[str, str]) -> bool:
        """Whether its history holds these, in this order and nothing else."""
        return bool(self.of("history")) and [tuple(pair) for pair in self.of("history")[-1]] == list(history)


@contextlib.asynccontextmanager
async def talk(place: Place, folder: Path, **config: Any) -> AsyncIterator[Talk]:
    """A session; at the end there must have been no error that a test has not asked for."""
    process = await asyncio.create_subprocess_exec(
        "node", *flags(), "agents.mjs", json.dumps(config), cwd=workplace(folder, has_packages=True),
        env=place.environment(), stdin=PIPE, stdout=PIPE, limit=BIG,
    )  # fmt: skip
    talking = Talk(process)
    listening = asyncio.create_task(talking.listen())
    try:
        await talking.until(lambda: talking.of("connected"))
        yield talking
    finally:
        await ended(process)
        await listening


@pytest.mark.compatible(CLIENT, "typed turn", "streaming sound")
async def test_a_typed_turn_is_heard_while_it_is_made_and_stands_in_the_history(
    place: Place, tmp_path: Path
) -> None:
    place.will(SAID)
    async with talk(place, tmp_path) as person:
        await person.do("message", "What time is it?")
        await person.until(lambda: person.remembers(("user", "What time is it?"), ("assistant", ANSWER)))
        assert is_audible(from_pcm16(person.sound()))
        await person.until(lambda: ANSWER in person.of("end"))
        place.will(Reply(tokens=STORY, stall_after=4))
        heard = len(person.of("audio"))
        await person.do("message", "Tell me a story.")
        await person.until(lambda: len(person.of("audio")) > heard)
        assert len(person.frames("response.done")) == 1
        assert not person.of("error")


@pytest.mark.compatible(CLIENT, "spoken turn")
async def test_a_spoken_turn_is_written_into_the_history(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    async with talk(place, tmp_path) as person:
        await person.say(speech(QUESTION))
        await person.until(lambda: person.remembers(("user", QUESTION), ("assistant", ANSWER)))
        assert not person.of("error")


@pytest.mark.compatible(CLIENT, "tools")
async def test_a_tool_of_the_agent_is_run_and_its_result_spoken(place: Place, tmp_path: Path) -> None:
    call = Call(name="sky", arguments='{"place": "Paris"}', id="call_1")
    place.will(Reply(tokens=(), calls=(call,)), SAID)
    async with talk(place, tmp_path, tools=True) as person:
        await person.do("message", "What colour is the sky?")
        await person.until(lambda: person.of("tool") == ["blue over Paris"])
        await person.until(lambda: ANSWER in person.of("end"))
        assert place.told[-1] == ("tool", "blue over Paris")
        assert not person.of("error")


@pytest.mark.compatible(CLIENT, "barge-in", "truncation")
async def test_who_speaks_into_the_answer_interrupts_it_and_it_is_cut(place: Place, tmp_path: Path) -> None:
    place.will(Reply(tokens=STORY, delay_s=0.1), SAID)
    async with talk(place, tmp_path) as person:
        await person.do("message", "Tell me a long story.")
        await person.until(lambda: person.of("audio"))
        await person.say(np.concatenate([silence(1.5), speech(QUESTION)]))
        await person.until(lambda: person.of("interrupted"))
        await person.until(lambda: person.frames("conversation.item.truncated"))
        await person.until(lambda: len(person.frames("response.done")) >= 2)
        first, second = (frame["response"] for frame in person.frames("response.done")[:2])
        assert (first["status"], first["status_details"]["reason"]) == ("cancelled", "turn_detected")
        assert second["status"] == "completed"
        assert not person.of("error")


@pytest.mark.compatible(CLIENT, "errors")
async def test_a_mistake_is_an_error_of_the_session_which_goes_on(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    async with talk(place, tmp_path) as person:
        await person.do("event", {"type": "conversation.item.delete", "item_id": "none", "event_id": "bad"})
        await person.until(lambda: person.of("error"))
        assert "bad" in json.dumps(person.of("error"))
        await person.do("message", "What time is it?")
        await person.until(lambda: ANSWER in person.of("end"))


@pytest.mark.compatible(CLIENT, "text only", "out of band")
async def test_an_answer_in_text_and_one_beside_the_conversation(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    async with talk(place, tmp_path, outputModalities=["text"]) as person:
        await person.do("message", "What time is it?")
        await person.until(lambda: person.remembers(("user", "What time is it?"), ("assistant", ANSWER)))
        assert not person.of("audio")
        await person.until(lambda: person.frames("response.done"))
        place.will(Reply(tokens=("billing",)))
        content = [{"type": "input_text", "text": "My bill?"}]
        await person.do("event", {"type": "response.create", "response": {
            "conversation": "none", "metadata": {"topic": "class"},
            "input": [{"type": "message", "role": "user", "content": content}],
        }})  # fmt: skip
        await person.until(lambda: len(person.frames("response.done")) == 2)
        assert person.frames("response.done")[1]["response"]["metadata"] == {"topic": "class"}
        assert place.told == [("user", "My bill?")]
        assert not person.of("error")


@pytest.mark.compatible(CLIENT, "pcmu")
async def test_a_telephone_speaks_and_hears_g711(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    mulaw = {"format": {"type": "audio/pcmu"}}
    async with talk(place, tmp_path, audio={"input": mulaw, "output": mulaw}) as person:
        await person.say(speech(QUESTION), is_mulaw=True)
        await person.until(lambda: ANSWER in person.of("end"))
        assert is_audible(from_pcm16(formats.expand(Pcmu(), person.sound())))
        assert not person.of("error")
