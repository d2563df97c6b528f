"""How soon the voice is heard, how many it carries, and what becomes of its faults.

    python -m benchmarks.voice [--quick] [--only abcde] [--out docs/benchmarks.md]
        [--voices DIR] [--voice NAME] [--wyoming PYTHON]

(a) text → first audio by the length of the sentence, and (b) the whole sentence, in one run with piper-tts
and wyoming-piper; (c) streams in real time; (d) faults, with real processes; (e) formats, phrases, edges.
Writes its part of the page, and ``voice-length.svg`` and ``voice-load.svg`` beside it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import os
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from benchmarks.ears_texts import paragraphs
from benchmarks.figures import machine, write_part
from benchmarks.voice_models import Model, install
from benchmarks.voice_report import FULL, QUICK, Bench, Sizes
from benchmarks.voice_texts import INTRODUCTION
from services.tts.settings import TtsSettings

PARTS = "abcde"


async def measure(sizes: Sizes, model: Model, python: Path | None, *, only: str, page: Path) -> None:
    """Measures part by part, and writes them together."""
    date = dt.datetime.now(tz=dt.UTC).date().isoformat()
    began = time.monotonic()
    flags = " --quick" * (sizes is QUICK) + (f" --only {only}" if only != PARTS else "")
    where = (
        f"`python -m benchmarks.voice{flags}`, {date}, on {machine()}; load average at its start "
        f"{os.getloadavg()[0]:.1f}. Voice: {model.name}, {model.path.stat().st_size / 1e6:.0f} MB, "
        f"{model.threads} threads. {model.note}"
    )
    bench = Bench(sizes, page.parent, model, python)
    texts = [paragraphs("## Voice", where, INTRODUCTION)]
    for letter in only:
        sys.stderr.write(f"({letter}) at {time.monotonic() - began:.0f} s\n")
        texts.append(await bench.part(letter))
        write_part(page, "voice", "\n\n".join(texts))
    sys.stderr.write(f"done at {time.monotonic() - began:.0f} s\n")
    print("\n\n".join(texts))


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    settings = TtsSettings.read()
    here = Path(sys.executable) if importlib.util.find_spec("wyoming_piper") else None
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples")
    parser.add_argument("--only", default=PARTS, help="the parts to be measured")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    parser.add_argument("--voices", type=Path, default=settings.models_dir / "tts", help="where voices lie")
    parser.add_argument("--voice", default="", help="its name; else the largest")
    parser.add_argument("--wyoming", type=Path, default=here, help="a Python that has wyoming-piper")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory() as directory:
        model = install(options.voices, Path(directory), threads=settings.threads, name=options.voice)
        uvloop.run(measure(sizes, model, options.wyoming, only=options.only, page=options.out))


if __name__ == "__main__":
    main()
