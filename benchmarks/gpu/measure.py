"""What is measured of a voice on a device. Needs no more of EVA than the voice: see README.md."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from services.tts.device import Array, Device
from services.tts.device_watch import Reading, Unanswered
from services.tts.engine import Line
from services.tts.lanes import Lanes
from services.tts.piper import PiperVoice
from services.tts.piper_model import SplitModel, Voicing, section_inputs

TEXTS = {
    3: "Good morning, everybody.",
    12: "The train to the coast leaves at seven, so we should hurry.",
    40: (
        "When the rain had stopped at last, the children ran down the narrow road to the river, where an old "
        "man in a yellow coat was already waiting with his little boat, two oars and a basket full of apples."
    ),
}
"""One sentence each, by its words; the same as in ``benchmarks.voice``."""
PHONES_A_SECOND = 14.0
WARM_UP = 3
BATCHES = (1, 2, 4, 8, 16, 32)
WINDOWS = (32, 152)
"""Frames that the decoder computes for a first window and for a long one, margins included."""
GRACE_S = 0.005
"""A piece that is later by less is not noticed behind any client's buffer."""
AHEAD_S = 2.0
BROKEN_SHARE = 0.01
"""Of the sentences that may break off where streams still count as carried."""
METER_EVERY_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Said:
    """One sentence."""

    first_ms: float
    whole_ms: float
    audio_s: float


def say(voice: PiperVoice, text: str) -> Said:
    """Lets the voice say it, nobody else wanting the device."""
    begin = time.perf_counter()
    first_ms, samples = 0.0, 0
    for sound in voice.speak(Line(text=text)):
        first_ms = first_ms or 1000 * (time.perf_counter() - begin)
        samples += len(sound.samples)
    return Said(
        first_ms=first_ms, whole_ms=1000 * (time.perf_counter() - begin), audio_s=samples / voice.rate_hz
    )


def calibrate(voice: PiperVoice) -> float:
    """Makes a voice of random weights say as many sounds a second as people do; returns the factor."""
    phones = sum(phoneme.isalpha() for sentence in voice.vits.phonemize(TEXTS[12]) for phoneme in sentence)
    by = phones / say(voice, TEXTS[12]).audio_s / PHONES_A_SECOND
    if 0.7 <= by <= 1.3:
        return 1.0
    voice.vits.config.length_scale *= by
    return by


def latencies(voices: dict[str, PiperVoice], count: int) -> dict[tuple[str, int], list[Said]]:
    """Lets each device's voice say each sentence ``count`` times, in turn, so that noise meets all alike."""
    found: dict[tuple[str, int], list[Said]] = {}
    for voice in voices.values():
        for text in TEXTS.values():
            for _ in range(WARM_UP):
                say(voice, text)
    for _ in range(count):
        for words, text in TEXTS.items():
            for name, voice in voices.items():
                found.setdefault((name, words), []).append(say(voice, text))
    return found


def median_ms(do: Callable[[], object], count: int) -> float:
    """Returns how long it takes in the middle of ``count`` times, after some that do not count."""
    for _ in range(WARM_UP):
        do()
    took = []
    for _ in range(count):
        begin = time.perf_counter()
        do()
        took.append(1000 * (time.perf_counter() - begin))
    return statistics.median(took)


def windows(voice: PiperVoice, parts: SplitModel, frames: int) -> tuple[Array, dict[str, Array]]:
    """Returns the decoder's input for so many frames of a sentence, and what goes with all windows."""
    config = voice.vits.config
    ids = [number for (number, *_) in config.phoneme_id_map.values()]
    voicing = Voicing(noise=config.noise_scale, length=config.length_scale, noise_w=config.noise_w_scale)
    encoded = parts.text((ids * (1 + frames // len(ids)))[: max(frames, 48)], voicing)
    section = parts.cut.flow
    columns = parts.flow(encoded.columns, encoded.borders) if section else encoded.columns
    repeats = -(-frames // columns.shape[2])
    return np.tile(columns, (1, 1, repeats))[:, :, :frames], dict(encoded.borders)


def batches(voice: PiperVoice, frames: int, count: int, sizes: Sequence[int]) -> dict[int, float]:
    """Returns how many ms one window takes by how many go through the decoder together."""
    parts = voice.parts
    assert parts is not None
    columns, borders = windows(voice, parts, frames)
    found = {}
    for size in sizes:
        together = partial(parts.decode_batch, [columns] * size, [borders] * size)
        found[size] = median_ms(together, count) / size
    return found


def bindings(
    voice: PiperVoice, decoder: bytes, device: Device, frames: int, count: int
) -> tuple[float, float]:
    """Returns how many ms a window takes with bound inputs and outputs, and without."""
    assert voice.parts is not None
    section = voice.parts.cut.decoder
    columns, borders = windows(voice, voice.parts, frames)
    session = device.open(decoder)
    inputs = section_inputs(section, columns, borders)
    names = [section.result]
    bound = median_ms(lambda: session.run_bound(names, inputs), count)
    return bound, median_ms(lambda: session.run_plain(names, inputs), count)


@dataclass
class Heard:
    """What one listener hears of a sentence; seconds of one clock."""

    asked_at: float
    first_s: float | None = None
    played_to: float = 0.0
    gaps_s: list[float] = field(default_factory=list)

    def take(self, seconds: float, now: float) -> None:
        """Takes sound that comes at ``now``."""
        if self.first_s is None:
            self.first_s = now - self.asked_at
        elif now > self.played_to + GRACE_S:
            self.gaps_s.append(now - self.played_to)
        self.played_to = max(now, self.played_to) + seconds


@dataclass(frozen=True, kw_only=True)
class Load:
    """What so many listeners met at the same time."""

    streams: int
    heard: Sequence[Heard]
    gpu: Gpu

    @property
    def broken(self) -> int:
        """Sentences whose sound broke off."""
        return sum(bool(one.gaps_s) for one in self.heard)

    @property
    def is_carried(self) -> bool:
        """Whether hardly anybody's sound broke off."""
        return self.broken <= BROKEN_SHARE * len(self.heard)


def load(voice: PiperVoice, streams: int, seconds: float, *, lanes: int, meter: Meter) -> Load:
    """Returns what ``streams`` people hear who each hear one sentence after the other; blocks.

    Each asks for the next sentence while no more than 2 s of the last are left to play.
    """
    queue = Lanes(lambda _: lanes)
    until = time.monotonic() + seconds
    heard: list[Heard] = []

    def person(number: int) -> None:
        turn = 0
        while (now := time.monotonic()) < until:
            turn += 1
            one = Heard(now)
            heard.append(one)
            listener = queue.listener((number, turn), 0, is_awaited=True)
            sounds = voice.speak(Line(text=TEXTS[12]))
            while True:
                with listener.turn(voice.device):
                    sound = next(sounds, None)
                if sound is None:
                    break
                made_s = len(sound.samples) / voice.rate_hz
                listener.made(made_s)
                one.take(made_s, time.monotonic())
            listener.close()
            now = time.monotonic()
            time.sleep(max(0.0, min(one.played_to - AHEAD_S, until) - now))

    people = [threading.Thread(target=person, args=(number,), daemon=True) for number in range(streams)]
    with meter:
        for each in people:
            each.start()
        for each in people:
            each.join()
    return Load(streams=streams, heard=heard, gpu=meter.seen())


def loads(steps: Callable[[int], Load], most: int) -> Iterator[Load]:
    """Yields loads of 1, 2, 4… streams until one is not carried, or up to ``most``."""
    streams = 1
    while streams <= most:
        found = steps(streams)
        yield found
        if not found.is_carried:
            return
        streams *= 2


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """What a card did while something was measured; None: it does not tell, or there is none."""

    utilisation: float | None = None
    """Mean, 0..1."""
    memory_bytes: int | None = None
    """Most on the card."""
    celsius: float | None = None


class Meter:
    """Looks at a card ten times a second while it is entered."""

    def __init__(self, look: Callable[[], Reading | Unanswered] | None) -> None:
        self._look = look
        self._readings: list[Reading] = []
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        self._readings, self._is_over = [], threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._look is not None and not self._is_over.is_set():
            seen = self._look()
            if isinstance(seen, Reading):
                self._readings.append(seen)
            self._is_over.wait(METER_EVERY_S)

    def seen(self) -> Gpu:
        """Returns what was seen."""
        used = [one.utilisation for one in self._readings if one.utilisation is not None]
        memory = [one.memory_bytes for one in self._readings if one.memory_bytes is not None]
        heat = [one.celsius for one in self._readings if one.celsius is not None]
        return Gpu(
            utilisation=statistics.fmean(used) if used else None,
            memory_bytes=max(memory, default=None),
            celsius=max(heat, default=None),
        )
