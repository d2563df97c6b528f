"""Has what fell off a conversation summarised, behind its turns and never in their way.

One at a time for the whole worker, with a bound on its time, its tokens and what may wait; whatever goes
wrong costs the summary alone. The gateway gets it as ``Summary`` and keeps it with the conversation.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NoReturn

from services.llm import summary
from services.llm.chain import Chain
from services.llm.engine import Question
from shared import subjects
from shared.bus import Bus
from shared.errors import BusDown, EngineFailed
from shared.messages import Generate, Summary
from shared.observe import Log

log = Log("eva.llm")

WITHIN_S = 15.0
"""One summary."""
REST_S = 60.0
"""Of a conversation whose summary was made or has failed: the next turns may not know of it yet."""
WAITING = 16
"""Conversations that may wait; of more the newest are left for their next turn."""
RESTING = 1000


class Summariser:
    """Makes the summaries of one worker."""

    def __init__(
        self, chain: Chain, *, persona: str, budget_tokens: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._chain = chain
        self._persona, self._budget_tokens = persona, budget_tokens
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[Generate, str, int]] = asyncio.Queue(WAITING)
        self._rests_until_s: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.made = self.failed = 0

    def offer(self, work: Generate, *, language: str, moods: str = "") -> None:
        """Takes a turn that is over; asks for a summary if messages fell off. Never waits."""
        session = (work.gw, work.sid)
        if work.is_canary or self._rests_until_s.get(session, 0.0) > self._clock():
            return
        covers = summary.due(work, persona=self._persona, moods=moods, budget_tokens=self._budget_tokens)
        if covers and not self._waiting.full():
            self._rest(session)
            self._waiting.put_nowait((work, language, covers))

    async def run(self, bus: Bus) -> NoReturn:
        """Makes what was asked for, until cancelled."""
        while True:
            work, language, covers = await self._waiting.get()
            text = await self._made(work, language, covers)
            self._rest((work.gw, work.sid))
            self.made += bool(text)
            self.failed += not text
            if text:
                told = Summary(turn=work.turn, covers=covers, text=text)
                with contextlib.suppress(BusDown):  # a later turn asks again
                    await bus.publish(subjects.event(work.gw, work.sid, "llm"), told)

    async def _made(self, work: Generate, language: str, covers: int) -> str:
        """Returns the summary; empty if there is none."""
        messages = summary.question(
            work.messages[:covers],
            summary=work.summary,
            language=language,
            budget_tokens=self._budget_tokens,
        )
        asked = Question(
            messages=messages, language=language, max_tokens=summary.MAX_TOKENS, remaining_s=WITHIN_S
        )
        reason = "no summary came"
        try:
            async with asyncio.timeout(WITHIN_S):
                if text := summary.accepted(await self._answer(asked)):
                    return text
        except TimeoutError:
            reason = f"not made within {WITHIN_S:.0f} s"
        except EngineFailed as error:
            reason = error.reason
        log.info("summary.none", session=work.sid, turn=work.turn, reason=reason)
        return ""

    async def _answer(self, asked: Question) -> str:
        text = ""
        async with self._chain.answer(asked) as answer:
            if answer.mind.is_degraded:
                return ""  # a makeshift has a conversation of its own
            async for piece in answer.pieces:
                text += piece if isinstance(piece, str) else ""
                if len(text) > 2 * summary.MAX_CHARS:
                    break
        return text

    def _rest(self, session: tuple[str, str]) -> None:
        self._rests_until_s[session] = self._clock() + REST_S
        self._rests_until_s.move_to_end(session)
        while len(self._rests_until_s) > RESTING:
            self._rests_until_s.popitem(last=False)
