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
from dataclasses import dataclass

from services.llm import prompt
from services.llm.chain import Chain
from services.llm.engine import Usage
from services.llm.language import guess
from services.llm.telling import Telling, Told, Turn
from shared import subjects
from shared.bus import Bus, Consumer, Job, Reject
from shared.cancelled import Cancelled
from shared.errors import BusDown, EvaError
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
from shared.observe import Log
from shared.queues import LLM_WORK, TTS_WORK

log = Log("eva.llm")

BEAT_S = 0.5
CANARY = {"en": "One, two, three, I can hear myself.", "fr": "Un, deux, trois, je m'entends."}
RECENT_TURNS = 100
"""That the figures in the facts are computed from."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How turns are answered."""

    slots: int = 16
    persona: str = ""
    max_tokens: int = 400
    context_tokens: int = 4000


class LlmWorker:
    """The mind's worker."""

    stage: Stage = "llm"

    def __init__(
        self, name: str, chain: Chain, options: Options, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._chain, self._options = name, chain, options
        self._clock = clock
        self._state: State = "starting"
        self._consumer: Consumer | None = None
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
            await self._consumer.run()
            upkeep.cancel()
        await cancels.close()
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
            await self._report(bus, work, "redelivered", "another worker had this turn")
            return
        if left_s <= 0:
            await self._report(bus, work, "expired", f"waited {job.waited_s:.1f} s in the queue")
            return
        async with asyncio.TaskGroup() as tasks:
            beats = tasks.create_task(self._beat(bus, work, job.delivery), name="beats")
            answering = tasks.create_task(self._answer(bus, work, job.waited_s, left_s), name="answer")
            self._running[answering] = work
            try:
                await asyncio.wait({answering})
            finally:
                del self._running[answering]
            beats.cancel()

    async def _answer(self, bus: Bus, work: Generate, waited_s: float, left_s: float) -> None:
        """Answers one turn and reports how it went: the outermost loop of a turn."""
        began_s = self._clock()
        try:
            async with asyncio.timeout(left_s):
                done = await self._generate(bus, work, began_s, waited_s)
            await bus.publish(subjects.event(work.gw, work.sid, "llm"), done)
        except TimeoutError:
            await self._report(bus, work, "expired", f"not answered within {left_s:.1f} s")
        except EvaError as error:
            await self._report(bus, work, error.code, str(error))
        except Exception:  # a defect in one turn must not end the others
            log.exception("turn.broken", session=work.sid, turn=work.turn)
            await self._report(bus, work, "internal", "the mind's worker has a defect; see its log")
        else:
            self._done += 1
            self._succeeded_s = self._clock()

    async def _generate(self, bus: Bus, work: Generate, began_s: float, waited_s: float) -> MindDone:
        turn = Turn(work=work, language=work.language or _language(work), began_s=began_s, waited_s=waited_s)
        options = self._options
        telling = Telling(bus, turn, max_tokens=options.max_tokens, clock=self._clock)
        if work.is_canary:
            return _done(turn, await telling.tell(_canary(turn.language)), engine="canary")
        messages = prompt.build(
            work.messages,
            persona=options.persona,
            language=work.language,
            spoken=work.spoken,
            budget_tokens=options.context_tokens,
        )
        left_s = turn.due_s - began_s
        async with self._chain.answer(messages, language=turn.language, remaining_s=left_s) as answer:
            told = await telling.tell(answer.pieces)
        mind = answer.mind
        self._first_tokens_s.append(told.first_token_s)
        return _done(turn, told, engine=mind.name, model=mind.model, is_degraded=mind.is_degraded)

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


async def _canary(language: str) -> AsyncIterator[str | Usage]:
    yield CANARY.get(language, CANARY["en"])


def _done(turn: Turn, told: Told, *, engine: str, model: str = "", is_degraded: bool = False) -> MindDone:
    return MindDone(
        turn=turn.work.turn,
        attempt=turn.work.attempt,
        deltas=told.deltas,
        segments=told.segments,
        engine=engine,
        model=model,
        is_degraded=is_degraded,
        queue_ms=1000 * turn.waited_s,
        first_token_ms=1000 * told.first_token_s,
        first_segment_ms=1000 * told.first_segment_s,
        total_ms=1000 * told.total_s,
        input_tokens=told.input_tokens,
        output_tokens=told.output_tokens,
    )


def _language(work: Generate) -> str:
    """The language of the person's own words, the newest that tell; so the voice reads French as French."""
    said = (message.content for message in reversed(work.messages) if message.role == "user")
    return next((found for found in map(guess, said) if found), "")
