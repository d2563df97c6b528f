"""Measures what the serving device can do: one sentence on each lane at the same time."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor

from services.tts.admission import Capacity
from services.tts.chain import Chain
from services.tts.engine import Line
from services.tts.lanes import Lanes, Listener
from shared.errors import EngineFailed
from shared.observe import Log

SENTENCE = "One two three four, five six seven eight, nine ten eleven twelve."
ROUNDS = 2
"""The better one counts: other services start beside this one."""

log = Log("eva.tts")


async def measure(chain: Chain, lanes: Lanes, threads: Executor, *, within_s: float) -> Capacity | None:
    """Returns what the first serving engine's device can do; None: it did not speak, or not in time."""
    device = next((fact.device for fact in chain.facts() if fact.state == "serving"), "")
    count = lanes.count(device)
    try:
        async with asyncio.timeout(within_s):
            speeds = [await _round(chain, count, threads) for _ in range(ROUNDS)]
    except (EngineFailed, TimeoutError) as error:
        log.warning("tts.not_measured", device=device, reason=str(error) or f"not within {within_s:.0f} s")
        return None
    capacity = Capacity(device=device, lanes=count, speed=max(speeds))
    log.info(
        "tts.capacity", device=device, lanes=count, streams=capacity.streams,
        real_time_factor=capacity.real_time_factor,
    )  # fmt: skip
    return capacity


async def _round(chain: Chain, count: int, threads: Executor) -> float:
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    calls = [loop.run_in_executor(threads, _speak, chain) for _ in range(count)]
    made_s = sum(await asyncio.gather(*calls))
    return made_s / max(time.monotonic() - began, 1e-6)


def _speak(chain: Chain) -> float:
    """Returns how much sound was made, seconds."""
    listener = Listener()
    pieces = chain.speak(Line(text=SENTENCE), listener, language=chain.language("", ""), wanted="", asked=[])
    for _ in pieces:
        pass
    return listener.made_s
