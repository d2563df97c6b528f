"""Keeps the board up to date: workers' facts, ended turns, whether broker and store answer.

While this process stands still nobody grows older: who was not listened to is not silent (``awake``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

from services.gateway.awake import LOOK_EVERY_S, Awake
from services.gateway.board import STAGES, Board, Outlook
from services.gateway.health import Health
from services.gateway.memory import Memory
from services.gateway.metrics import Metrics
from services.gateway.turn_io import Note, TurnReport
from services.gateway.turn_spans import turn_spans
from shared import subjects
from shared.bus import Bus
from shared.errors import BusDown
from shared.messages import AnyMessage, Facts, Stage
from shared.observe import Log
from shared.trace import UNTRACED, Tracer

log = Log("eva.gateway")

PROBE_EVERY_S = 2.0
PROBE_TIMEOUT_S = 2.0


class Watch:
    """The board with a clock; the observer of all turns."""

    def __init__(
        self,
        board: Board,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        *,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self.tracer = tracer
        self.board, self._metrics, self._clock = board, metrics, Awake(clock)
        self._bus: Bus | None = None
        gauge = None
        for stage in STAGES:
            gauge = metrics.watch_stage(stage, lambda stage=stage: self.is_up(stage), gauge)  # type: ignore[misc]
        metrics.watch_routes(lambda: self.board.routes(self._clock()))
        metrics.watch_cards(lambda: self.board.cards(self._clock()))

    @property
    def is_broker_up(self) -> bool:
        """Whether the broker is reachable."""
        return self._bus is not None and self._bus.is_up

    @property
    def was_audible(self) -> bool:
        """Whether the last proof of sound stands."""
        return self.board.was_audible

    @property
    def idle_s(self) -> float:
        """Seconds since the last audible turn; infinite if there was none."""
        return self.board.idle_s(self._clock())

    def ears_outlook(self) -> Outlook:
        """Why nobody can listen, as far as that is known."""
        return self.board.outlook("stt", self._clock())

    def is_up(self, stage: Stage) -> bool:
        """Whether a worker of the stage is ready."""
        return self.board.is_up(stage, self._clock())

    def health(self) -> Health:
        """Returns the judgement of now."""
        self.board.is_broker_up = self.is_broker_up
        return self.board.report(self._clock())

    def turn_over(self, report: TurnReport) -> None:
        """Takes the end of a turn."""
        self.board.turn_over(report, self._clock())
        self._metrics.turn_over(report)
        if self.tracer.is_on and report.trace_id:
            for span in turn_spans(report, ended_s=time.time()):
                self.tracer.record(span)
        log.info(
            "turn.over",
            trace=report.trace_id,
            outcome=report.outcome,
            code=report.code,
            canary=report.is_canary,
            response_ms=report.timeline.response_ms,
            total_ms=report.timeline.total_ms,
        )

    def noted(self, note: Note) -> None:
        """Counts what happened about taking turns."""
        self._metrics.noted(note)

    def canary_failed(self, reason: str) -> None:
        """The canary's turn did not end."""
        self.board.canary_failed(reason, self._clock())

    async def listen(self, bus: Bus) -> None:
        """Begins to take workers' facts. Raises ``BusDown``."""
        self._bus = bus
        await bus.subscribe(subjects.FACTS_ALL, self._hear)

    async def run(self, memory: Memory) -> NoReturn:
        """Looks into the store now and then, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_awake(), name="awake")
            while True:
                self.board.database_answered(await _answers(memory), self._clock())
                await asyncio.sleep(PROBE_EVERY_S)

    async def _stay_awake(self) -> NoReturn:
        try:
            while True:
                self._clock.look()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self._clock.look_away()

    def _hear(self, _subject: str, message: AnyMessage) -> None:
        if isinstance(message, Facts):
            self.board.hear(message, self._clock())


async def _answers(memory: Memory) -> bool:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await memory.probe()
    except (BusDown, TimeoutError):
        return False
    return True
