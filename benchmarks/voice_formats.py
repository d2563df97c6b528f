"""(e) What the last steps cost: first chunk of each format, a known phrase, edges, judging."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.voice_load import working
from benchmarks.voice_models import TEXTS, now_ms
from benchmarks.voice_peers import CHUNK_MS, RATE_HZ, synthesize
from services.tts.chain import Chain
from services.tts.encode import Encoder
from services.tts.engine import Engine, Line, Sound, Voice
from services.tts.judge import judged
from services.tts.lanes import Listener
from services.tts.segment import Orders, make
from services.tts.worker import WorkerOptions
from shared.audio import Samples, from_pcm16
from shared.messages import AudioFormat
from shared.messages.base import Codec

PIECE = 2048
"""Samples of a voice's first window, 93 ms."""
FORMATS: dict[Codec, int] = {
    "pcm": 22050, "mp3": 24000, "opus": 48000, "aac": 24000, "flac": 24000, "mulaw": 8000, "alaw": 8000,
}  # fmt: skip
EDGE_SHARE = 0.02
"""Of a sound's loudest sample: there it begins."""
PHRASE = "One moment, please."


@dataclass(frozen=True)
class FirstChunk:
    """Of one format."""

    codec: str
    rate_hz: int
    compute_ms: tuple[float, ...]
    needs_ms: float
    """Sound that must have been made before the first chunk is complete."""
    delay_ms: float
    """By how much the format itself delays the sound."""


def speech(seconds: float) -> Samples:
    """Returns a sound that is not easy to encode."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(5).normal(0.0, 0.02, len(time))
    wave = 0.3 * np.sin(2 * np.pi * 180 * time * (1 + 0.1 * np.sin(9 * time))) + noise
    return wave.astype(np.float32)


def first_chunk(codec: Codec, rate_hz: int, count: int) -> FirstChunk:
    """Measures one format."""
    sound = speech(1.0)
    times, fed, delay = [], 0, 0
    for _ in range(count):
        begin, fed = now_ms(), 0
        encoder = Encoder(AudioFormat(codec=codec, rate_hz=rate_hz), chunk_ms=CHUNK_MS)
        while fed < len(sound):
            fed += PIECE
            if any(True for _ in encoder.push(sound[fed - PIECE : fed], RATE_HZ)):
                break
        times.append(now_ms() - begin)
        delay = encoder.delay
    return FirstChunk(codec, rate_hz, tuple(times), 1000 * fed / RATE_HZ, 1000 * delay / rate_hz)


async def phrases(chain: Chain, count: int) -> tuple[list[float], list[float]]:
    """Returns the times from the order to the first chunk, ms: before a phrase is known, and once it is."""
    fresh: list[float] = []
    kept: list[float] = []
    async with working(WorkerOptions(name="bench"), chain) as desk:
        for number in range(2 * count):
            text = PHRASE if number % 2 else f"Phrase {number}, please."
            heard, done = await desk.once(text, number)
            (kept if done.is_cached else fresh).append(heard.first_ms or 0.0)
    return fresh, kept


def edge_ms(samples: Samples, rate_hz: int) -> float:
    """Returns how long a sound is silent at its start, ms."""
    loud = np.flatnonzero(np.abs(samples) > EDGE_SHARE * np.abs(samples).max())
    return 1000 * int(loud[0]) / rate_hz


def edges(engine: Engine, voice: Voice) -> tuple[float, float]:
    """Returns the silence before a voice's first sound, ms: as it makes it, and as it is sent."""
    raw = np.concatenate([sound.samples for sound in voice.speak(Line(text=TEXTS[3]))])
    orders = Orders(chunk_ms=CHUNK_MS, listener=Listener(), asked=[])
    item = synthesize(TEXTS[3], voice=voice.name, language=voice.language)
    sent = from_pcm16(
        b"".join(made.chunk.data for made in make(Chain([engine], time.monotonic), item, orders))
    )
    return edge_ms(raw, voice.rate_hz), edge_ms(sent, RATE_HZ)


def judging_ms(count: int) -> list[float]:
    """Returns what judging one second of sound costs, in the pieces of a streamed voice."""
    sound = np.tile(speech(1.0), 3)
    pieces = [Sound(samples=sound[begin : begin + PIECE]) for begin in range(0, len(sound), PIECE)]
    times = []
    for _ in range(count):
        begin = now_ms()
        for _ in judged("bench", pieces, Line(text=TEXTS[12]), RATE_HZ):
            pass
        times.append((now_ms() - begin) / 3)
    return times
