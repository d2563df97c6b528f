"""When a process that was sent SIGSTOP really stands still: the kernel takes its time on a busy machine."""

from __future__ import annotations

import time
from pathlib import Path

WAIT_S = 60.0


def until_stopped(pid: int) -> None:
    """Blocks until every thread of it has stopped; at once where there is no ``/proc``."""
    tasks = Path(f"/proc/{pid}/task")
    end_s = time.monotonic() + WAIT_S
    while tasks.is_dir() and not all(_is_stopped(task) for task in tasks.iterdir()):
        if time.monotonic() > end_s:
            raise TimeoutError(f"process {pid} does not stop")
        time.sleep(0.001)


def _is_stopped(task: Path) -> bool:
    try:
        return task.joinpath("stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
    except OSError:
        return True  # the thread has ended
