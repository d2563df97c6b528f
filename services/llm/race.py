"""Streams that were asked for the same turn; the first text or call wins, and all of them are closed.

A stream is begun in a task of its own and read on by whoever has won it, so a ``Mind`` must hold no timeout
open over a piece that it yields. The loser's request is cancelled at once, its connection with it; the winner
does not wait for that: what was cancelled is waited for when the turn leaves the race.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Literal

from services.llm.engine import Fault, Mind, MindFailed, Opened, Piece, Question, Usage
from shared.messages import ToolUse


class Entry:
    """One stream, until its first piece."""

    def __init__(self, route: str, mind: Mind, question: Question, began_s: float) -> None:
        """``began_s``: now, by the caller's clock."""
        self.route, self.mind, self.question = route, mind, question
        self.began_s = began_s
        self.is_hedge = False
        self.opened = Opened()
        self.first: Piece | None = None
        self.first_s: float | None = None
        self.ended_s: float | None = None
        """When it began to answer, and when it was over, by the caller's clock; None: not yet."""
        self.usage: Usage | None = None
        self.fault: Fault | Literal[""] = ""
        """Why it failed."""
        self.is_dropped = False
        """Nobody waited for it any more."""
        self.stream: AsyncGenerator[Piece, None] = mind.stream(question)

    async def begin(self) -> None:
        """Reads up to the first text or call. Raises ``MindFailed``; then the stream is closed."""
        async for piece in self.stream:
            match piece:
                case Opened():
                    self.opened = piece
                case str() if text := piece.lstrip():
                    self.first = text
                    return
                case ToolUse():
                    self.first = piece
                    return
        raise MindFailed(self.route, "gave an empty answer", fault="garbage")


class Race:
    """All streams of one turn."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[None], Entry] = {}
        self._dropped: set[asyncio.Task[None]] = set()
        self.entries: list[Entry] = []
        """All that were asked, in order."""

    @property
    def running(self) -> Sequence[Entry]:
        """Those that have neither begun nor failed, in the order in which they were entered."""
        return list(self._running.values())

    def enter(self, entry: Entry) -> None:
        """Asks it."""
        self.entries.append(entry)
        task = asyncio.create_task(entry.begin(), name=f"ask {entry.route}")
        self._running[task] = entry

    async def ended(self, timeout_s: float | None) -> list[tuple[Entry, BaseException | None]]:
        """Returns those that have begun or failed (with what), in order, or none within the time."""
        await asyncio.wait(self._running, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        done = [task for task in self._running if task.done()]
        return [(self._running.pop(task), task.exception()) for task in done]

    def drop(self) -> list[Entry]:
        """Ends all that are still running, without waiting for it; returns them."""
        dropped = self.running
        for task in self._running:
            task.cancel()
            self._dropped.add(task)
        self._running.clear()
        return list(dropped)

    async def close(self) -> None:
        """Ends everything, the winner's stream included, and waits until it has ended."""
        self.drop()
        if self._dropped:
            await asyncio.wait(self._dropped)
        for task in self._dropped:
            if not task.cancelled():
                task.exception()  # it failed or began in the moment in which it was dropped
        for entry in self.entries:
            await entry.stream.aclose()
