"""Functions that the worker itself can run for the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.messages import ToolSpec, ToolUse


class Toolbox(Protocol):
    """The worker's own functions, wherever they run."""

    @property
    def specs(self) -> Sequence[ToolSpec]:
        """Those that can be called now."""

    async def open(self) -> None:
        """Connects to where they run; what cannot be reached is left out, logged and tried again later.

        May go on for as long as they are to be kept; it is cancelled before ``close``.
        """

    async def call(self, use: ToolUse) -> str:
        """Runs one within its time limit; returns its result, or in words what went wrong. Never raises."""

    async def close(self) -> None:
        """Lets go of everything."""


class NoTools:
    """The worker has none."""

    specs: Sequence[ToolSpec] = ()

    async def open(self) -> None:
        """Has nothing to open."""

    async def call(self, use: ToolUse) -> str:
        """Says that there is no such function."""
        return f"there is no function {use.name}"

    async def close(self) -> None:
        """Has nothing to close."""
