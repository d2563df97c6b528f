"""``eva up``: starts EVA, shows it while it runs, stops it on Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eva.output import columns, is_plain, progress, result, result_json
from eva.stack import Stack, StackOptions, running
from eva.status import HEADER, announcement, as_json, process_row, why_not_ready

READY_WITHIN_S = 60.0
TAIL_EVERY_S = 0.2
LOOK_AGAIN_S = 0.5


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """What ``eva up`` was asked for."""

    stack: StackOptions
    is_verbose: bool = False
    is_json: bool = False
    ready_within_s: float = READY_WITHIN_S
    asks_for_key: bool = False


class Display(Protocol):
    """Shows the processes on stderr."""

    def show(self, rows: list[list[str]]) -> None:
        """Shows rows as ``status.process_row`` makes them."""

    def close(self) -> None:
        """Leaves the terminal as it was."""


class Lines:
    """A line for each change: for logs, pipes and terminals without colours."""

    def __init__(self) -> None:
        self._shown: dict[str, list[str]] = {}

    def show(self, rows: list[list[str]]) -> None:
        """Prints what has changed."""
        for row in rows:
            if self._shown.get(row[0]) != row:
                self._shown[row[0]] = row
                name, pid, state, engine, restarts = row
                again = f", restarts {restarts}" if restarts != "0" else ""
                progress(f"{name:10} {state}{f': {engine}' if engine else ''} (pid {pid}{again})")

    def close(self) -> None:
        """Nothing to do."""


class Table:
    """A table that changes in place."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only for terminals
        from rich.live import Live  # noqa: PLC0415

        # Lines on a stdout that is piped must go there, not above the table.
        is_shared = sys.stdout.isatty()
        self._live = Live(console=Console(stderr=True), auto_refresh=False, redirect_stdout=is_shared)
        self._live.start()
        self._shown: list[list[str]] = []

    def show(self, rows: list[list[str]]) -> None:
        """Draws the table anew if something has changed."""
        if rows == self._shown:
            return
        self._shown = rows
        from rich.text import Text  # noqa: PLC0415

        width = self._live.console.width
        lines = [line[: width - 1] for line in columns([HEADER, *rows])]
        self._live.update(Text("\n".join(lines)), refresh=True)

    def close(self) -> None:
        """Leaves the last table standing."""
        self._live.stop()


class LogTail:
    """Copies what is added to log files to stderr, each line under its process's name."""

    def __init__(self, logs: list[Path]) -> None:
        self._places = dict.fromkeys(logs, 0)

    def copy(self) -> None:
        """Copies the whole lines that are new."""
        for path, place in self._places.items():
            with contextlib.suppress(OSError), path.open("rb") as log:
                if log.seek(0, 2) < place:
                    place = 0  # noqa: PLW2901 - the file was begun anew
                log.seek(place)
                new = log.read()
                whole = new[: new.rfind(b"\n") + 1]
                self._places[path] = place + len(whole)
                for line in whole.decode(errors="replace").splitlines():
                    progress(f"{path.stem:8} {line}")

    async def run(self) -> None:
        """Copies until cancelled."""
        while True:
            self.copy()
            await asyncio.sleep(TAIL_EVERY_S)


async def up(options: UpOptions) -> int:
    """Runs EVA until it is told to stop; returns the exit code."""
    changed, stop = asyncio.Event(), asyncio.Event()
    display: Display = Lines() if options.is_verbose or is_plain(sys.stderr) else Table()
    with contextlib.closing(display):
        async with running(options.stack, on_change=changed.set) as stack:
            _obey_signals(stack, stop)
            async with asyncio.TaskGroup() as tasks:
                showing = [
                    tasks.create_task(_show(stack, display, changed), name="display"),
                    tasks.create_task(_announce(stack, options), name="announce"),
                ]
                if options.is_verbose:
                    logs = [options.stack.data_dir / "logs" / f"{one.name}.log" for one in stack.processes()]
                    showing.append(tasks.create_task(LogTail(logs).run(), name="logs"))
                await stop.wait()
                progress("Stopping…")
                for task in showing:
                    task.cancel()
    return 0


def _obey_signals(stack: Stack, stop: asyncio.Event) -> None:
    """The first Ctrl-C or SIGTERM drains, the second one kills."""

    def on_signal() -> None:
        if stop.is_set():
            stack.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


async def _show(stack: Stack, display: Display, changed: asyncio.Event) -> None:
    while True:
        display.show([process_row(process, stack.health) for process in stack.processes()])
        await changed.wait()
        changed.clear()


async def _is_ready_within(stack: Stack, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stack.is_ready.wait(), seconds)
    return stack.is_ready.is_set()


async def _say_why_not(stack: Stack) -> None:
    """Says until EVA is ready why it is not, each reason once: who dies may be starting anew just now."""
    told: set[str] = set()
    while True:
        for reason in why_not_ready(stack.processes(), stack.health):
            what, _, _ = reason.partition(" (")  # without how often
            if what not in told:
                told.add(what)
                progress(f"  {reason}")
        if await _is_ready_within(stack, LOOK_AGAIN_S):
            return


async def _announce(stack: Stack, options: UpOptions) -> None:
    """Says that EVA is ready, or after a minute why it is not; it goes on trying then."""
    if not await _is_ready_within(stack, options.ready_within_s):
        progress(f"EVA is not ready after {options.ready_within_s:.0f} s, and goes on trying:")
        await _say_why_not(stack)
    while (health := stack.health) is None:  # noqa: ASYNC110 - lost in the same moment; it is looked for anyway
        await asyncio.sleep(LOOK_AGAIN_S)
    progress(
        "It asks for an API key: `eva keys add NAME` makes one, and this command reads EVA_API_KEY."
        if options.asks_for_key
        else "It asks for no API key (EVA_GATEWAY_AUTH)."
    )
    if options.is_json:
        result_json(as_json(stack.url, health, stack.first_turn_ms, stack.processes()))
    else:
        for line in announcement(stack.url, health, stack.first_turn_ms):
            result(line)
        progress(f'Talk to it: eva say "Hello!" --url {stack.url}   (Ctrl-C stops EVA)')
