"""A mind and a voice on any bus, without a model: what a test wants of them is set before."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from services.gateway.phrases import Fillers
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
    RouteReport,
    SegmentDone,
    Stage,
    State,
    Synthesize,
    TextDelta,
    Timing,
    VisemeTime,
    WordTime,
    Working,
)
from shared.queues import LLM_WORK, TTS_WORK

ROUTE = RouteReport(
    route="groq:fast",
    queue_ms=1.0,
    first_token_ms=20.0,
    first_segment_ms=30.0,
    input_tokens=100,
    output_tokens=9,
)

CHUNK_MS = 50
BEAT_S = 0.25
FILLERS = {text for language in ("en", "fr") for text in Fillers().of(language)}


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
        self.voice: Callable[[str, int, int], bytes] | None = None
        """Makes the sound of a text, at so many samples a second, so many milliseconds long; None: a tone."""
        self.tells_words = False
        """The voice tells when its words are said: evenly."""
        self.faults = Faults()
        self.generated: list[Generate] = []
        self.synthesized: list[Synthesize] = []
        """For turns."""
        self.made_ahead: list[Synthesize] = []
        """For a gateway's stock, which begins with a filler."""
        self.cancelled = asyncio.Event()
        self.gate_mind = asyncio.Event()
        """The mind waits for it before its first word; set unless a test clears it."""
        self.gate_mind.set()
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
        working = Working(stage="llm", worker="fake-llm", **ids)
        await self._bus.publish(events, working)
        await self._wait_at(self.gate_mind, events, working)
        if self.faults.mind_fails:
            failed = Failed(
                stage="llm", worker="fake-llm", code=self.faults.mind_fails, message="on purpose", **ids
            )
            await self._bus.publish(events, failed)
            return
        sentences = [part.strip() + mark for part, mark in _sentences(self.answer)]
        if work.spoken:
            sentences = [it for it in sentences if it.split()[-1] not in work.spoken.split()]
        for number, sentence in enumerate(sentences, start=work.first_segment):
            await self._bus.publish(events, TextDelta(seq=number, text=sentence + " ", **ids))
            if work.audio is not None:
                await self._hand_over(work, number, sentence, work.audio)
        segments = work.first_segment + len(sentences) if work.audio is not None else 0
        done = MindDone(
            deltas=len(sentences), segments=segments, engine="groq", model="fast", report=ROUTE, **ids
        )  # fmt: skip
        await self._bus.publish(events, done)

    async def _hand_over(self, work: Generate, number: int, text: str, audio: AudioFormat) -> None:
        segment = Synthesize(
            gw=work.gw, sid=work.sid, turn=work.turn, attempt=work.attempt, segment=number, text=text,
            audio=audio, remaining_ms=work.remaining_ms, voice=work.voice, speed=work.speed,
        )  # fmt: skip
        message_id = f"{work.sid}:{work.turn}:{work.attempt}:{number}:1"
        await self._bus.enqueue(subjects.work("tts", work.gw, work.sid), segment, message_id=message_id)

    async def _speak(self, job: Job) -> None:
        work = job.message
        assert isinstance(work, Synthesize)
        is_ahead = work.text in FILLERS or any(work.sid == other.sid for other in self.made_ahead)
        (self.made_ahead if is_ahead else self.synthesized).append(work)
        events = subjects.event(work.gw, work.sid, "tts")
        ids = {"turn": work.turn, "attempt": work.attempt, "segment": work.segment, "take": work.take}
        working = Working(stage="tts", worker="fake-tts", **ids)
        await self._bus.publish(events, working)
        failed = Failed(
            stage="tts", worker="fake-tts", code=self.faults.voice_fails, message="on purpose", **ids
        )
        if failed.code:
            await self._bus.publish(events, failed)
            return
        rate_hz, sound_ms = work.audio.rate_hz, round(self.sound_ms / work.speed)
        if self.voice is not None:
            pcm = self.voice(work.text, rate_hz, sound_ms)
        else:
            pcm = tone(rate_hz, sound_ms, 0.0 if self.faults.mute else 0.3)
        size = 2 * rate_hz * CHUNK_MS // 1000
        chunks = [pcm[at : at + size] for at in range(0, len(pcm), size)]
        if self.tells_words:
            await self._bus.publish(events, timed(work, len(pcm) // 2))
        for seq, data in enumerate(chunks):
            await self._bus.publish(
                events,
                AudioChunk(
                    seq=seq, start=seq * size // 2, samples=len(data) // 2, rate_hz=rate_hz,
                    codec=work.audio.codec, level=0.0 if self.faults.mute else 0.2,
                    data=b"" if work.audio.codec == "opus" else data,
                    packets=(data[:100],) if work.audio.codec == "opus" else (), **ids,
                ),
            )  # fmt: skip
            await self._wait_at(self.faults.gate, events, working)
            if self.faults.voice_fails:
                await self._bus.publish(events, msgspec.structs.replace(failed, code=self.faults.voice_fails))
                return
        done = SegmentDone(
            chunks=len(chunks), samples=len(pcm) // 2, rate_hz=rate_hz, engine="piper", device="cpu", **ids
        )
        await self._bus.publish(events, done)

    async def _wait_at(self, gate: asyncio.Event, events: str, working: Working) -> None:
        """Beats as real workers do: however long a test keeps a gate shut, the work is not lost."""
        for beat in itertools.count(1):
            if gate.is_set():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gate.wait(), BEAT_S)
                continue
            with contextlib.suppress(BusDown):
                await self._bus.publish(events, msgspec.structs.replace(working, beat=beat))


def timed(work: Synthesize, samples: int) -> Timing:
    """Returns the words of a segment, each as long as the others, and a mouth that opens with each."""
    found = list(re.finditer(r"\w+", work.text))
    step = samples // len(found)
    return Timing(
        turn=work.turn, attempt=work.attempt, segment=work.segment, take=work.take,
        rate_hz=work.audio.rate_hz,
        words=[
            WordTime(begin=word.start(), end=word.end(), from_sample=at * step, to_sample=(at + 1) * step)
            for at, word in enumerate(found)
        ],
        visemes=[VisemeTime(viseme="aa", from_sample=at * step) for at in range(len(found))],
    )  # fmt: skip


def counted(text: str, rate_hz: int, duration_ms: int) -> bytes:
    """Returns sound of which each sample tells its place, and each text another one."""
    count = np.arange(rate_hz * duration_ms // 1000) + zlib.crc32(text.encode()) % 20_000
    return count.astype("<i2").tobytes()


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
