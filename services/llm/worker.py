"""Takes turns from the queue and answers them, as many at a time as it has slots.

An item that was delivered before is not answered again: half of it may have been spoken. It is reported as
``redelivered``, and the gateway, which alone knows what was heard, asks anew with the next attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

from services.llm.chain import Chain
from services.llm.engine import Piece
from services.llm.options import Options
from services.llm.request_spans import told
from services.llm.rounds import Rounds
from services.llm.summariser import Summariser
from services.llm.telling import Telling
from services.llm.toolbox import NoTools, Toolbox
from services.llm.turn import Turn
from shared import subjects
from shared.bus import Bus, Consumer, Job, Reject
from shared.cancelled import Cancelled
from shared.errors import BusDown, EvaError
from shared.instruments import Instruments
from shared.language import guess
from shared.messages import (
    AnyMessage,
    Cancel,
    Facts,
    Failed,
    Generate,
    Message,
    MindDone,
    Stage,
    State,
    Working,
)
from shared.meter import UNMETERED, Outcome
from shared.observe import Log
from shared.queues import LLM_WORK, TTS_WORK
from shared.stage_span import Notes, stage_span

__all__ = ["CANARY", "LlmWorker", "Options"]

log = Log("eva.llm")

BEAT_S = 0.25
CANARY = {"en": "One, two, three, I can hear myself.", "fr": "Un, deux, trois, je m'entends."}
RECENT_TURNS = 100
"""That the figures in the facts are computed from."""


class LlmWorker:
    """The mind's worker."""

    stage: Stage = "llm"

    def __init__(
        self,
        name: str,
        chain: Chain,
        options: Options,
        *,
        toolbox: Toolbox | None = None,
        clock: Callable[[], float] = time.monotonic,
        instruments: Instruments | None = None,
    ) -> None:
        self._name, self._chain, self._options = name, chain, options
        self.instruments = instruments or Instruments()
        self._meter = self.instruments.meter
        self._toolbox = toolbox or NoTools()
        self._clock = clock
        self._state: State = "starting"
        self._consumer: Consumer | None = None
        self._summariser = Summariser(
            chain, persona=options.persona, budget_tokens=options.context_tokens, clock=clock
        )
        self._cancelled = Cancelled()
        self._running: dict[asyncio.Task[None], Generate] = {}
        self._done = self._failed = 0
        self._succeeded_s: float | None = None
        self._first_tokens_s: deque[float] = deque(maxlen=RECENT_TURNS)

    async def warm_up(self) -> None:
        """Proves the chain. Its last mind is always there, so this does not refuse."""
        await self._chain.prove()
        self._state = "ready"
        self._succeeded_s = self._clock()

    async def serve(self, bus: Bus) -> None:
        """Answers turns until drained."""
        await bus.declare(LLM_WORK)
        await bus.declare(TTS_WORK)
        cancels = await bus.subscribe(subjects.CANCEL_ALL, self._on_cancel)

        async def answer(job: Job) -> None:
            await self._on_job(bus, job)

        self._consumer = bus.consumer(LLM_WORK, slots=self._options.slots, handler=answer)
        if self._state == "draining":
            self._consumer.drain()
        async with asyncio.TaskGroup() as tasks:
            upkeep = tasks.create_task(self._chain.upkeep(), name="upkeep")
            summarising = tasks.create_task(self._summariser.run(bus), name="summaries")
            opening = tasks.create_task(self._toolbox.open(), name="toolbox")
            await self._consumer.run()
            for task in (upkeep, summarising, opening):
                task.cancel()
        await cancels.close()
        await self._toolbox.close()
        await self._chain.close()

    def drain(self) -> None:
        """Takes no new turn."""
        self._state = "draining"
        if self._consumer is not None:
            self._consumer.drain()

    def facts(self) -> Facts:
        """Returns what is true now."""
        state = self._state
        if state == "ready" and self._chain.current.is_degraded:
            state = "degraded"
        since_s = None if self._succeeded_s is None else self._clock() - self._succeeded_s
        return Facts(
            stage=self.stage,
            worker=self._name,
            state=state,
            pid=os.getpid(),
            engines=self._chain.facts(),
            slots=self._options.slots,
            busy=len(self._running),
            done=self._done,
            failed=self._failed,
            last_success_s=since_s,
            detail=f"last answer by {self._chain.served_last}" if self._chain.served_last else "",
            numbers=self._numbers(),
        )

    def _numbers(self) -> dict[str, float]:
        recent = sorted(self._first_tokens_s)
        if not recent:
            return {}
        p95 = recent[math.ceil(0.95 * len(recent)) - 1]
        return {"first_token_ms_p50": 1000 * statistics.median(recent), "first_token_ms_p95": 1000 * p95}

    # ------------------------------------------------------------ one turn

    def _on_cancel(self, subject: str, message: AnyMessage) -> None:
        if not isinstance(message, Cancel):
            return
        gw = subject.split(".")[3]
        self._cancelled.add(gw, message.sid, message.turn)
        for task, work in self._running.items():
            if self._cancelled.covers(work.gw, work.sid, work.turn):
                task.cancel()

    async def _on_job(self, bus: Bus, job: Job) -> None:
        work = job.message
        if not isinstance(work, Generate):
            raise Reject
        if self._cancelled.covers(work.gw, work.sid, work.turn):
            return
        left_s = work.remaining_ms / 1000 - job.waited_s
        if job.delivery > 1:
            self._meter.taken_up(job.waited_s, delivery=job.delivery)
            await self._report(bus, work, "redelivered", "another worker had this turn")
            return
        if left_s <= 0:
            await self._report(bus, work, "expired", f"waited {job.waited_s:.1f} s in the queue")
            return
        self._meter.taken_up(job.waited_s)
        tracer, waited_s = self.instruments.tracer, job.waited_s
        with stage_span(tracer, self.stage, delivery=job.delivery, waited_s=waited_s) as notes:
            async with asyncio.TaskGroup() as tasks:
                beats = tasks.create_task(self._beat(bus, work, job.delivery), name="beats")
                answering = tasks.create_task(self._answer(bus, work, waited_s, left_s, notes), name="answer")
                self._running[answering] = work
                try:
                    await asyncio.wait({answering})
                finally:
                    del self._running[answering]
                beats.cancel()

    async def _answer(self, bus: Bus, work: Generate, waited_s: float, left_s: float, notes: Notes) -> None:
        """Answers one turn and reports how it went: the outermost loop of a turn."""
        began_s = self._clock()
        meter = UNMETERED if work.is_canary else self._meter
        outcome: Outcome = "failed"
        try:
            async with asyncio.timeout(left_s):
                done = await self._generate(bus, work, began_s, waited_s)
            notes.attributes |= told(done)
            await bus.publish(subjects.event(work.gw, work.sid, "llm"), done)
            if self._options.summary:
                language = work.language or _language(work)
                self._summariser.offer(work, language=language, moods=self._options.mood_sentence)
        except TimeoutError:
            await self._report(bus, work, "expired", f"not answered within {left_s:.1f} s")
        except EvaError as error:
            await self._report(bus, work, error.code, str(error))
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception:  # a defect in one turn must not end the others
            log.exception("turn.broken", session=work.sid, turn=work.turn)
            await self._report(bus, work, "internal", "the mind's worker has a defect; see its log")
        else:
            outcome = "completed"
            self._done += 1
            self._succeeded_s = self._clock()
        finally:
            meter.ended(self._clock() - began_s, outcome)
            notes.attributes |= {"eva.outcome": outcome, "eva.attempt": work.attempt}
            notes.error = "failed" if outcome == "failed" else ""

    async def _generate(self, bus: Bus, work: Generate, began_s: float, waited_s: float) -> MindDone:
        turn = Turn(work=work, language=work.language or _language(work), began_s=began_s, waited_s=waited_s)
        if work.is_canary:
            telling = Telling(bus, turn, self._options.bounds, clock=self._clock)
            await telling.tell(_canary(turn.language))
            await telling.finish()
            return MindDone(
                turn=work.turn,
                attempt=work.attempt,
                engine="canary",
                model="",
                **telling.figures(),
            )
        rounds = Rounds(
            turn,
            chain=self._chain,
            toolbox=self._toolbox,
            options=self._options,
            bus=bus,
            clock=self._clock,
        )
        try:
            done = await rounds.run()
        finally:
            if rounds.first_token_s:
                self._meter.first_output(rounds.first_token_s)
        self._first_tokens_s.append(done.first_token_ms / 1000)
        return done

    async def _beat(self, bus: Bus, work: Generate, delivery: int) -> None:
        beat = 0
        while True:
            working = Working(
                stage=self.stage,
                worker=self._name,
                turn=work.turn,
                attempt=work.attempt,
                delivery=delivery,
                beat=beat,
            )
            await _tell(bus, work, working)
            beat += 1
            await asyncio.sleep(BEAT_S)

    async def _report(self, bus: Bus, work: Generate, code: str, message: str) -> None:
        self._failed += 1
        self._meter.failed(code)
        log.warning("turn.failed", session=work.sid, turn=work.turn, attempt=work.attempt, code=code)
        failed = Failed(
            stage=self.stage,
            worker=self._name,
            turn=work.turn,
            attempt=work.attempt,
            code=code,
            message=message,
        )
        await _tell(bus, work, failed)


async def _tell(bus: Bus, work: Generate, message: Message) -> None:
    with contextlib.suppress(BusDown):  # the gateway hears the silence
        await bus.publish(subjects.event(work.gw, work.sid, "llm"), message)


async def _canary(language: str) -> AsyncIterator[Piece]:
    yield CANARY.get(language, CANARY["en"])


def _language(work: Generate) -> str:
    """The language of the person's own words, the newest that tell; so the voice reads French as French."""
    said = (message.content for message in reversed(work.messages) if message.role == "user")
    return next((found for found in map(guess, said) if found), "")
