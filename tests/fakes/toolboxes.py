"""Functions that take so long and return that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.messages import ToolSpec, ToolUse


class ScriptedToolbox:
    """Each function has a duration in seconds and a result."""

    def __init__(self, **functions: tuple[float, str]) -> None:
        self._functions = functions
        self.opened = self.closed = self.abandoned = 0
        self.called: list[ToolUse] = []

    @property
    def specs(self) -> Sequence[ToolSpec]:
        return [ToolSpec(name=name) for name in self._functions]

    async def open(self) -> None:
        self.opened += 1

    async def call(self, use: ToolUse) -> str:
        self.called.append(use)
        seconds, result = self._functions[use.name]
        self.abandoned += 1
        await asyncio.sleep(seconds)
        self.abandoned -= 1
        return result

    async def close(self) -> None:
        self.closed += 1
