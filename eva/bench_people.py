"""The load generator, a process of its own: ``python -m eva.bench_people URL FOLDER SEED``.

Reads orders (``Order``), one JSON object a line, and answers each with one (``Told``). ``FOLDER`` holds
``0.wav``, ``1.wav``…: what people say. Moments are of the machine's monotonic clock, which all processes
share, so that several generators and the one who orders them mean the same.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import NoReturn

import msgspec

from eva.bench_level import Generator
from eva.bench_person import Person, World
from eva.bench_script import LINES
from eva.bench_talk import Met
from eva.review_scale import percentile
from eva.wav import read_wav
from shared.service import new_event_loop

PATIENCE_S = 20.0
"""Who has not left by then, behind the end, is shown out."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One level, as one generator is to make it."""

    numbers: list[int]
    """Whom it plays."""
    joins_s: list[float]
    """When each of them comes."""
    from_s: float
    """From when on it is measured."""
    until_s: float
    """Until when; nobody asks anything new then."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    met: list[Met]
    """Questions that ended while it was measured, and whoever never got in, or was lost at any time."""
    generator: Generator


async def play(order: Order, world: World) -> Told:
    """Has people come, talk, and go; returns when all have left."""
    async with asyncio.TaskGroup() as tasks:
        people = [
            tasks.create_task(_come(Person(number, world), joins_s))
            for number, joins_s in zip(order.numbers, order.joins_s, strict=True)
        ]
        await _until(order.from_s)
        began, began_cpu = time.monotonic(), time.process_time()
        first = len(world.lates_s)
        await _until(order.until_s)
        cores = (time.process_time() - began_cpu) / max(1e-3, time.monotonic() - began)
        lates_s = world.lates_s[first:]
        world.stop.set()
        if people:
            await asyncio.wait(people, timeout=PATIENCE_S)
        for person in people:
            person.cancel()
    wanted = [one for one in world.met if _is_wanted(one, order)]
    late_ms = 1000 * percentile(lates_s, 0.99) if lates_s else 0.0
    return Told(
        met=wanted,
        generator=Generator(late_p99_ms=round(late_ms, 2), cores=round(cores, 4), people=len(world.opened)),
    )


def _is_wanted(met: Met, order: Order) -> bool:
    return met.outcome in {"not_opened", "lost"} or order.from_s <= met.asked_s < order.until_s


async def _come(person: Person, joins_s: float) -> None:
    await _until(joins_s)
    await person.live()


async def _until(when_s: float) -> None:
    await asyncio.sleep(max(0.0, when_s - time.monotonic()))


def main(url: str, folder: Path, seed: int) -> NoReturn:
    """Does what it is told to, line by line, until there is no more."""
    sounds = [read_wav(folder / f"{number}.wav") for number in range(len(LINES))]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        for line in sys.stdin:
            order = msgspec.json.decode(line, type=Order)
            told = runner.run(play(order, World(url=url, seed=seed, sounds=sounds)))
            sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
            sys.stdout.flush()
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
