"""What the gateway is told about one segment."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from services.tts.segment import Made
from shared import subjects
from shared.bus import Bus
from shared.errors import BusDown
from shared.messages import AudioChunk, Failed, Message, SegmentDone, Synthesize, Working
from shared.observe import Log

BEAT_S = 0.5

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

    def add(self, made: Made) -> None:
        """Counts a chunk that was published."""
        self.chunks += 1
        self.samples += made.chunk.samples
        self.rate_hz = made.chunk.rate_hz
        self.engine, self.device, self.model = made.engine.name, made.engine.device, made.voice.name
        self.is_degraded = self.is_degraded or made.engine.is_degraded


class Report:
    """What is told to the gateway about one item."""

    def __init__(self, bus: Bus, worker: str, item: Synthesize, delivery: int) -> None:
        self._bus, self._worker, self._item, self._delivery = bus, worker, item, delivery
        self._subject = subjects.event(item.gw, item.sid, "tts")

    async def beat(self) -> None:
        """Tells each 500 ms that the item is worked on; the gateway notices the silence of a broken bus."""
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
                segment=item.segment, take=item.take, delivery=self._delivery, beat=beat,
            )
        )  # fmt: skip

    async def chunk(self, seq: int, made: Made) -> None:
        """Sends a chunk. Raises ``BusDown``."""
        item, chunk = self._item, made.chunk
        await self._publish(
            AudioChunk(
                turn=item.turn, attempt=item.attempt, segment=item.segment, take=item.take, seq=seq,
                start=chunk.start, samples=chunk.samples, rate_hz=chunk.rate_hz, codec=chunk.codec,
                level=chunk.level, data=chunk.data, packets=chunk.packets,
            )
        )  # fmt: skip

    async def done(self, figures: Figures) -> None:
        """Tells that all chunks have been sent. Raises ``BusDown``."""
        item, it = self._item, figures
        await self._publish(
            SegmentDone(
                turn=item.turn, attempt=item.attempt, segment=item.segment, take=item.take,
                chunks=it.chunks, samples=it.samples, rate_hz=it.rate_hz, engine=it.engine, device=it.device,
                model=it.model, is_degraded=it.is_degraded, queue_ms=it.queue_ms,
                first_audio_ms=it.first_audio_ms, total_ms=it.total_ms,
            )
        )  # fmt: skip

    async def failed(self, code: str, message: str) -> None:
        """Tells that the item could not be done. Raises ``BusDown``."""
        item = self._item
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
