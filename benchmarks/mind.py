"""How soon the mind begins, and what becomes of its faults: writes its parts of ``docs/benchmarks.md``.

    python -m benchmarks.mind [--quick] [--only abcd] [--strict] [--out docs/benchmarks.md]

(a) a provider that swings from 190 to 2100 ms, against the plain SDK and EVA, on virtual time; (b) the same
in real time; (c) what the machinery of a turn costs; (d) every fault, with real processes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import time
from pathlib import Path

import uvloop

from benchmarks.aims import Aim, judge
from benchmarks.ears_texts import paragraphs
from benchmarks.figures import machine, write_part
from benchmarks.mind_report import FULL, QUICK, Bench, Sizes
from benchmarks.mind_texts import INTRODUCTION

PARTS = "abcd"


async def measure(sizes: Sizes, only: str, page: Path, *, flags: str) -> list[Aim]:
    """Measures part by part, and writes them together; returns what was aimed at and reached."""
    date = dt.datetime.now(tz=dt.UTC).date().isoformat()
    began = time.monotonic()
    where = f"`python -m benchmarks.mind{flags}`, {date}, on {machine()}; load average at its start "
    bench = Bench(sizes, page.parent)
    texts = [paragraphs("## Mind", f"{where}{os.getloadavg()[0]:.1f}.", INTRODUCTION)]
    for letter in only:
        sys.stderr.write(f"({letter}) at {time.monotonic() - began:.0f} s\n")
        texts.append(await bench.part(letter))
        write_part(page, "mind", "\n\n".join(texts))
    sys.stderr.write(f"done at {time.monotonic() - began:.0f} s\n")
    print("\n\n".join(texts))
    return bench.aims


def main() -> int:
    """Measures and writes; returns 1 where ``--strict`` and an aim was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples")
    parser.add_argument("--only", default=PARTS, help="the parts to be measured")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    parser.add_argument("--strict", action="store_true", help="exit 1 where an aim is missed")
    options = parser.parse_args()
    flags = " --quick" * options.quick + (f" --only {options.only}" if options.only != PARTS else "")
    sizes = QUICK if options.quick else FULL
    aims = uvloop.run(measure(sizes, options.only, options.out, flags=flags))
    return judge(aims, is_strict=options.strict)


if __name__ == "__main__":
    sys.exit(main())
