"""Voice activity of all of a worker's sessions: one model call per tick.

A single frame waits for the tick (``services.stt.tick``: not at all with few sessions, at most 8 ms with
many) and is judged together with those of the other sessions. Several frames of one session at once, as
a replay or a file brings them, need no company: the model takes them as one run. A call that is short runs
on the event loop, where a hop to a thread would cost as much; a longer one runs in a thread.

Share of one core per session in real time, against a call for each session (``benchmarks/voice_activity.py``,
two shared cores, N = 62 frames per session): 1 session 2.2 % (1.8), 10 sessions 1.4 % (1.2), 50 sessions
0.56 % (0.85), 100 sessions 0.38 % (0.83); from a frame to its answer at 100 sessions p50 9.7, p95 15 ms.

A session is nothing but its state, which its ``Voice`` holds and which changes only when its answer is
taken: whoever is cancelled or goes leaves no trace here.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from services.stt.engine import Frames
from services.stt.threads import DaemonPool
from services.stt.tick import Tick

MAX_ON_LOOP_S = 0.002
"""A call that is expected to take longer runs in a thread."""
PIECE = 64
"""Frames of a run that are judged in one call: 2 s of audio, about 5 ms."""
THREADS = 2
"""One for ticks that are too big for the loop, one for runs."""

State = npt.NDArray[np.float32]
Judged = tuple[list[float], State]
_Timed = tuple[Judged, float]
"""What a call has said and how long it took, seconds."""


class Detector(Protocol):
    """The model; its calls block and may come from several threads at once."""

    state_size: int

    def run(self, state: State, frames: Frames) -> Judged:
        """Judges frames of one session, in order."""

    def step(self, states: State, frames: Frames) -> Judged:
        """Judges one frame of each session, a row for each."""


@dataclass(eq=False, slots=True)
class _Waiting:
    state: State
    frame: Frames
    since_s: float
    answer: asyncio.Future[Judged]


@dataclass(kw_only=True)
class ActivityCounts:
    """What was done so far."""

    calls: int = 0
    frames: int = 0
    wall_s: float = 0.0
    """In model calls."""
    longest_wait_s: float = 0.0
    """Of a frame, before the call that judged it began."""


class Activity:
    """The detector of a worker."""

    def __init__(self, detector: Detector, *, tick: Tick | None = None) -> None:
        self.detector = detector
        self.counts = ActivityCounts()
        self._tick = tick or Tick()
        self._waiting: list[_Waiting] = []
        self._timer: asyncio.Handle | None = None
        self._is_running = False
        self._threads: DaemonPool | None = None
        self._frame_s = 0.0002
        """What a frame costs in a call of many, as it was of late."""

    def open(self) -> ActivityVoice:
        """Returns one session's; it needs no closing."""
        return ActivityVoice(self)

    def close(self) -> None:
        """Lets the threads go; nobody may wait any more."""
        if self._threads is not None:
            self._threads.close()
            self._threads = None

    async def judge(self, state: State, frames: Frames) -> Judged:
        """Judges the next frames of one session; raises what the model raises."""
        if len(frames) == 1:
            return await self._in_company(state, frames)
        heard: list[float] = []
        for start in range(0, len(frames), PIECE):
            piece = frames[start : start + PIECE]
            call = _timed(functools.partial(self.detector.run, state, piece))
            timed = call() if self._is_short(len(piece)) else await self._in_thread(call)
            more, state = self._counted(len(piece), timed)
            heard += more
        return heard, state

    async def _in_company(self, state: State, frames: Frames) -> Judged:
        loop = asyncio.get_running_loop()
        now = time.perf_counter()
        waiting = _Waiting(state, frames, now, loop.create_future())
        self._waiting.append(waiting)
        self._tick.arrived(now)
        self._wind()
        return await waiting.answer

    def _wind(self) -> None:
        """Sets the timer of the next tick, if one is needed; frames of one turn of the loop share it."""
        if self._timer is not None or self._is_running or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._tick.wait_s(time.perf_counter(), self._waiting[0].since_s)
        self._timer = loop.call_later(wait_s, self._judge_all) if wait_s else loop.call_soon(self._judge_all)

    def _judge_all(self) -> None:
        self._timer = None
        together = [one for one in self._waiting if not one.answer.done()]
        self._waiting.clear()
        if not together:
            return
        longest_s = time.perf_counter() - together[0].since_s
        self.counts.longest_wait_s = max(self.counts.longest_wait_s, longest_s)

        def step() -> Judged:
            states = np.stack([one.state for one in together])
            return self.detector.step(states, np.concatenate([one.frame for one in together]))

        call = _timed(step)
        if self._is_short(len(together)):
            try:
                outcome: Judged | BaseException = self._counted(len(together), call())
            except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
                outcome = error
            _answer(together, outcome)
            return
        self._is_running = True
        self._in_thread(call).add_done_callback(lambda done: self._came_back(together, done))

    def _came_back(self, together: list[_Waiting], done: asyncio.Future[_Timed]) -> None:
        self._is_running = False
        if not done.cancelled():
            _answer(together, done.exception() or self._counted(len(together), done.result()))
        self._wind()

    def _in_thread(self, call: Callable[[], _Timed]) -> asyncio.Future[_Timed]:
        if self._threads is None:
            self._threads = DaemonPool(THREADS, "stt-voice")
        return asyncio.wrap_future(self._threads.submit(call))

    def _is_short(self, frames: int) -> bool:
        return frames * self._frame_s <= MAX_ON_LOOP_S

    def _counted(self, frames: int, timed: _Timed) -> Judged:
        judged, took_s = timed
        self.counts.calls += 1
        self.counts.frames += frames
        self.counts.wall_s += took_s
        self._frame_s += (took_s / frames - self._frame_s) / 16
        return judged


@dataclass
class ActivityVoice:
    """One session's detector; one call at a time."""

    activity: Activity
    _state: State = field(init=False)

    def __post_init__(self) -> None:
        self._state = np.zeros(self.activity.detector.state_size, dtype=np.float32)

    async def probabilities(self, frames: Frames) -> list[float]:
        """Returns how likely each frame holds speech, 0..1; if cancelled, the frames were never heard."""
        if not len(frames):
            return []
        heard, self._state = await self.activity.judge(self._state, frames)
        return heard


def _timed(call: Callable[[], Judged]) -> Callable[[], _Timed]:
    def timed() -> _Timed:
        began = time.perf_counter()
        return call(), time.perf_counter() - began

    return timed


def _answer(together: list[_Waiting], outcome: Judged | BaseException) -> None:
    if isinstance(outcome, BaseException):
        for one in together:
            if not one.answer.done():
                one.answer.set_exception(outcome)
        return
    heard, states = outcome
    for one, probability, state in zip(together, heard, states, strict=True):
        if not one.answer.done():
            one.answer.set_result(([probability], state.copy()))
