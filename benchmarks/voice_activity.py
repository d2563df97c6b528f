"""What voice activity costs per session in real time: one model call per tick against one for each session.

Every session has a frame each 32 ms, in a phase of its own, as microphones have. Told are the share of one
core that a session takes (CPU time of the whole process, the loop's own work included) and how long a frame
waited for its answer. ``python -m benchmarks.voice_activity [--quick]``; services are not needed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np
import uvloop

from services.stt.activity import Activity
from services.stt.engine import FRAME, RATE_HZ, Frames, Voice
from services.stt.vad import SileroModel, silero_path

FRAME_S = FRAME / RATE_HZ
SESSIONS = (1, 10, 50, 100)


@dataclass(frozen=True, kw_only=True)
class VoiceCost:
    """One way of doing it at one number of sessions."""

    sessions: int
    is_batched: bool
    frames: int
    """That were judged: the N of the figures."""
    frames_per_call: float
    core_percent_per_session: float
    """Of one core, in real time."""
    wait_p50_ms: float
    wait_p95_ms: float
    wait_max_ms: float
    """From handing a frame over to its probability."""


def measure(*, quick: bool = False, sessions: tuple[int, ...] = SESSIONS) -> list[VoiceCost]:
    """Measures both ways at each number of sessions. Blocks for about 2 s a figure; quick: 0.5 s."""
    model = SileroModel(silero_path())
    seconds = 0.5 if quick else 2.0
    costs = []
    for count in sessions:
        for is_batched in (False, True):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_measured(model, count, 0.3, is_batched=is_batched))
                costs.append(runner.run(_measured(model, count, seconds, is_batched=is_batched)))
    return costs


async def _measured(model: SileroModel, sessions: int, seconds: float, *, is_batched: bool) -> VoiceCost:
    activity = Activity(model)
    make: Callable[[], Voice] = activity.open if is_batched else model.open
    noise = np.random.default_rng(0).normal(0.0, 0.05, (64, FRAME)).astype(np.float32)
    waits: list[float] = []
    idle_cpu_s = await _cpu_of(_speak_all(_Deaf, sessions, seconds, noise, []))
    cpu_s = await _cpu_of(_speak_all(make, sessions, seconds, noise, waits))
    activity.close()
    calls = activity.counts.calls if is_batched else len(waits)
    p50, p95 = np.percentile(waits, [50, 95])
    return VoiceCost(
        sessions=sessions,
        is_batched=is_batched,
        frames=len(waits),
        frames_per_call=len(waits) / calls,
        core_percent_per_session=100 * max(0.0, cpu_s - idle_cpu_s) / seconds / sessions,
        wait_p50_ms=1000 * float(p50),
        wait_p95_ms=1000 * float(p95),
        wait_max_ms=1000 * max(waits),
    )


class _Deaf:
    """Costs nothing: what is left is the microphones' own cost."""

    async def probabilities(self, frames: Frames) -> list[float]:
        return [0.0] * len(frames)


async def _cpu_of(work: Awaitable[None]) -> float:
    began = time.process_time()
    await work
    return time.process_time() - began


async def _speak_all(
    make: Callable[[], Voice], sessions: int, seconds: float, noise: Frames, waits: list[float]
) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(sessions):
            tasks.create_task(_microphone(make(), number / sessions, seconds, noise, waits))


async def _microphone(voice: Voice, phase: float, seconds: float, noise: Frames, waits: list[float]) -> None:
    began = time.perf_counter() + phase * FRAME_S
    for number in range(int(seconds / FRAME_S)):
        due = began + number * FRAME_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        at = time.perf_counter()
        await voice.probabilities(noise[number % len(noise)][None])
        waits.append(time.perf_counter() - at)


def main() -> None:
    """Prints the figures."""
    print("sessions  way         frames  per call  core %/session  wait p50 / p95 / max ms")
    for cost in measure(quick="--quick" in sys.argv):
        way = "one call" if cost.is_batched else "each its own"
        print(
            f"{cost.sessions:8}  {way:12}{cost.frames:6}{cost.frames_per_call:10.1f}"
            f"{cost.core_percent_per_session:16.2f}"
            f"  {cost.wait_p50_ms:.2f} / {cost.wait_p95_ms:.2f} / {cost.wait_max_ms:.2f}"
        )


if __name__ == "__main__":
    main()
