"""``eva up`` as a process of its own, on any free port, with a data directory of the test's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 200.0


class EvaProcess:
    """A running EVA. ``ready`` is what it printed when it was; ``progress`` grows as it says more."""

    def __init__(self, data_dir: Path, argv: list[str] | None = None, **variables: str) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("EVA_", "GROQ_"))}
        environment = {
            **kept, "PYTHONPATH": str(ROOT), "EVA_DATA_DIR": str(data_dir), "EVA_LLM_DISCOVER": "off",
            **variables,
        }  # fmt: skip
        self.data_dir = data_dir
        self.progress: list[str] = []
        self.process = subprocess.Popen(
            argv or [sys.executable, "-m", "eva", "up", "--port", "0", "--json"],
            env=environment, cwd=ROOT if argv else data_dir.parent, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read_progress, daemon=True)
        self._reader.start()
        self.ready: dict[str, Any] = {}

    def _read_progress(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.progress.append(line.rstrip())

    def wait_ready(self) -> dict[str, Any]:
        """Returns what EVA printed when it was ready; fails with all that it said if it never was."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(READY_WITHIN_S, self.kill_group)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        assert line, "EVA was not ready:\n" + "\n".join(self.progress[-40:]) + self.logs()
        self.ready = json.loads(line)
        return self.ready

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self.ready["url"])

    def pids(self) -> dict[str, int]:
        """The processes that it named when it was ready."""
        return dict(self.ready["processes"])

    def logs(self) -> str:
        """The last lines of all logs."""
        files = sorted((self.data_dir / "logs").glob("*.log"))
        return "".join(
            f"\n--- {file.name}\n" + "\n".join(file.read_text().splitlines()[-15:]) for file in files
        )

    def stop(self, *, within_s: float = 60.0) -> tuple[int, float]:
        """Presses Ctrl-C; returns the exit code and how long it took."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(within_s)
        return code, time.monotonic() - began_s

    def kill_group(self) -> None:
        """Ends everything, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()

    def close(self) -> None:
        """Stops it if it still runs and frees the pipes."""
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill_group()
                self.process.wait()
        self._reader.join(60)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def children_of(pid: int) -> set[int]:
    """Returns all descendants of a process."""
    found: set[int] = set()
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    wave = {pid}
    while wave:
        wave = {child for child, parent in parents.items() if parent in wave} - found
        found |= wave
    return found
