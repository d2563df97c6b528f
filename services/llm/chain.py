"""The minds in order: the first that is there answers; before its first word the next can take over.

After the first word nobody takes over silently: what was said must stay, and only the gateway knows what
was heard. So a failure in mid-answer is reported, and the gateway asks again with what was spoken.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from services.llm.engine import Mind, MindFailed, Usage
from services.llm.route import Routes
from shared.errors import EngineFailed
from shared.messages import ChatMessage, EngineFact
from shared.observe import Log

log = Log("eva.llm")

UPKEEP_EVERY_S = 1.0
PROVE_S = 5.0
"""Upper bound for a proof, whatever an adapter's own deadlines are."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer that has begun: who gives it, and its text."""

    mind: Mind
    pieces: AsyncIterator[str | Usage]


@dataclass(slots=True)
class _Trouble:
    """Why a mind is not serving."""

    state: Literal["failed", "absent"] = "failed"
    detail: str = ""
    hint: str = ""


@dataclass(slots=True)
class _Chained:
    mind: Mind
    trouble: _Trouble | None = field(default_factory=_Trouble)
    """None: it was there when last asked."""


class Chain:
    """All minds of this worker; the last one must be one that cannot fail."""

    def __init__(self, minds: Sequence[Mind], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._minds = {mind.name: _Chained(mind) for mind in minds}
        self._routes = Routes([mind.name for mind in minds])
        self._clock = clock
        self.served_last = ""

    @property
    def current(self) -> Mind:
        """Who would answer now."""
        name = self._routes.pick()
        assert name is not None
        return self._minds[name].mind

    async def prove(self) -> None:
        """Asks all minds at once whether they are there."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._minds:
                tasks.create_task(self._prove(name), name=f"prove {name}")

    async def upkeep(self) -> NoReturn:
        """Proves minds again that have rested, so that turns find them when they are back."""
        while True:
            await asyncio.sleep(UPKEEP_EVERY_S)
            for name in self._routes.due(self._clock()):
                await self._prove(name)

    @contextlib.asynccontextmanager
    async def answer(
        self, messages: Sequence[ChatMessage], *, language: str, remaining_s: float
    ) -> AsyncIterator[Answer]:
        """Begins an answer with the first mind that gives one.

        Raises:
            EngineFailed: none did, or the one that began stopped (while ``pieces`` are read).
        """
        deadline_s = self._clock() + remaining_s
        tried: set[str] = set()
        while (name := self._routes.pick(tried)) is not None:
            tried.add(name)
            mind = self._minds[name].mind
            left_s = deadline_s - self._clock()
            stream = mind.stream(messages, language=language, remaining_s=left_s)
            async with contextlib.aclosing(stream) as pieces:
                try:
                    first = await _first_text(pieces, name)
                except EngineFailed as error:
                    self._failed(name, error)
                    continue
                rest = self._rest(first, pieces, name)
                async with contextlib.aclosing(rest):
                    yield Answer(mind=mind, pieces=rest)
                return
        raise EngineFailed("mind", "no mind of the chain gave an answer")

    def facts(self) -> list[EngineFact]:
        """Returns each mind's state, in order."""
        current = self.current
        return [_fact(chained, is_current=chained.mind is current) for chained in self._minds.values()]

    async def close(self) -> None:
        """Gives all connections back."""
        for chained in self._minds.values():
            await chained.mind.close()

    async def _prove(self, name: str) -> None:
        chained = self._minds[name]
        try:
            async with asyncio.timeout(PROVE_S):
                await chained.mind.prove()
        except TimeoutError:
            self._failed(name, MindFailed(name, "did not answer in time"))
        except EngineFailed as error:
            self._failed(name, error)
        else:
            if chained.trouble is not None:
                log.info("mind.ready", engine=name, model=chained.mind.model)
            chained.trouble = None
            self._routes.proven(name)

    def _failed(self, name: str, error: EngineFailed) -> None:
        retry_after_s = error.retry_after_s if isinstance(error, MindFailed) else None
        self._routes.failed(name, self._clock(), retry_after_s=retry_after_s)
        chained = self._minds[name]
        is_absent = isinstance(error, MindFailed) and error.is_absent
        hint = error.hint if isinstance(error, MindFailed) else ""
        if chained.trouble is None or chained.trouble.detail != error.reason:
            report = log.info if is_absent else log.warning
            report("mind.failed", engine=name, reason=error.reason)
        chained.trouble = _Trouble("absent" if is_absent else "failed", error.reason, hint)

    async def _rest(
        self, first: str, pieces: AsyncGenerator[str | Usage, None], name: str
    ) -> AsyncGenerator[str | Usage, None]:
        yield first
        try:
            async for piece in pieces:
                yield piece
        except EngineFailed as error:
            self._failed(name, error)
            raise
        self._routes.answered(name)
        self._minds[name].trouble = None
        self.served_last = name


async def _first_text(pieces: AsyncGenerator[str | Usage, None], name: str) -> str:
    """Returns the first piece that is more than space. Raises ``MindFailed`` if there is none."""
    async for piece in pieces:
        if isinstance(piece, str) and (text := piece.lstrip()):
            return text
    raise MindFailed(name, "gave an empty answer")


def _fact(chained: _Chained, *, is_current: bool) -> EngineFact:
    mind, trouble = chained.mind, chained.trouble
    state: Literal["serving", "standby", "failed", "absent"] = "standby"
    if is_current:
        state = "serving"
    elif trouble is not None:
        state = trouble.state
    return EngineFact(
        name=mind.name,
        state=state,
        model=mind.model,
        device=mind.device,
        detail=trouble.detail if trouble else "",
        hint=trouble.hint if trouble else "",
    )
