"""A loop whose clock jumps to the next timer when nothing else is to be done: long dialogues test at once.

    @virtual_time
    async def test_a_session_ends_after_an_hour() -> None:
        await asyncio.sleep(3600)

``loop.time()`` is virtual, ``time.monotonic()`` is not. While a thread works for the loop
(``run_in_executor``, ``asyncio.to_thread``) the clock stands still, so that its result cannot be overtaken
by a timeout. Async fixtures run on another loop: build what the test needs inside it.

Where there are sockets it must not jump: what the kernel has not brought yet is no idleness. There a test
runs on the machine's own time, and puts the clock forward while nothing is under way.

    @put_forward
    async def test_a_line_that_was_idle_is_used(forward: Forward) -> None:
        forward(3600)
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Instead of waiting for a timer it moves the clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.threads_at_work = 0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self.threads_at_work:
            return super().select(timeout)
        self.now_s += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 0 s."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        self._jumping.threads_at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: object) -> None:
        self._jumping.threads_at_work -= 1


class _OwnTimeLoop(asyncio.SelectorEventLoop):
    """The machine's own time, and so many seconds."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


Forward = Callable[[float], None]


def put_forward(test: Callable[[Forward], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Runs an async test on a loop whose clock it can put forward."""

    def run() -> None:
        with asyncio.Runner(loop_factory=_OwnTimeLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, _OwnTimeLoop)

            def forward(seconds: float) -> None:
                loop.ahead_s += seconds

            runner.run(test(forward))

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    return run


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs an async test on a ``VirtualTimeLoop``."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
