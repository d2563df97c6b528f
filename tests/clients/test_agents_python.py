"""What ``openai-agents`` does beside plain talk: errors, text, telephones, and its other models."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from agents import Agent, OpenAIChatCompletionsModel, RunConfig, Runner
from agents.realtime import (
    RealtimeAgent,
    RealtimeAudio,
    RealtimeError,
    RealtimeModelSendRawMessage,
    RealtimeRawModelEvent,
    RealtimeRunner,
    RealtimeSession,
)
from agents.realtime.model_events import RealtimeModelRawServerEvent
from agents.voice import AudioInput, OpenAISTTModel, OpenAITTSModel, STTModelSettings, TTSModelSettings
from openai import AsyncOpenAI

from services.gateway.realtime import formats
from services.gateway.realtime.session_types import Pcmu
from shared.audio import from_pcm16
from tests.clients.place import ANSWER, QUESTION, RATE_HZ, SAID, WAIT_S, Place, hears
from tests.e2e.talker import is_audible
from tests.fakes.provider import Reply
from tests.fakes.speech import resampled, silence, speech

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]
STORY = tuple(f" number {count} is a very nice one, I think." for count in range(1, 60))


@dataclass
class Talk:
    """A session of the package, with all that it told."""

    session: RealtimeSession
    told: list[Any] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def listen(self) -> None:
        async for event in self.session:
            async with self._news:
                self.told.append(event)
                self._news.notify_all()

    async def until(self, holds: Callable[[], object]) -> None:
        async with self._news, asyncio.timeout(WAIT_S):
            await self._news.wait_for(lambda: bool(holds()))

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    def frames(self, kind: str) -> list[dict[str, Any]]:
        """The frames of a type."""
        raw = [event.data for event in self.of(RealtimeRawModelEvent)]
        frames = [event.data for event in raw if isinstance(event, RealtimeModelRawServerEvent)]
        return [dict(frame) for frame in frames if frame["type"] == kind]

    async def send(self, kind: str, **fields: Any) -> None:
        """Sends an event past the package's own ways."""
        await self.session.model.send_event(
            RealtimeModelSendRawMessage(message={"type": kind, "other_data": fields})
        )

    def sound(self) -> bytes:
        return b"".join(event.audio.data for event in self.of(RealtimeAudio))

    def words(self) -> list[str]:
        """What is in its history of the assistant's words."""
        return [
            "".join(getattr(part, "transcript", None) or getattr(part, "text", None) or ""
                    for part in item.content)
            for item in self.session._history
            if item.type == "message" and item.role == "assistant"
        ]  # fmt: skip


@contextlib.asynccontextmanager
async def talk(place: Place, **settings: Any) -> AsyncIterator[Talk]:
    url = f"{place.url.replace('http', 'ws', 1)}/realtime?model=gpt-realtime"
    runner = RealtimeRunner(RealtimeAgent(name="Eva"), config={"model_settings": settings})  # type: ignore[typeddict-item] # as tests write them
    async with await runner.run(model_config={"url": url, "api_key": place.key}) as session:
        talking = Talk(session)
        listening = asyncio.create_task(talking.listen())
        try:
            yield talking
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@pytest.mark.compatible("openai-agents", "streaming sound")
async def test_sound_comes_before_the_answer_has_been_made(place: Place) -> None:
    place.will(Reply(tokens=STORY, stall_after=4))
    async with talk(place) as person:
        await person.session.send_message("Tell me a story.")
        await person.until(lambda: len(person.of(RealtimeAudio)) > 2)
        assert not person.frames("response.done")
        assert not person.of(RealtimeError)


@pytest.mark.compatible("openai-agents", "errors")
async def test_a_mistake_is_an_error_of_the_session_which_goes_on(place: Place) -> None:
    place.will(SAID)
    async with talk(place) as person:
        await person.send("conversation.item.delete", item_id="none", event_id="bad")
        await person.until(lambda: person.of(RealtimeError))
        assert person.of(RealtimeError)[0].error.event_id == "bad"
        await person.session.send_message("What time is it?")
        await person.until(lambda: person.words() == [ANSWER])


@pytest.mark.compatible("openai-agents", "text only", "out of band")
async def test_an_answer_in_text_and_one_beside_the_conversation(place: Place) -> None:
    place.will(SAID)
    async with talk(place, output_modalities=["text"]) as person:
        await person.session.send_message("What time is it?")
        await person.until(lambda: person.words() == [ANSWER])
        await person.until(lambda: person.frames("response.done"))
        assert not person.of(RealtimeAudio)
        place.will(Reply(tokens=("billing",)))
        content = [{"type": "input_text", "text": "My bill?"}]
        asked = [{"type": "message", "role": "user", "content": content}]
        beside = {"conversation": "none", "metadata": {"topic": "class"}, "input": asked}
        await person.send("response.create", response=beside)
        await person.until(lambda: len(person.frames("response.done")) == 2)
        assert person.frames("response.done")[1]["response"]["metadata"] == {"topic": "class"}
        assert place.told == [("user", "My bill?")]
        assert not person.of(RealtimeError)


@pytest.mark.compatible("openai-agents", "pcmu")
async def test_a_telephone_speaks_and_hears_g711(place: Place) -> None:
    place.will(SAID)
    async with talk(place, input_audio_format="g711_ulaw", output_audio_format="g711_ulaw") as person:
        await person.until(lambda: person.frames("session.updated"))
        said = resampled(np.concatenate([speech(QUESTION), silence(1.5)]), 16000, 8000)
        for start in range(0, len(said), 160):
            frame = said[start : start + 160].astype("<i2").tobytes()
            await person.session.send_audio(formats.compress(Pcmu(), frame))
            await asyncio.sleep(0.02)
        await person.until(lambda: person.words() == [ANSWER])
        assert is_audible(from_pcm16(formats.expand(Pcmu(), person.sound())))
        assert not person.of(RealtimeError)


@pytest.mark.compatible("openai-agents", "transcription", "speech", "chat")
async def test_its_models_for_text_and_voice_hear_think_and_speak(place: Place) -> None:
    place.will(SAID)
    async with AsyncOpenAI(base_url=place.url, api_key=place.key, max_retries=0) as client:
        said = AudioInput(buffer=resampled(speech(QUESTION), 16000, RATE_HZ), frame_rate=RATE_HZ)
        heard = await OpenAISTTModel("whisper-1", client).transcribe(
            said, STTModelSettings(), trace_include_sensitive_data=False,
            trace_include_sensitive_audio_data=False,
        )  # fmt: skip
        assert heard == QUESTION
        agent = Agent(name="Eva", model=OpenAIChatCompletionsModel("eva", client))
        answer = await Runner.run(agent, heard, run_config=RunConfig(tracing_disabled=True))
        assert answer.final_output == ANSWER
        assert place.told == [("user", QUESTION)]
        voice = OpenAITTSModel("tts-1", client)
        hears(b"".join([chunk async for chunk in voice.run(ANSWER, TTSModelSettings(voice="ash"))]))
