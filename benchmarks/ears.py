"""How early, quick and polite the ears are on this machine: writes its parts of ``docs/benchmarks.md``.

    python -m benchmarks.ears [--quick] [--only abcdefg] [--strict] [--out docs/benchmarks.md]

(a) speech end → final, beside plain faster-whisper with a fixed silence of 550 ms, on the same models;
(b) what is left to do at the end of a short and of a long utterance; (c) politeness at the end of a turn;
(d) word error rates; (e) sessions that a core carries, voice activity; (f) speaking while EVA speaks; (g) a
worker killed in mid-utterance.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from benchmarks.aims import Aim, judge
from benchmarks.ears_engines import sphinx, whisper
from benchmarks.ears_report import Bench, Sizes
from benchmarks.ears_texts import INTRODUCTION, paragraphs
from benchmarks.figures import machine, write_part
from benchmarks.random_whisper import BASE, TINY

FULL = Sizes(
    sessions={"pocketsphinx": 1, "Whisper tiny int8": 5, "Whisper base int8": 2},
    ours={"pocketsphinx": 16, "Whisper tiny int8": 100, "Whisper base int8": 12},
    peer={"pocketsphinx": 8, "Whisper tiny int8": 30, "Whisper base int8": 8},
    lengths={2: 6, 10: 4, 30: 4},
    steps={"pocketsphinx": (1, 2, 4), "Whisper tiny int8": (4, 8, 12, 16, 24)},
    spoken=100,
    readings=4,
    turns_each=2,
    people=10,
    stimuli=12,
    deaths=12,
    is_quick=False,
)
QUICK = Sizes(
    sessions={"pocketsphinx": 2, "Whisper tiny int8": 4},
    ours={"pocketsphinx": 4, "Whisper tiny int8": 4},
    peer={"pocketsphinx": 4, "Whisper tiny int8": 4},
    lengths={2: 1, 6: 1},
    steps={"pocketsphinx": (1,), "Whisper tiny int8": (4,)},
    spoken=4,
    readings=0,
    turns_each=1,
    people=4,
    stimuli=4,
    deaths=1,
    is_quick=True,
)


async def measure(sizes: Sizes, only: str, page: Path) -> list[Aim]:
    """Measures part by part, each written as soon as it is there; returns what was aimed at and reached."""
    date = dt.datetime.now(tz=dt.UTC).date().isoformat()
    began = time.monotonic()
    if only == "abcdefg":
        quick = " --quick" if sizes.is_quick else ""
        where = f"`python -m benchmarks.ears{quick}`, {date}, on {machine()}; load average at its start "
        write_part(page, "ears", paragraphs("## Ears", f"{where}{os.getloadavg()[0]:.1f}.", INTRODUCTION))
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        sizes_of_models = [TINY] if sizes.is_quick else [TINY, BASE]
        engines = [sphinx(folder), *(whisper(folder, size) for size in sizes_of_models)]
        bench = Bench(sizes, {engine.name: engine for engine in engines}, page.parent)
        for letter in only:
            sys.stderr.write(f"({letter}) at {time.monotonic() - began:.0f} s\n")
            text = await bench.part(letter)
            alone = "" if only == "abcdefg" else f"\n\nMeasured alone, {date}, on {machine()}."
            write_part(page, f"ears {letter}", text + alone)
    sys.stderr.write(f"done at {time.monotonic() - began:.0f} s\n")
    return bench.aims


def main() -> int:
    """Measures and writes; returns 1 where ``--strict`` and an aim was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples")
    parser.add_argument("--only", default="abcdefg", help="the parts to be measured")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    parser.add_argument("--strict", action="store_true", help="exit 1 where an aim is missed")
    options = parser.parse_args()
    aims = uvloop.run(measure(QUICK if options.quick else FULL, options.only, options.out))
    return judge(aims, is_strict=options.strict)


if __name__ == "__main__":
    sys.exit(main())
