"""What a review breaks, where it may: workers of an ``eva up`` on this machine, killed in mid-turn.

Nobody but the supervisor's own children is touched: the data directory's lock names the process and the URL
of the EVA that holds it, and a worker is a child of that process that runs ``services.STAGE``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from pathlib import Path

from eva.chat_client import NotRunning
from eva.gateway_client import Gateway, GatewayRefused
from eva.review_facts import BreakSeen
from eva.review_talk import TooLate, seen, talking, typed
from services.gateway.chat_protocol import TurnStarted, UserText
from shared.errors import EvaError

STAGES = ("tts", "llm", "stt")
WHOLE_WITHIN_S = 90.0
LOOK_S = 0.2
_LOCK = re.compile(r"pid (\d+), (\S+)")


class NotOurs(EvaError):
    """The EVA under review is none of this machine's data directory; nothing of it may be broken."""

    code = "not_ours"
    hint = "--break-things needs the --data-dir of the `eva up` under review, on the same machine"


def workers_of(data_dir: Path, url: str) -> dict[str, int]:
    """Returns a worker's process id for each stage. Raises ``NotOurs``."""
    try:
        match = _LOCK.match((data_dir / "eva.lock").read_text(encoding="utf-8"))
    except OSError:
        match = None
    if match is None or match[2] != url:
        raise NotOurs(f"no `eva up` on {data_dir} is at {url}")
    return {stage: pid for pid, stage in _children(int(match[1])) if stage in STAGES}


def _children(parent: int) -> list[tuple[int, str]]:
    """Returns the processes that ``parent`` started and which service each one is."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            status = (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            argv = (place / "cmdline").read_bytes().split(b"\0")
            name = next((word.decode() for word in argv if word.startswith(b"services.")), "")
            if int(status[1]) == parent and name:
                found.append((int(place.name), name.removeprefix("services.")))
    return found


async def broken(url: str, data_dir: Path, gateway: Gateway) -> list[BreakSeen]:
    """Kills one worker of each stage in turn, each in the middle of an answer. Raises ``NotOurs``."""
    workers_of(data_dir, url)
    return [await _break(url, data_dir, gateway, stage) for stage in STAGES]


async def _break(url: str, data_dir: Path, gateway: Gateway, stage: str) -> BreakSeen:
    pid = workers_of(data_dir, url).get(stage)
    if pid is None:
        return BreakSeen(stage=stage, error="no worker of this EVA's own was found")
    try:
        async with talking(url, has_microphone=False) as (talked, ear):
            await talked.socket.send(UserText(text="Hello, how are you today?"))
            await ear.until(lambda: ear.at_s(TurnStarted) is not None, what="no turn to break")
            since_s = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(TooLate):
                await ear.until(lambda: talked.dialogue.is_settled)
            turn = seen("typed", "", talked.dialogue.turns[-1], ear, since_s=since_s, error="")
        back_s = await _whole_again(url, gateway, since_s)
    except (EvaError, ProcessLookupError) as error:
        return BreakSeen(stage=stage, error=str(error))
    return BreakSeen(stage=stage, outcome=turn.outcome, is_audible=not turn.is_mute, back_s=back_s)


async def _whole_again(url: str, gateway: Gateway, since_s: float) -> float | None:
    """Waits until every stage has a worker and a turn is audible; returns when, or None."""
    while time.monotonic() - since_s < WHOLE_WITHIN_S:
        await asyncio.sleep(LOOK_S)
        with contextlib.suppress(NotRunning, GatewayRefused):
            stages = (await gateway.health()).stages
            if all(stage in stages and stages[stage].workers for stage in STAGES) and await _is_heard(url):
                return round(time.monotonic() - since_s, 3)
    return None


async def _is_heard(url: str) -> bool:
    try:
        async with talking(url, has_microphone=False) as (talked, ear):
            turn = await typed(talked, ear, "Thank you very much.")
    except EvaError:
        return False
    return turn.outcome == "done" and not turn.is_mute
