"""One process that ``eva up`` keeps alive: in a group of its own, logged to a file, restarted when it dies.

It cannot outlive its parent: on Linux the kernel kills it when ``eva up`` dies, even by ``kill -9``
(``PR_SET_PDEATHSIG``, asked for between fork and exec, so that no moment is left open). Its output goes
straight to the file, not through a pipe, so that it never waits for its supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eva.restart import Deaths, after_death

ChildState = Literal["starting", "running", "waiting", "stopped"]
_TAIL_BYTES = 8192
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is to run."""

    name: str
    """Of the process in status lines, and of its log file."""
    stage: str
    argv: tuple[str, ...]
    environment: dict[str, str]


def die_with_parent() -> Callable[[], None] | None:
    """Returns what a child does before exec so that it dies with this process; None where it cannot."""
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - only where it is needed

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the request
            os._exit(1)

    return before_exec


def last_words(log: str) -> str:
    """Returns the line of a log that says best why a process ended: its last error, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("{") and '"ERROR"' in line:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                hint = f" → {entry['hint']}" if entry.get("hint") else ""
                return str(entry.get("reason") or entry.get("event")) + hint
        _, is_error, said = line.partition(" ERROR ")
        if is_error:
            reason, _, hint = (said.partition("reason=")[2] or said.strip()).partition(" hint=")
            return f"{reason} → {hint}" if hint else reason
    return lines[-1] if lines else ""


class Child:
    """Keeps one program running until it is told to stop."""

    def __init__(self, program: Program, logs: Path, *, on_change: Callable[[], None]) -> None:
        self.program = program
        self.state: ChildState = "starting"
        self.pid: int | None = None
        self.deaths = Deaths()
        self.reason = ""
        """Why it died last."""
        self.log = logs / f"{program.name}.log"
        self._on_change = on_change
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Starts the program, and starts it anew after each death, until ``stop``."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        while not self._stopping.is_set():
            began_s = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                break
            restart = after_death(self.deaths, exit_code=code, alive_s=time.monotonic() - began_s)
            self.deaths = restart.deaths
            self.reason = f"{_how(code)}: {self._last_words()}".rstrip(": ")
            self._change("waiting")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), restart.delay_s)
        self._change("stopped")

    async def _run_once(self) -> int:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.program.environment,
                process_group=0,
                preexec_fn=die_with_parent(),
            )
        self.pid = self._process.pid
        self._change("running")
        try:
            if self._stopping.is_set():  # it was told to stop while it was being started
                self.signal(signal.SIGTERM)
            return await self._process.wait()
        finally:
            self.kill()
            self.pid = None

    def _last_words(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            return last_words(log.read().decode(errors="replace"))

    def _change(self, state: ChildState) -> None:
        self.state = state
        self._on_change()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> None:
        """Ends the process and what it has started itself, at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Asks the process to drain; ``run`` returns when it has ended."""
        self._stopping.set()
        self.signal(signal.SIGTERM)


def _how(code: int) -> str:
    """Returns how a process ended, in words."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return {0: "ended", 2: "its settings cannot work", 3: "no engine can serve"}.get(
        code, f"exit code {code}"
    )
