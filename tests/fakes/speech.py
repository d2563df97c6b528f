"""Real speech made on the spot: espeak-ng, as piper's wheel carries it, in a process of its own.

espeak-ng keeps its state once per process, and the voice service uses the same library: a subprocess
(about 60 ms, cached by its arguments) keeps tests from disturbing it.
"""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]

RATE_HZ = 16000

_SCRIPT = r"""
import ctypes, sys
library, data, voice, wpm, text = sys.argv[1:]
espeak = ctypes.CDLL(library)
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
espeak.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
rate = espeak.espeak_Initialize(2, 60, data.encode(), 0)  # 2: synchronous
@callback
def take(samples, count, events):
    if samples and count:
        sys.stdout.buffer.write(ctypes.string_at(samples, count * 2))
    return 0
espeak.espeak_SetSynthCallback(take)
espeak.espeak_SetVoiceByName(voice.encode())
espeak.espeak_SetParameter(1, int(wpm), 0)
sys.stdout.buffer.write(rate.to_bytes(4, "little"))
raw = text.encode() + b"\0"
espeak.espeak_Synth.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint,
                               ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]
espeak.espeak_Synth(raw, len(raw), 0, 1, 0, 1, None, None)
espeak.espeak_Synchronize()
"""


def resampled(pcm: Pcm, rate_hz: int, to_hz: int) -> Pcm:
    """Returns mono ``pcm`` at another rate."""
    if rate_hz == to_hz:
        return pcm
    resampler = av.AudioResampler(format="s16", layout="mono", rate=to_hz)
    frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), 0
    pieces = [out.to_ndarray().reshape(-1) for part in (frame, None) for out in resampler.resample(part)]
    return np.concatenate(pieces).astype(np.int16)


@functools.lru_cache(maxsize=64)
def _spoken(text: str, voice: str, words_per_minute: int) -> bytes:
    spec = importlib.util.find_spec("piper")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    library = next(folder.glob("espeakbridge*.so"))
    command = [sys.executable, "-I", "-S", "-c", _SCRIPT, str(library), str(folder / "espeak-ng-data"), voice]
    done = subprocess.run(
        [*command, str(words_per_minute), text], check=True, capture_output=True, timeout=120
    )
    rate_hz = int.from_bytes(done.stdout[:4], "little")
    pcm = resampled(np.frombuffer(done.stdout[4:], dtype=np.int16), rate_hz, RATE_HZ)
    assert len(pcm) > RATE_HZ // 10, "espeak-ng said nothing"
    return pcm.tobytes()


def speech(text: str, *, voice: str = "en-us", words_per_minute: int = 150) -> Pcm:
    """Returns ``text`` spoken: mono int16 at 16 kHz, with next to no silence around it."""
    return np.frombuffer(_spoken(text, voice, words_per_minute), dtype=np.int16)


def silence(seconds: float) -> Pcm:
    """Returns digital silence at 16 kHz."""
    return np.zeros(int(seconds * RATE_HZ), dtype=np.int16)


def noise(seconds: float, *, sigma: float = 300.0, seed: int = 1) -> Pcm:
    """Returns white noise at 16 kHz; ``sigma`` in int16 units."""
    samples = np.random.default_rng(seed).normal(0.0, sigma, int(seconds * RATE_HZ))
    return np.clip(samples, -32768, 32767).astype(np.int16)


def tone(hz: float, seconds: float, *, amplitude: float = 12000.0) -> Pcm:
    """Returns a sine at 16 kHz."""
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.int16)


def frames(pcm: Pcm, *, samples: int = 320) -> list[bytes]:
    """Cuts ``pcm`` into frames as a client sends them; the last one may be shorter."""
    return [pcm[start : start + samples].tobytes() for start in range(0, len(pcm), samples)]
