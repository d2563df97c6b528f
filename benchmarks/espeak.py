"""Speech made on the spot: espeak-ng, as piper's wheel carries it, in a process of its own.

Tells where each word begins. espeak-ng keeps its state once per process; one process speaks a whole list.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

RATE_HZ = 16000
Pcm = npt.NDArray[np.float32]

_SCRIPT = r"""
import ctypes, json, sys
library, data = sys.argv[1:]
espeak = ctypes.CDLL(library)
class Event(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("id", ctypes.c_uint), ("text", ctypes.c_int),
                ("length", ctypes.c_int), ("ms", ctypes.c_int), ("sample", ctypes.c_int),
                ("user", ctypes.c_void_p), ("name", ctypes.c_char * 8)]
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))
espeak.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
rate = espeak.espeak_Initialize(2, 60, data.encode(), 0)  # 2: synchronous
pieces, words = [], []
@callback
def take(samples, count, events):
    index = 0
    while events and events[index].type:
        if events[index].type == 1:  # a word begins
            words.append((events[index].text - 1, events[index].ms))
        index += 1
    if samples and count:
        pieces.append(ctypes.string_at(samples, count * 2))
    return 0
espeak.espeak_SetSynthCallback(take)
espeak.espeak_Synth.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint,
                               ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]
for line in sys.stdin:
    voice, wpm, pitch, text = json.loads(line)
    pieces.clear(); words.clear()
    espeak.espeak_SetVoiceByName(voice.encode())
    espeak.espeak_SetParameter(1, wpm, 0)
    espeak.espeak_SetParameter(3, pitch, 0)
    raw = text.encode() + b"\0"
    espeak.espeak_Synth(raw, len(raw), 0, 1, 0, 1, None, None)
    espeak.espeak_Synchronize()
    pcm = b"".join(pieces)
    head = json.dumps([rate, len(pcm), words]).encode() + b"\n"
    sys.stdout.buffer.write(head + pcm)
"""


@dataclass(frozen=True)
class Voice:
    """Who speaks, and how."""

    name: str
    """espeak-ng's, with a variant: ``en-us+f2``."""
    words_per_minute: int = 160
    pitch: int = 50
    """0..99."""


@dataclass(frozen=True)
class Spoken:
    """A text that was spoken."""

    pcm: Pcm
    words: tuple[str, ...]
    starts: tuple[int, ...]
    """Sample at which each word begins."""


def speak(texts: Sequence[tuple[Voice, str]]) -> list[Spoken]:
    """Returns each text spoken by its voice: 16 kHz, -1..1."""
    spec = importlib.util.find_spec("piper")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("piper-tts, which carries espeak-ng, is not installed")
    folder = Path(spec.submodule_search_locations[0])
    library = next(folder.glob("espeakbridge*.so"))
    command = [sys.executable, "-I", "-S", "-c", _SCRIPT, str(library), str(folder / "espeak-ng-data")]
    lines = [json.dumps([voice.name, voice.words_per_minute, voice.pitch, text]) for voice, text in texts]
    done = subprocess.run(
        command, input="\n".join(lines).encode(), check=True, capture_output=True, timeout=300
    )
    spoken, rest = [], done.stdout
    for _, text in texts:
        head, _, rest = rest.partition(b"\n")
        rate_hz, size, events = json.loads(head)
        raw, rest = np.frombuffer(rest[:size], dtype=np.int16), rest[size:]
        spoken.append(_timed(text, raw, rate_hz, events))
    return spoken


def _timed(text: str, raw: npt.NDArray[np.int16], rate_hz: int, events: list[tuple[int, int]]) -> Spoken:
    pcm = _resampled(raw, rate_hz)
    loud = np.flatnonzero(np.abs(pcm) > 0.003)
    words, starts = [], []
    offset = 0
    for word in text.split():
        begin = text.index(word, offset)
        offset = begin + len(word)
        times = [ms for position, ms in events if begin <= position < offset]
        if times:
            words.append(word)
            starts.append(times[0] * RATE_HZ // 1000)
    first = int(loud[0]) if len(loud) else 0
    end = int(loud[-1]) + 1 if len(loud) else len(pcm)
    return Spoken(pcm[first:end], tuple(words), tuple(max(0, start - first) for start in starts))


def _resampled(raw: npt.NDArray[np.int16], rate_hz: int) -> Pcm:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    frame = av.AudioFrame.from_ndarray(raw.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), 0
    pieces = [out.to_ndarray().reshape(-1) for part in (frame, None) for out in resampler.resample(part)]
    joined: npt.NDArray[np.int16] = np.concatenate(pieces).astype(np.int16)
    return joined.astype(np.float32) / np.float32(32768)
