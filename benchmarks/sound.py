"""What is done to a voice's sound costs: formats at every rate, edges, gain, pitch; and what it is worth.

    python -m benchmarks.sound [--count 200] [--voice FILE.onnx ...]

No network, no broker: one thread, the parts themselves. A piece is what Piper's first window gives, 2,048
samples at 22,050 Hz (93 ms). ``benchmarks.voice`` measures the same parts within the whole voice.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.figures import Figure, figure, machine, table
from services.gateway.flac import FlacStream
from services.tts import espeak
from services.tts.codecs import OPUS_RATE_HZ, usable_rate
from services.tts.encode import Encoder
from services.tts.engine import NEUTRAL, Line, Prosody, Voice
from services.tts.finish import Finish
from services.tts.loudness import TEST_LINES, Levels, measure
from services.tts.piper import load_voice
from services.tts.pitch import factor
from shared.audio import Samples
from shared.messages import AudioFormat
from shared.messages.base import Codec
from tests.models import tiny_voice

RATE_HZ, PIECE = 22050, 2048
RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
CODECS: tuple[Codec, ...] = ("pcm", "mulaw", "alaw", "flac", "mp3", "aac")
BEGINNINGS = (
    "Hello", "For now", "She said that", "This is how", "Sometimes", "Well", "Perhaps", "Tomorrow",
    "In the end", "Five of them say",
)  # fmt: skip
ENDS = ("it will rain.", "we are here!", "nobody knows?", "that is fine.", "there is time.", "I agree.")
"""Sixty short lines."""


def speech(seconds: float) -> Samples:
    """Returns a sound that is not easy to encode."""
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(5).normal(0.0, 0.02, len(at))
    return (0.2 * np.sin(2 * np.pi * 180 * at * (1 + 0.1 * np.sin(9 * at))) + noise).astype(np.float32)


def timed_ms(do: Callable[[], object]) -> float:
    """Returns how much of this thread's processor time it took, ms: other work on the machine counts less."""
    begin = time.thread_time()
    do()
    return 1000 * (time.thread_time() - begin)


def pieces(sound: Samples) -> list[Samples]:
    """Cuts a sound as a voice gives it."""
    return [sound[at : at + PIECE] for at in range(0, len(sound), PIECE)]


def first_chunks(count: int) -> Iterable[Figure]:
    """Yields, for each format and rate, the work before the first chunk of 60 ms."""
    sound = speech(0.5)
    for codec, rate_hz in [*itertools.product(CODECS, RATES_HZ), ("opus", OPUS_RATE_HZ)]:
        wanted = AudioFormat(codec=codec, rate_hz=rate_hz)
        fed = 0

        def make(wanted: AudioFormat = wanted) -> None:
            nonlocal fed
            encoder = Encoder(wanted)
            for number, piece in enumerate(pieces(sound), 1):
                fed = number
                if list(encoder.push(piece, RATE_HZ)):
                    return

        times = [timed_ms(make) for _ in range(count)]
        delay_ms = 1000 * Encoder(wanted).delay / usable_rate(wanted)
        note = f"after {1000 * fed * PIECE / RATE_HZ:.0f} ms of sound, decoder's delay {delay_ms:.0f} ms"
        yield figure(f"{codec} {rate_hz}", times, note)


def numbering(count: int) -> Figure:
    """Returns what the gateway spends on a chunk of FLAC frames."""
    encoder, stream = Encoder(AudioFormat(codec="flac", rate_hz=48000)), FlacStream(48000)
    chunks = [chunk for piece in pieces(speech(60.0)) for chunk in encoder.push(piece, RATE_HZ)]
    times = [timed_ms(lambda chunk=chunk: stream.add(chunk.packets)) for chunk in chunks[:count]]  # type: ignore[misc]
    return figure("gateway: FLAC chunk numbered", times)


def finishes(count: int) -> Iterable[Figure]:
    """Yields what a piece costs on its way through ``Finish``."""
    for name, gain_db, prosody in (
        ("finish: neutral", 0.0, NEUTRAL),
        ("finish: gain", 3.0, NEUTRAL),
        ("finish: gain and pitch", 3.0, Prosody(pitch=2.0)),
        ("finish: everything limited", 12.0, NEUTRAL),
    ):
        finish = Finish(RATE_HZ, prosody, voice_gain_db=gain_db)
        sound = itertools.cycle(pieces(speech(5.0)))
        yield figure(name, [timed_ms(lambda: finish.push(next(sound))) for _ in range(count)])  # noqa: B023 - run at once


def pitches(count: int) -> Iterable[Figure]:
    """Yields what two semitones cost: another rate for the resampler, and FFmpeg's ``atempo``."""
    sound = itertools.cycle(pieces(speech(5.0)))
    for name, rate_hz in (("plain", RATE_HZ), ("pitch by the rate", round(RATE_HZ * factor(2.0)))):
        encoder = Encoder(AudioFormat(codec="pcm", rate_hz=24000))
        times = [timed_ms(lambda: list(encoder.push(next(sound), rate_hz))) for _ in range(count)]  # noqa: B023 - run at once
        yield figure(f"to 24 kHz: {name}", times, "no delay of its own")
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=RATE_HZ, format="fltp", layout="mono", time_base=Fraction(1, RATE_HZ)
    )
    chain = [
        source,
        graph.add("asetrate", str(round(RATE_HZ * factor(2.0)))),
        graph.add("atempo", str(1 / factor(2.0))),
        graph.add("aresample", "24000"),
        graph.add("abuffersink"),
    ]
    for one, other in itertools.pairwise(chain):
        one.link_to(other)
    graph.configure()
    fed = got = 0

    def push() -> None:
        nonlocal fed, got
        frame = av.AudioFrame.from_ndarray(next(sound).reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, fed
        fed += frame.samples
        graph.push(frame)
        while True:
            try:
                ready = graph.pull()
                assert isinstance(ready, av.AudioFrame)
                got += ready.samples
            except (av.BlockingIOError, av.EOFError):
                return

    times = [timed_ms(push) for _ in range(count)]
    held_ms = 1000 * (fed / RATE_HZ - got / 24000)
    yield figure("to 24 kHz: asetrate and atempo", times, f"holds back {held_ms:.0f} ms")


def said(voice: Voice, text: str) -> Samples:
    """Returns all that a voice makes of a line."""
    return np.concatenate([sound.samples for sound in voice.speak(Line(text=text))])


def edges(voices: Iterable[Voice]) -> Iterable[Figure]:
    """Yields how much silence is cut in front of a line, ms."""
    for voice in voices:
        cut = []
        for beginning, end in itertools.product(BEGINNINGS, ENDS):
            finish = Finish(voice.rate_hz)
            finish.push(said(voice, f"{beginning}, {end}"))
            cut.append(1000 * finish.shift_s)
        yield figure(f"cut in front: {voice.name}", cut)


def loudness(voices: Iterable[Voice]) -> Iterable[Figure]:
    """Yields how loud lines are, LUFS, as the voice makes them and as they are sent."""
    levels = Levels()
    for voice in voices:
        levels.learn(voice, [said(voice, TEST_LINES.get(voice.language, TEST_LINES["en"]))])
        gain_db = levels.gain_db(voice)
        raw, sent = [], []
        for beginning, end in itertools.product(BEGINNINGS, ENDS):
            sound = said(voice, f"{beginning}, {end}")
            finish = Finish(voice.rate_hz, voice_gain_db=gain_db)
            raw.append(measure(sound, voice.rate_hz))
            sent.append(measure(np.concatenate([finish.push(sound), finish.end()]), voice.rate_hz))
        yield figure(f"LUFS as made: {voice.name}", raw)
        yield figure(f"LUFS as sent: {voice.name}", sent, f"gain {gain_db:+.1f} dB")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--voice", type=Path, action="append", default=[], help="a Piper voice's .onnx")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tiny_voice.install(Path(folder), "en_US-tiny-low")
        models = [*Path(folder).rglob("*.onnx"), *wanted.voice]
        offline = espeak.load()
        voices: list[Voice] = [
            *offline.voices(),
            *(load_voice(model, device="cpu", threads=1) for model in models),
        ]
        print(f"{machine()}\n")
        costs = [
            *first_chunks(wanted.count), numbering(wanted.count), *finishes(wanted.count),
            *pitches(wanted.count),
        ]  # fmt: skip
        print(table(costs, "ms of one core"), "\n")
        print(table(list(edges(voices)), "ms"), "\n")
        print(table(list(loudness(voices)), "LUFS"))


if __name__ == "__main__":
    main()
