"""Engines for the voice's chain that do what they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from services.tts.engine import Line, Sound
from services.tts.voices import find
from shared.audio import Samples
from shared.errors import EngineFailed

RATE_HZ = 16000


def tone(seconds: float, *, hertz: float = 440.0, level: float = 0.3, rate_hz: int = RATE_HZ) -> Samples:
    """A sine."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


@dataclass
class FakeVoice:
    """Says one tone piece for each word (0.1 s), or what ``script`` yields."""

    name: str = "en_US-fake"
    language: str = "en"
    rate_hz: int = RATE_HZ
    sha256: str = "ab" * 32
    script: Callable[[str], Iterator[Samples]] | None = None
    said: list[str] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)

    def speak(self, line: Line) -> Iterator[Sound]:
        self.said.append(line.text)
        self.speeds.append(line.speed)
        if self.script is not None:
            for samples in self.script(line.text):
                yield Sound(samples=samples)
            return
        for _ in line.text.split():
            yield Sound(samples=tone(0.1, rate_hz=self.rate_hz))


@dataclass
class FakeEngine:
    name: str = "fake"
    device: str = "cpu"
    is_degraded: bool = False
    owned: tuple[FakeVoice, ...] = field(default_factory=lambda: (FakeVoice(),))

    def voices(self) -> tuple[FakeVoice, ...]:
        return self.owned

    def voice(self, language: str, wanted: str) -> FakeVoice | None:
        return find(self.owned, language, wanted)


def engine(
    name: str, script: Callable[[str], Iterator[Samples]] | None = None, **options: object
) -> FakeEngine:
    """One engine with one English voice."""
    return FakeEngine(name=name, owned=(FakeVoice(name=f"en_US-{name}", script=script),), **options)  # type: ignore[arg-type]


def empty(_: str) -> Iterator[Samples]:
    yield from ()


def silent(_: str) -> Iterator[Samples]:
    yield np.zeros(1600, np.float32)
    yield np.full(1600, 1e-4, np.float32)


def not_a_number(_: str) -> Iterator[Samples]:
    yield np.full(1600, np.nan, np.float32)


def endless(_: str) -> Iterator[Samples]:
    while True:
        yield tone(1.0)


def raising(_: str) -> Iterator[Samples]:
    raise EngineFailed("raising", "as told")
    yield  # pragma: no cover - makes it a generator


def breaking_after(seconds: float) -> Callable[[str], Iterator[Samples]]:
    """Speaks for a while, then fails."""

    def script(_: str) -> Iterator[Samples]:
        yield tone(seconds)
        raise EngineFailed("breaking", "as told")

    return script


def hanging(release: threading.Event) -> Callable[[str], Iterator[Samples]]:
    """Gives nothing until released."""

    def script(_: str) -> Iterator[Samples]:
        release.wait(60)
        yield tone(0.1)

    return script
