"""How loud a voice is, and what makes all of them equally loud. Pure.

Loudness is that of ITU-R BS.1770-5: K-weighting, blocks of 400 ms, gated at -70 LUFS and 10 LU below the
rest. A sentence cannot be measured before it is heard, so each voice is measured once, by what it said when
it was proven at start, and gets one gain for good: nothing pumps, and a whisper stays softer than a shout.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.tts.engine import Voice
from shared.audio import Samples

TARGET_LUFS = -19.0
"""Of speech in one channel; played from two loudspeakers it is -16 (AES TD1008, podcasts)."""
TEST_LINES = {
    "en": "The morning was cold and clear, so we took the long way home, along the river and the old bridge.",
    "fr": "Le matin était froid et clair, alors nous sommes rentrés à pied par la rivière et le pont.",
}
"""What a voice says to be measured: long enough that another sentence differs by less than 1 LU."""
MOST_DB = 12.0
"""No voice is made louder or softer than by this."""
KNEE = 10 ** (-1 / 20)
"""-1 dBFS: what is louder is bent towards full scale."""
_BLOCK_S, _STEP_S = 0.4, 0.1
_OFFSET_DB, _ABSOLUTE_LUFS, _RELATIVE_LU = -0.691, -70.0, -10.0
_DECAY_S = 0.25
"""After this the filters are silent again."""

Biquad = tuple[tuple[float, float, float], tuple[float, float, float]]


def k_filters(rate_hz: int) -> tuple[Biquad, Biquad]:
    """Returns the head's shelf and the high-pass of BS.1770 at any rate, each as (b, a).

    The standard lists coefficients for 48 kHz only; these are the analogue filters behind them, through the
    bilinear transform, as libebur128 has them (at 48 kHz they are the standard's).
    """
    corner = math.tan(math.pi * 1681.974450955533 / rate_hz)
    q = 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    a0 = 1 + corner / q + corner * corner
    turned = 2 * (corner * corner - 1) / a0
    shelf = (
        (
            (high + middle * corner / q + corner * corner) / a0,
            2 * (corner * corner - high) / a0,
            (high - middle * corner / q + corner * corner) / a0,
        ),
        (1.0, turned, (1 - corner / q + corner * corner) / a0),
    )
    corner = math.tan(math.pi * 38.13547087602444 / rate_hz)
    q = 0.5003270373238773
    a0 = 1 + corner / q + corner * corner
    high_pass = (
        (1.0, -2.0, 1.0),
        (1.0, 2 * (corner * corner - 1) / a0, (1 - corner / q + corner * corner) / a0),
    )
    return shelf, high_pass


def measure(samples: Samples, rate_hz: int) -> float:
    """Returns the integrated loudness of mono samples, LUFS; -inf for silence.

    Less than one block is measured as it is, without gates.
    """
    weighted = _weighted(samples, rate_hz)
    block, step = round(_BLOCK_S * rate_hz), round(_STEP_S * rate_hz)
    if len(weighted) < block:
        return _lufs(float(np.mean(weighted**2))) if weighted.size else -math.inf
    sums = np.concatenate([[0.0], np.cumsum(weighted**2)])
    starts = np.arange(0, len(weighted) - block + 1, step)
    powers = (sums[starts + block] - sums[starts]) / block
    powers = powers[powers > _power(_ABSOLUTE_LUFS)]
    if powers.size == 0:
        return -math.inf
    gate = _power(_lufs(float(np.mean(powers))) + _RELATIVE_LU)
    return _lufs(float(np.mean(powers[powers > gate])))


def _weighted(samples: Samples, rate_hz: int) -> npt.NDArray[np.float64]:
    """Filters by the response at each frequency: no loop over samples, exact but for the padding's end."""
    size = len(samples) + round(_DECAY_S * rate_hz)
    size = 1 << (size - 1).bit_length()
    spectrum = np.fft.rfft(samples.astype(np.float64), size) * _response(rate_hz, size)
    filtered: npt.NDArray[np.float64] = np.fft.irfft(spectrum, size)[: len(samples)]
    return filtered


@functools.lru_cache(maxsize=16)
def _response(rate_hz: int, size: int) -> npt.NDArray[np.complex128]:
    back = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones(size // 2 + 1, np.complex128)
    for b, a in k_filters(rate_hz):
        response *= (b[0] + b[1] * back + b[2] * back**2) / (a[0] + a[1] * back + a[2] * back**2)
    return response


def _lufs(power: float) -> float:
    return _OFFSET_DB + 10 * math.log10(power) if power > 0.0 else -math.inf


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_DB) / 10))


def gain_db(lufs: float) -> float:
    """Returns what brings a voice to ``TARGET_LUFS``, within ``MOST_DB``; 0 for silence."""
    if not math.isfinite(lufs):
        return 0.0
    return min(max(TARGET_LUFS - lufs, -MOST_DB), MOST_DB)


def limited(samples: Samples) -> Samples:
    """Returns the samples within full scale: untouched up to ``KNEE``, bent by tanh above. No look-ahead."""
    size = np.abs(samples)
    if not (size > KNEE).any():
        return samples
    bent = KNEE + (1 - KNEE) * np.tanh((size - KNEE) / (1 - KNEE))
    return np.where(size > KNEE, np.copysign(bent, samples), samples).astype(np.float32)


class Levels:
    """The gain of each voice, learnt while it is proven at start; afterwards only read."""

    def __init__(self) -> None:
        self._gains: dict[tuple[str, str], float] = {}

    def learn(self, voice: Voice, pieces: Sequence[Samples]) -> None:
        """Measures a voice by what it said; wherever the same model speaks, it has the same gain."""
        samples = np.concatenate([np.zeros(0, np.float32), *pieces])
        self._gains[voice.name, voice.sha256] = gain_db(measure(samples, voice.rate_hz))

    def knows(self, voice: Voice) -> bool:
        """Whether exactly this voice was measured."""
        return (voice.name, voice.sha256) in self._gains

    def gain_db(self, voice: Voice) -> float:
        """Returns a voice's gain; of a speaker or variant not measured, its model's; 0 of one unknown."""
        model = voice.name.partition("#")[0].partition("+")[0]
        plain = self._gains.get((model, voice.sha256), 0.0)
        return self._gains.get((voice.name, voice.sha256), plain)
