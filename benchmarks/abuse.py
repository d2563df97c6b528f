"""What attacks cost whoever talks meanwhile: turns of a good client beside each attack, against the quiet.

    python -m benchmarks.abuse --seconds 10

One gateway process on a real broker, workers without models, a client that has turn after turn, and attackers
in processes of their own (``tests/abuse/attackers.py``). Before each attack the same client is measured in
quiet, so that each ratio is of one minute. The attackers, the workers and the client share the machine with
the gateway: on few cores a part of what is seen is theirs. Prints a table for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.abuse.attackers import ATTACKS
from tests.abuse.target import Companion, Target, target

HEAD = (
    "| attack | answered with | turns quiet / beside | failed | p95 quiet, ms | p95 beside, ms | ratio "
    "| longest |\n"
    "|---|---|---|---|---|---|---|---|"
)


def p95_ms(took_s: list[float]) -> float:
    """Returns the 95th percentile in milliseconds."""
    return 1000 * sorted(took_s)[min(len(took_s) - 1, int(0.95 * len(took_s)))]


async def for_seconds(companion: Companion, seconds: float) -> list[float]:
    """Returns how long the first sound of each turn took, of turns in so many seconds."""
    companion.took_s.clear()
    talking = asyncio.create_task(companion.talk())
    await asyncio.wait({talking}, timeout=seconds)
    return await _stopped(talking, companion)


async def _stopped(talking: asyncio.Task[None], companion: Companion) -> list[float]:
    if talking.done():
        talking.result()
    await companion.pause(talking)
    return list(companion.took_s)


async def measure(place: Target, companion: Companion, kind: str, seconds: float) -> str:
    """Returns a row of the table."""
    quiet = await for_seconds(companion, seconds)
    companion.took_s.clear()
    attacking = asyncio.create_task(place.attack(kind, seconds=seconds))
    talking = asyncio.create_task(companion.talk())
    told = await attacking
    beside = await _stopped(talking, companion)
    before_ms, beside_ms = p95_ms(quiet), p95_ms(beside)
    answers = ", ".join(f"{answer} × {count}" for answer, count in sorted(told["answers"].items()))
    return (
        f"| {kind.replace('_', ' ')} | {answers} | {len(quiet)} / {len(beside)} | {len(companion.failed)} "
        f"| {before_ms:.0f} | {beside_ms:.0f} | {beside_ms / before_ms:.2f} | {1000 * max(beside):.0f} |"
    )


async def run(seconds: float, kinds: list[str]) -> None:
    """Measures, and prints."""
    key = secrets.token_hex(32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in kinds:
            (folder / kind).mkdir()
        sys.stdout.write(HEAD + "\n")
        for kind in kinds:
            asked = key if kind == "wrong_key" else ""
            async with (
                target(folder / kind, key=asked, EVA_GATEWAY_AHEAD_S="60") as place,
                place.companion(authorization=f"Bearer {key}") as companion,
            ):
                await for_seconds(companion, 2.0)
                sys.stdout.write(await measure(place, companion, kind, seconds) + "\n")
                sys.stdout.flush()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--attack", action="append", choices=sorted(ATTACKS), help="only these")
    options = parser.parse_args()
    asyncio.run(run(options.seconds, options.attack or list(ATTACKS)))


if __name__ == "__main__":
    main()
