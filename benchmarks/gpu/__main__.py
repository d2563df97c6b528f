"""What a card does for the voice, with the CPU beside it in the same run.

    python -m benchmarks.gpu --voice FILE.onnx [--device cuda:0] [--count 50] [--seconds 10] [--most 256]
        [--out benchmarks/gpu/results.md]

Where the card cannot be used, the CPU is measured alone and the page says why.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from benchmarks.figures import machine
from benchmarks.gpu.measure import (
    BATCHES,
    TEXTS,
    WINDOWS,
    Load,
    Meter,
    batches,
    bindings,
    calibrate,
    latencies,
    load,
    loads,
    say,
)
from benchmarks.gpu.report import Results, page
from services.tts import nvml
from services.tts.device import Device
from services.tts.piper import PiperVoice, load_voice
from services.tts.split_store import split
from shared.errors import EngineRefused

GPU_LANES = 2
CPU_BATCH, TIMES = 4, 20
"""A CPU takes as long for a batch as for its windows one by one: more of it would only take minutes."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to measure."""

    voice: Path
    """``<name>.onnx``, its ``.json`` beside it."""
    device: str = "cuda:0"
    count: int = 50
    seconds: float = 10.0
    most: int = 256
    """Streams."""
    threads: int = 4
    """Of one synthesis on the CPU."""
    sizes: tuple[int, ...] = BATCHES
    """Of batches."""


def run(wanted: Wanted) -> Results:
    """Measures; blocks for minutes."""
    gpu, cpu = Device.of(wanted.device, threads=wanted.threads), Device.of("cpu", threads=wanted.threads)
    library = nvml.library()
    card = nvml.find(library, gpu.index, os.environ.get("CUDA_VISIBLE_DEVICES")) if library else None
    results = Results(where=_where(wanted, card.name if card else "no card"))
    voices: dict[str, PiperVoice] = {}
    devices: dict[str, Device] = {}
    for device in (gpu, cpu):
        begin = time.perf_counter()
        try:
            voice = load_voice(wanted.voice, device=device)
        except EngineRefused as error:
            if device is cpu:
                raise
            results.why_no_gpu = f"{error.reason}. Mend it with: {error.hint}"
            continue
        for text in TEXTS.values():
            say(voice, text)
        results.cold_ms[device.name] = 1000 * (time.perf_counter() - begin)
        voices[device.name], devices[device.name] = voice, device
    results.factor = calibrate(voices["cpu"])
    for voice in voices.values():
        voice.vits.config.length_scale = voices["cpu"].vits.config.length_scale
    _said("latency")
    whole = {f"{name}, whole graph": voice.twin() for name, voice in voices.items() if voice.is_streamed}
    for voice in whole.values():
        voice.whole.open()
    results.said = latencies({**voices, **whole}, wanted.count)
    for name, voice in voices.items():
        if voice.parts is not None:
            _said(f"windows on {name}")
            sizes = [size for size in wanted.sizes if devices[name].is_cuda or size <= CPU_BATCH]
            for frames in WINDOWS:
                results.batches[name, frames] = batches(voice, frames, min(wanted.count, TIMES), sizes)
            decoder = split(wanted.voice).parts["decoder"]
            results.bindings[name] = bindings(voice, decoder, devices[name], WINDOWS[0], wanted.count)
    for name, voice in voices.items():
        meter = Meter(card.look if card else None)
        lanes = GPU_LANES if devices[name].is_cuda else max(1, (os.cpu_count() or 1) // wanted.threads)

        def step(streams: int, voice: PiperVoice = voice, lanes: int = lanes, meter: Meter = meter) -> Load:
            _said(f"{streams} streams on {voice.device}")
            return load(voice, streams, wanted.seconds, lanes=lanes, meter=meter)

        results.loads[name] = list(loads(step, wanted.most))
    return results


def _where(wanted: Wanted, card: str) -> str:
    date = dt.datetime.now(tz=dt.UTC).date().isoformat()
    size = wanted.voice.stat().st_size / 1e6
    runtime = f"ONNX Runtime {onnxruntime.__version__}"
    cuda = getattr(onnxruntime, "cuda_version", "") or "no CUDA"
    return (
        f"`python -m benchmarks.gpu`, {date}, on {card}, {machine()}; {runtime} ({cuda}). Voice: "
        f"{wanted.voice.stem}, {size:.0f} MB; {wanted.threads} threads of one synthesis on the CPU. Each "
        f"sentence {wanted.count} times, devices in turn; each load for {wanted.seconds:.0f} s."
    )


def _said(what: str) -> None:
    sys.stderr.write(f"{what}\n")


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voice", type=Path, required=True, help="a Piper voice's .onnx file")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--count", type=int, default=50, help="how often each sentence is said")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each load lasts")
    parser.add_argument("--most", type=int, default=256, help="streams at most")
    parser.add_argument("--threads", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/gpu/results.md"))
    options = vars(parser.parse_args())
    out = options.pop("out")
    text = page(run(Wanted(**options)))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
