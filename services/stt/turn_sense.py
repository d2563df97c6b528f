"""Asks the turn model whether a person is done, off the event loop and never for long.

It is a witness more, not a condition: what it does not answer in time, or fails to, is no opinion. After
three such in a row it has a rest, so that a busy machine is not made busier, and is asked again behind it.
"""

from __future__ import annotations

import asyncio

from services.stt.engine import RATE_HZ, Pcm, TurnModel
from services.stt.threads import DaemonPool
from shared.errors import EngineFailed
from shared.messages import EngineFact
from shared.observe import Log

log = Log("eva.stt")

HEARD = 8 * RATE_HZ
"""Samples that it listens to."""
TIMEOUT_S = 0.3
MAX_FAILURES = 3
REST_S = 30.0


class TurnSense:
    """A worker's turn model, one call at a time."""

    def __init__(self, model: TurnModel, *, rest_s: float = REST_S) -> None:
        self.model = model
        self._rest_s = rest_s
        self._thread = DaemonPool(1, "stt-turn")
        self._failures = 0
        self._rests_until = 0.0

    @property
    def fact(self) -> EngineFact:
        """What is published about it."""
        info, is_resting = self.model.info, self._failures >= MAX_FAILURES
        return EngineFact(
            name=info.name,
            state="failed" if is_resting else "serving",
            model=info.model,
            model_sha256=info.model_sha256,
            device=info.device,
            detail=f"no opinion in time {MAX_FAILURES} times in a row" if is_resting else "hears turns end",
        )

    async def probability(self, pcm: Pcm) -> float | None:
        """Returns how likely the person is done, 0..1; None: it does not say."""
        now = asyncio.get_running_loop().time
        if now() < self._rests_until:
            return None
        piece = pcm[-HEARD:]
        call = self._thread.submit(lambda: self.model.probability(piece))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                probability = await asyncio.wrap_future(call)
        except (TimeoutError, EngineFailed) as error:
            self._failures += 1
            if self._failures >= MAX_FAILURES:
                self._rests_until = now() + self._rest_s
            log.warning("stt.turn_model_failed", model=self.model.info.model, reason=str(error) or "too slow")
            return None
        self._failures = 0
        return probability

    def close(self) -> None:
        """Lets the thread go."""
        self._thread.close()
