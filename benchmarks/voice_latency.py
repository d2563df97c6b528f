"""(a) From text to first audio, (b) the whole sentence: everybody in turn, so that noise meets all alike."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.voice_models import TEXTS
from benchmarks.voice_peers import Said, Speaker

EVA, PIPER, WYOMING = "EVA", "piper-tts", "wyoming-piper"
AIM_FIRST, AIM_FLAT, AIM_WHOLE = 0.25, 1.3, 1.15
WARM_UP = 2
WYOMING_SHARE = 3
"""It is piper-tts with a socket: asked this many times less often for long sentences."""


@dataclass
class Latency:
    """What was measured, by name and words."""

    said: dict[tuple[str, int], list[Said]] = field(default_factory=lambda: defaultdict(list))

    def first_ms(self, name: str, words: int) -> list[float]:
        """Returns the times to the first audio."""
        return [it.first_ms for it in self.said[name, words]]

    def whole_ms(self, name: str, words: int) -> list[float]:
        """Returns the times of whole sentences."""
        return [it.whole_ms for it in self.said[name, words]]

    def first_p50(self, name: str, words: int) -> float:
        """Returns the median, ms."""
        return statistics.median(self.first_ms(name, words))

    def real_time_factor(self, name: str, words: int) -> float:
        """Returns seconds of computing for a second of sound."""
        said = self.said[name, words]
        return sum(it.whole_ms for it in said) / 1000 / sum(it.audio_s for it in said)

    def cpu_factor(self, name: str, words: int) -> float:
        """Returns seconds of processor time for a second of sound."""
        said = self.said[name, words]
        return sum(it.cpu_ms for it in said) / 1000 / sum(it.audio_s for it in said)

    def names(self) -> list[str]:
        """Returns who was measured."""
        return list(dict.fromkeys(name for name, _ in self.said))

    def aims(self) -> dict[str, tuple[float, float]]:
        """Returns what was reached and what it was to be at most."""
        whole = (statistics.median(self.whole_ms(name, 12)) for name in (EVA, PIPER))
        return {
            "first audio of 12 words, × piper-tts": (
                self.first_p50(EVA, 12) / self.first_p50(PIPER, 12), AIM_FIRST,
            ),
            "first audio of 40 words, × that of 3": (
                self.first_p50(EVA, 40) / self.first_p50(EVA, 3), AIM_FLAT,
            ),
            "whole sentence of 12 words, × piper-tts": (next(whole) / next(whole), AIM_WHOLE),
        }  # fmt: skip


REST_S = 0.15
"""Before each sentence: threads of the one who has just spoken spin for a while, and hold the cores."""


def measure(speakers: Mapping[str, Speaker], count: int) -> Latency:
    """Lets each say each sentence ``count`` times, in turn."""
    latency = Latency()
    for say in speakers.values():
        for _ in range(WARM_UP):
            for text in TEXTS.values():
                say(text)
    for number in range(count):
        for words, text in TEXTS.items():
            for name, say in speakers.items():
                if name == WYOMING and words == max(TEXTS) and number % WYOMING_SHARE:
                    continue
                time.sleep(REST_S)
                latency.said[name, words].append(say(text))
    return latency
