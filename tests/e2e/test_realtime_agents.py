"""The stock ``openai-agents`` package at ``WS /v1/realtime``, as its users write it; real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from agents import function_tool
from agents.realtime import (
    RealtimeAgent,
    RealtimeAudio,
    RealtimeAudioInterrupted,
    RealtimeError,
    RealtimeRawModelEvent,
    RealtimeRunner,
    RealtimeSession,
    RealtimeSessionEvent,
    RealtimeToolEnd,
)
from agents.realtime.model_events import RealtimeModelRawServerEvent

from shared.audio import from_pcm16
from tests.e2e.house import UNPACED, House, house
from tests.e2e.realtime_talker import FRAME_S, RATE_HZ, WAIT_S, Recorder
from tests.e2e.talker import is_audible
from tests.fakes.provider import Call, FakeProvider, Reply
from tests.fakes.speech import Pcm, resampled, silence, speech
from tests.models.tiny_whisper import PHRASES

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SAID = speech(PHRASES[0])
SHORT = Reply(tokens=("All", " right", "."))
TEN_S = 10 * 2 * RATE_HZ
"""Bytes of sound."""
STORY = tuple(f" number {count} is a very nice one, I think." for count in range(1, 60))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(is_steady=True) as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    variables = {"EVA_LLM_BASE_URL": provider.base_url, **UNPACED}
    async with house(tmp_path_factory.mktemp("home"), **variables) as home:
        yield home


@dataclass
class Talk:
    """A conversation through the package, being recorded."""

    session: RealtimeSession
    wire: Recorder = field(default_factory=Recorder)
    events: list[RealtimeSessionEvent] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def listen(self) -> None:
        """Records what the package tells, and each frame that it got."""
        async for event in self.session:
            if isinstance(event, RealtimeRawModelEvent) and isinstance(
                event.data, RealtimeModelRawServerEvent
            ):
                await self.wire.take(json.dumps(event.data.data))
            async with self._news:
                self.events.append(event)
                self._news.notify_all()

    async def until(self, holds: Callable[[], object]) -> None:
        """Waits until something is so."""
        try:
            async with self._news, asyncio.timeout(WAIT_S):
                await self._news.wait_for(lambda: bool(holds() or self.wire.broken))
        except TimeoutError:
            raise AssertionError(f"heard: {self.wire.story()}") from None
        assert not self.wire.broken, self.wire.broken

    def of(self, kind: type[Any]) -> list[Any]:
        """The package's events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def say(self, pcm: Pcm) -> None:
        """Speaks in frames of 20 ms as time goes, then is silent."""
        sound = resampled(np.concatenate([pcm, silence(1.5)]), 16000, RATE_HZ)
        size = int(RATE_HZ * FRAME_S)
        for start in range(0, len(sound), size):
            await self.session.send_audio(sound[start : start + size].tobytes())
            await asyncio.sleep(FRAME_S)

    def history(self) -> list[tuple[str, str]]:
        """Role and words of what the package keeps of the conversation."""
        return [
            (
                item.role,
                "".join(
                    getattr(part, "transcript", None) or getattr(part, "text", "") or ""
                    for part in item.content
                ),
            )
            for item in self.session._history
            if item.type == "message"
        ]


def words(part: object) -> str:
    """What a part of a message says."""
    return getattr(part, "transcript", None) or getattr(part, "text", None) or ""


@contextlib.asynccontextmanager
async def talk(url: str, agent: RealtimeAgent[Any]) -> AsyncIterator[Talk]:
    """Runs an agent; what EVA sends must be what the package takes, without an error."""
    runner = RealtimeRunner(agent)
    model_url = f"{url.replace('http', 'ws')}/v1/realtime?model=gpt-realtime"
    async with await runner.run(model_config={"url": model_url, "api_key": "unused"}) as session:
        talking = Talk(session)
        listening = asyncio.create_task(talking.listen())
        try:
            yield talking
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    assert not talking.wire.broken, talking.wire.broken
    assert not talking.of(RealtimeError)


@pytest.mark.compatible("openai-agents", "typed turn")
async def test_a_typed_turn_is_heard_and_stands_in_the_history(home: House, provider: FakeProvider) -> None:
    provider.replies = [SHORT]
    async with talk(home.url, RealtimeAgent(name="Eva", instructions="Be brief.")) as person:
        await person.session.send_message("What time is it?")
        await person.until(lambda: person.wire.of("response.done"))
        await person.until(lambda: ("assistant", "All right.") in person.history())
        assert person.history()[0] == ("user", "What time is it?")
        sound = b"".join(event.audio.data for event in person.of(RealtimeAudio))
        assert is_audible(from_pcm16(sound))
        assert "Be brief." in str(provider.questions[-1].body["messages"][0]["content"])


@pytest.mark.compatible("openai-agents", "spoken turn")
async def test_a_spoken_turn_is_written_into_the_history(home: House, provider: FakeProvider) -> None:
    provider.replies = [SHORT]
    async with talk(home.url, RealtimeAgent(name="Eva")) as person:
        await person.until(lambda: person.wire.of("session.updated"))
        await person.say(SAID)
        await person.until(lambda: person.wire.of("response.done"))
        await person.until(lambda: ("user", PHRASES[0]) in person.history())
        await person.until(lambda: ("assistant", "All right.") in person.history())


@pytest.mark.compatible("openai-agents", "tools")
async def test_a_tool_of_the_agent_is_run_and_its_result_spoken(home: House, provider: FakeProvider) -> None:
    provider.replies = [
        Reply(tokens=(), calls=(Call(name="sky", arguments='{"place": "Paris"}', id="call_1"),)),
        Reply(tokens=("It", " is", " blue", ".")),
    ]

    @function_tool
    def sky(place: str) -> str:
        """Says what colour the sky is."""
        return f"blue over {place}"

    async with talk(home.url, RealtimeAgent(name="Eva", tools=[sky])) as person:
        await person.session.send_message("What colour is the sky in Paris?")
        await person.until(lambda: person.of(RealtimeToolEnd))
        await person.until(lambda: ("assistant", "It is blue.") in person.history())
        assert provider.questions[-1].body["messages"][-1]["content"] == "blue over Paris"


@pytest.mark.compatible("openai-agents", "barge-in", "truncation")
async def test_who_speaks_into_the_answer_interrupts_it_and_the_history_is_cut(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [Reply(tokens=STORY, delay_s=0.5), SHORT]  # in the making all the time
    async with talk(home.url, RealtimeAgent(name="Eva")) as person:
        await person.session.send_message("Tell me a long story.")
        # The package reckons by its clock what was played, and cuts nothing where that is all that came.
        await person.until(lambda: sum(len(event.audio.data) for event in person.of(RealtimeAudio)) > TEN_S)
        await person.say(np.concatenate([silence(1.5), SAID]))
        await person.until(lambda: person.of(RealtimeAudioInterrupted))
        await person.until(lambda: person.wire.of("conversation.item.truncated"))
        await person.until(lambda: len(person.wire.of("response.done")) >= 2)
        first, second = (event["response"] for event in person.wire.of("response.done")[:2])
        assert (first["status"], first["status_details"]["reason"]) == ("cancelled", "turn_detected")
        assert second["status"] == "completed"
        await person.until(lambda: ("user", PHRASES[0]) in person.history())


async def test_an_interruption_by_the_program_cancels_the_response(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [Reply(tokens=STORY, delay_s=0.5), SHORT]
    async with talk(home.url, RealtimeAgent(name="Eva")) as person:
        await person.session.send_message("Tell me a long story.")
        await person.until(lambda: len(person.of(RealtimeAudio)) > 5)
        await person.session.interrupt()
        await person.until(lambda: person.wire.of("response.done"))
        assert person.wire.of("response.done")[0]["response"]["status"] == "cancelled"
        await person.session.send_message("And now?")
        await person.until(lambda: ("assistant", "All right.") in person.history())
