"""What the gateway is told about one segment."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from services.tts.segment import Made
from shared import subjects
from shared.bus import Bus
from shared.errors import BusDown
from shared.instruments import Instruments
from shared.messages import AudioChunk, Failed, Message, SegmentDone, Synthesize, Timing, Working
from shared.meter import Outcome
from shared.observe import Log
from shared.stage_span import stage_span
from shared.trace import Value

BEAT_S = 0.25
"""Where a listener has run dry, the gateway takes a worker for lost that is silent for three of them."""

NONE = Instruments()

log = Log("eva.tts")


@dataclass
class Figures:
    """What a segment came to."""

    rate_hz: int
    queue_ms: float = 0.0
    chunks: int = 0
    samples: int = 0
    first_audio_ms: float = 0.0
    total_ms: float = 0.0
    engine: str = ""
    """Of the last chunk; empty: there was nothing to say."""
    device: str = ""
    model: str = ""
    is_degraded: bool = False
    """Whether any part was."""
    is_cached: bool = False
    """It was made before."""

    def add(self, made: Made) -> None:
        """Counts a chunk that was published."""
        self.chunks += 1
        self.samples += made.chunk.samples
        self.rate_hz = made.chunk.rate_hz
        self.engine, self.device, self.model = made.engine.name, made.engine.device, made.voice.name
        self.is_degraded = self.is_degraded or made.engine.is_degraded


class Report:
    """What is told to the gateway about one item."""

    def __init__(
        self, bus: Bus, worker: str, item: Synthesize, delivery: int, *, instruments: Instruments = NONE
    ) -> None:
        self._bus, self._worker, self._item, self.delivery = bus, worker, item, delivery
        self._subject = subjects.event(item.gw, item.sid, "tts")
        self._meter, self._tracer = instruments.meter, instruments.tracer
        self._began_s, self._code = time.monotonic(), ""
        self._outcome: Outcome = "cancelled"
        self._told: dict[str, Value] = {"eva.segment": item.segment, "eva.take": item.take}

    @contextlib.contextmanager
    def measured(self, waited_s: float) -> Iterator[None]:
        """Counts the item, which is made inside, after so long in the queue."""
        self._meter.taken_up(waited_s, delivery=self.delivery)
        with stage_span(self._tracer, "tts", delivery=self.delivery, waited_s=waited_s) as notes:
            try:
                yield
            except Exception:
                self._outcome, self._code = "failed", "internal"
                raise
            finally:
                self._meter.ended(time.monotonic() - self._began_s, self._outcome)
                notes.attributes |= {**self._told, "eva.outcome": self._outcome}
                notes.error = self._code

    async def beat(self) -> None:
        """Tells each 250 ms that the item is worked on; the gateway notices the silence of a broken bus."""
        beat = 0
        while True:
            await asyncio.sleep(BEAT_S)
            beat += 1
            with contextlib.suppress(BusDown):
                await self.working(beat)

    async def working(self, beat: int) -> None:
        """Tells that the item was taken up (``beat`` 0) or is worked on. Raises ``BusDown``."""
        item = self._item
        await self._publish(
            Working(
                stage="tts", worker=self._worker, turn=item.turn, attempt=item.attempt,
                segment=item.segment, take=item.take, delivery=self.delivery, beat=beat,
            )
        )  # fmt: skip

    async def chunk(self, seq: int, made: Made) -> None:
        """Sends a chunk. Raises ``BusDown``."""
        item, chunk = self._item, made.chunk
        if seq == 0:
            self._meter.first_output(time.monotonic() - self._began_s)
        await self._publish(
            AudioChunk(
                turn=item.turn, attempt=item.attempt, segment=item.segment, take=item.take, seq=seq,
                start=chunk.start, samples=chunk.samples, rate_hz=chunk.rate_hz, codec=chunk.codec,
                level=chunk.level, data=chunk.data, packets=chunk.packets,
            )
        )  # fmt: skip

    async def timing(self, made: Made) -> None:
        """Tells when the words are heard that begin in a chunk. Raises ``BusDown``."""
        item = self._item
        for marks in made.marks:
            await self._publish(
                Timing(
                    turn=item.turn, attempt=item.attempt, segment=item.segment, take=item.take,
                    rate_hz=marks.rate_hz, words=list(marks.words), visemes=list(marks.visemes),
                    is_estimated=marks.is_estimated,
                )
            )  # fmt: skip

    async def done(self, figures: Figures) -> None:
        """Tells that all chunks have been sent. Raises ``BusDown``."""
        item, it = self._item, figures
        self._outcome = "completed"
        self._told |= {
            "eva.engine": it.engine, "eva.device": it.device, "eva.model": it.model,
            "eva.first_audio_ms": it.first_audio_ms, "eva.is_cached": it.is_cached,
            "eva.audio_ms": 1000 * it.samples / it.rate_hz,
        }  # fmt: skip
        await self._publish(
            SegmentDone(
                turn=item.turn, attempt=item.attempt, segment=item.segment, take=item.take,
                chunks=it.chunks, samples=it.samples, rate_hz=it.rate_hz, engine=it.engine, device=it.device,
                model=it.model, is_degraded=it.is_degraded, queue_ms=it.queue_ms,
                first_audio_ms=it.first_audio_ms, total_ms=it.total_ms, is_cached=it.is_cached,
            )
        )  # fmt: skip

    async def failed(self, code: str, message: str) -> None:
        """Tells that the item could not be done. Raises ``BusDown``."""
        item = self._item
        self._outcome, self._code = "failed", code
        self._meter.failed(code)
        log.warning(
            "tts.failed", sid=item.sid, turn=item.turn, segment=item.segment, code=code, reason=message
        )
        await self._publish(
            Failed(
                stage="tts", worker=self._worker, turn=item.turn, attempt=item.attempt, code=code,
                message=message, segment=item.segment, take=item.take,
            )
        )  # fmt: skip

    async def _publish(self, message: Message) -> None:
        await self._bus.publish(self._subject, message)
