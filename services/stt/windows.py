"""How much audio a Whisper encoder is given at once. Pure.

Whisper was trained on windows of 30 s; a shorter turn is padded to that, and costs as much as 30 s. The
encoder takes shorter input, though (CTranslate2's as well as whisper.cpp's, where it is ``audio_ctx``).
Measured here, encoder alone, int8, two threads of a shared 2.1 GHz Xeon, random weights of the true sizes,
median of 5: base 30 s 867 ms, 15 s 231, 10 s 133, 5 s 62; tiny 410, 143, 83, 28. That is the difference
between a transcript that is ready when the end of the turn is decided and one that comes half a second
later.

What it risks: the model has not seen such windows. Published: on clips of 5 to 10 s with 2.5 s to spare,
about 3 x as fast overall (whisper.cpp#1855); no loss in one test (whisper.cpp#3532); sentences said two or
three times where little was to spare (whisper.cpp#1951, voxtype#124), which went away with more of it
(futo-org/whisper-acft#5). No real weights were at hand to measure words here, therefore: 2.5 s of padding
at least, never below 5 s, every text that looks like a loop is asked of the full window again, and ``auto``
uses short windows on the CPU only, where the full one is too slow to talk with; a GPU does that in
milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from services.stt.engine import RATE_HZ, Pcm

WINDOW = 30 * RATE_HZ
"""Samples that the model takes at once."""
CUT_WITHIN = 3 * RATE_HZ
"""Longer audio is cut at the quietest place of the window's last three seconds."""
FULL_FRAMES = 3000
FRAMES_PER_S = 100
SPARE_S, LEAST_S, STEP_S = 2.5, 5.0, 2.5

WindowKind = Literal["auto", "full", "short"]


def is_short(kind: WindowKind, device: str) -> bool:
    """Whether short audio gets a short window on that device."""
    return kind == "short" or (kind == "auto" and device == "cpu")


def frames_for(samples: int) -> int:
    """Returns the mel frames of the short window for so much audio; steps of 2.5 s, so that batches form."""
    wanted_s = max(LEAST_S, samples / RATE_HZ + SPARE_S)
    return min(FULL_FRAMES, int(FRAMES_PER_S * STEP_S * -(-wanted_s // STEP_S)))


def windows(pcm: Pcm) -> Iterator[Pcm]:
    """Cuts audio into pieces of at most ``WINDOW`` samples, between words where there is a quiet place."""
    while len(pcm) > WINDOW:
        step = RATE_HZ // 50
        tail = pcm[WINDOW - CUT_WITHIN : WINDOW].reshape(-1, step)
        cut = WINDOW - CUT_WITHIN + step * int(np.argmin(np.square(tail).mean(axis=1)))
        yield pcm[:cut]
        pcm = pcm[cut:]
    yield pcm
