"""A mind and a voice on any bus, without a model: what a test wants of them is set before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import numpy as np

from shared import subjects
from shared.bus import Bus, Job
from shared.errors import BusDown
from shared.messages import (
    AudioChunk,
    AudioFormat,
    Cancel,
    EngineFact,
    Facts,
    Failed,
    Generate,
    MindDone,
    SegmentDone,
    Stage,
    State,
    Synthesize,
    TextDelta,
    Working,
)
from shared.queues import LLM_WORK, TTS_WORK

CHUNK_MS = 50


@dataclass
class Faults:
    """What goes wrong, by being set."""

    mind_fails: str = ""
    voice_fails: str = ""
    mute: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """The voice waits for it after its first chunk; set unless a test clears it."""

    def __post_init__(self) -> None:
        self.gate.set()


class FakeWorkers:
    """Answers each turn with its ``answer``, one segment a sentence, each a tone of ``sound_ms``."""

    def __init__(self, bus: Bus, *, answer: str = "Hello there. How are you?") -> None:
        self.answer = answer
        self.sound_ms = 200
        self.faults = Faults()
        self.generated: list[Generate] = []
        self.synthesized: list[Synthesize] = []
        self.cancelled = asyncio.Event()
        self.states: dict[Stage, State] = {"stt": "ready", "llm": "ready", "tts": "ready"}
        self.silent: set[Stage] = set()
        self.engines: dict[Stage, list[EngineFact]] = {
            "stt": [EngineFact(name="whisper", state="serving", model="tiny", device="cpu")],
            "llm": [EngineFact(name="groq", state="serving", model="fast")],
            "tts": [EngineFact(name="piper", state="serving", model="voice", device="cpu")],
        }
        self._bus = bus

    @contextlib.asynccontextmanager
    async def running(self, *, facts_every_s: float = 0.05) -> AsyncIterator[FakeWorkers]:
        for queue in (LLM_WORK, TTS_WORK):
            await self._bus.declare(queue)
        await self._bus.subscribe(subjects.CANCEL_ALL, self._cancel)
        mind = self._bus.consumer(LLM_WORK, slots=8, handler=self._think)
        voice = self._bus.consumer(TTS_WORK, slots=8, handler=self._speak)
        tasks = [
            asyncio.create_task(mind.run()),
            asyncio.create_task(voice.run()),
            asyncio.create_task(self._tell(facts_every_s)),
        ]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def facts(self, stage: Stage) -> Facts:
        return Facts(
            stage=stage,
            worker=f"fake-{stage}",
            state=self.states[stage],
            pid=1,
            engines=self.engines[stage],
            slots=8,
            last_success_s=0.0,
        )

    async def _tell(self, every_s: float) -> None:
        while True:
            for stage in self.states:
                if stage not in self.silent:
                    with contextlib.suppress(BusDown):
                        await self._bus.publish(subjects.fact(stage, f"fake-{stage}"), self.facts(stage))
            await asyncio.sleep(every_s)

    def _cancel(self, _subject: str, message: object) -> None:
        if isinstance(message, Cancel):
            self.cancelled.set()

    async def _think(self, job: Job) -> None:
        work = job.message
        assert isinstance(work, Generate)
        self.generated.append(work)
        events = subjects.event(work.gw, work.sid, "llm")
        ids = {"turn": work.turn, "attempt": work.attempt}
        await self._bus.publish(events, Working(stage="llm", worker="fake-llm", **ids))
        if self.faults.mind_fails:
            failed = Failed(
                stage="llm", worker="fake-llm", code=self.faults.mind_fails, message="on purpose", **ids
            )
            await self._bus.publish(events, failed)
            return
        sentences = [part.strip() + mark for part, mark in _sentences(self.answer)]
        for number, sentence in enumerate(sentences):
            await self._bus.publish(events, TextDelta(seq=number, text=sentence + " ", **ids))
            if work.audio is not None:
                await self._hand_over(work, number, sentence, work.audio)
        segments = len(sentences) if work.audio is not None else 0
        done = MindDone(deltas=len(sentences), segments=segments, engine="groq", model="fast", **ids)
        await self._bus.publish(events, done)

    async def _hand_over(self, work: Generate, number: int, text: str, audio: AudioFormat) -> None:
        segment = Synthesize(
            gw=work.gw, sid=work.sid, turn=work.turn, attempt=work.attempt, segment=number, text=text,
            audio=audio, remaining_ms=work.remaining_ms, voice=work.voice,
        )  # fmt: skip
        message_id = f"{work.sid}:{work.turn}:{work.attempt}:{number}:1"
        await self._bus.enqueue(subjects.work("tts", work.gw, work.sid), segment, message_id=message_id)

    async def _speak(self, job: Job) -> None:
        work = job.message
        assert isinstance(work, Synthesize)
        self.synthesized.append(work)
        events = subjects.event(work.gw, work.sid, "tts")
        ids = {"turn": work.turn, "attempt": work.attempt, "segment": work.segment, "take": work.take}
        await self._bus.publish(events, Working(stage="tts", worker="fake-tts", **ids))
        failed = Failed(
            stage="tts", worker="fake-tts", code=self.faults.voice_fails, message="on purpose", **ids
        )
        if failed.code:
            await self._bus.publish(events, failed)
            return
        rate_hz = work.audio.rate_hz
        pcm = tone(rate_hz, self.sound_ms, 0.0 if self.faults.mute else 0.3)
        size = 2 * rate_hz * CHUNK_MS // 1000
        chunks = [pcm[at : at + size] for at in range(0, len(pcm), size)]
        for seq, data in enumerate(chunks):
            await self._bus.publish(
                events,
                AudioChunk(
                    seq=seq, start=seq * size // 2, samples=len(data) // 2, rate_hz=rate_hz,
                    codec=work.audio.codec, level=0.0 if self.faults.mute else 0.2,
                    data=b"" if work.audio.codec == "opus" else data,
                    packets=[data[:100]] if work.audio.codec == "opus" else [], **ids,
                ),
            )  # fmt: skip
            await self.faults.gate.wait()
            if self.faults.voice_fails:
                await self._bus.publish(events, msgspec.structs.replace(failed, code=self.faults.voice_fails))
                return
        done = SegmentDone(
            chunks=len(chunks), samples=len(pcm) // 2, rate_hz=rate_hz, engine="piper", device="cpu", **ids
        )
        await self._bus.publish(events, done)


def tone(rate_hz: int, duration_ms: int, amplitude: float) -> bytes:
    at = np.arange(rate_hz * duration_ms // 1000) / rate_hz
    return (amplitude * 32767 * np.sin(2 * np.pi * 220 * at)).astype("<i2").tobytes()


def _sentences(text: str) -> list[tuple[str, str]]:
    found, start = [], 0
    for index, letter in enumerate(text):
        if letter in ".?!":
            found.append((text[start:index], letter))
            start = index + 1
    return found
