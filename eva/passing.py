"""An EVA for the length of one command: on any free port, its conversations thrown away, the models kept."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from eva.output import complain, progress
from eva.stack import Stack, StackOptions, running
from eva.status import why_not_ready

READY_WITHIN_S = 60.0


@contextlib.asynccontextmanager
async def passing(
    data_dir: Path,
    environment: Mapping[str, str] | None = None,
    instead: Mapping[str, tuple[str, ...]] | None = None,
) -> AsyncIterator[Stack]:
    """Starts it with the models of ``data_dir``, and stops it behind the caller.

    ``instead``: what runs a stage in place of its service. Raises ``CannotStart``.
    """
    with tempfile.TemporaryDirectory(prefix="eva-") as folder:
        place = Path(folder)
        (place / "models").symlink_to(data_dir / "models")
        progress("Starting EVA…")
        options = StackOptions(
            data_dir=place,
            port=0,
            environment={"EVA_GATEWAY_AUTH": "auto", **(environment or {})},
            instead=dict(instead or {}),
        )
        async with running(options, on_change=lambda: None) as stack:
            yield stack


async def is_ready(stack: Stack) -> bool:
    """Whether a turn has been audible within a minute; complains if none has."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stack.is_ready.wait(), READY_WITHIN_S)
    if stack.is_ready.is_set():
        return True
    complain(f"EVA is not ready after {READY_WITHIN_S:.0f} s:")
    for reason in why_not_ready(stack.processes(), stack.health):
        progress(f"  {reason}")
    return False
