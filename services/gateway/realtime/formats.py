"""The sound formats of the Realtime API: G.711 by table, and appends as whole samples. Pure.

EVA's ears take signed 16-bit little-endian mono PCM at 24 kHz or 8 kHz, so PCM passes as it is and G.711 is
expanded at its own rate. Her voice's workers write G.711 themselves; ``compress`` is for other sound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from services.gateway.realtime.errors import RealtimeError
from services.gateway.realtime.parsing import MAX_AUDIO_BYTES
from services.gateway.realtime.session_types import AudioFormat, Pcm, Pcmu

FRAME_MS = 100
"""The longest piece of the microphone that is handed on at once."""

_Shorts = npt.NDArray[np.int16]


def _mulaw_table() -> _Shorts:
    """What each µ-law byte means (ITU-T G.711, table 2): 14 bits, here scaled to 16."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = ((mantissa << 3) + 132 << exponent) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


def _alaw_table() -> _Shorts:
    """What each A-law byte means (ITU-T G.711, table 1): 13 bits, here scaled to 16."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    low = (mantissa << 4) + 8
    magnitude = np.where(exponent == 0, low, low + 256 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype("<i2")


def _nearest(table: _Shorts) -> npt.NDArray[np.uint8]:
    """Returns, for each sample (by its 16 bits without sign), the byte whose meaning is nearest."""
    order = np.argsort(table, kind="stable")
    levels = table[order].astype(np.int32)
    samples = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    above = np.clip(np.searchsorted(levels, samples), 1, 255)
    is_below = samples - levels[above - 1] <= levels[above] - samples
    return order[np.where(is_below, above - 1, above)].astype(np.uint8)


_EXPANDED = {"audio/pcmu": _mulaw_table(), "audio/pcma": _alaw_table()}
_COMPRESSED = {kind: _nearest(table) for kind, table in _EXPANDED.items()}


def _kind(wanted: AudioFormat) -> str:
    return "audio/pcmu" if isinstance(wanted, Pcmu) else "audio/pcma"


def rate_hz(wanted: AudioFormat) -> int:
    """Returns the samples a second."""
    return 24000 if isinstance(wanted, Pcm) else 8000


def expand(wanted: AudioFormat, sound: bytes) -> bytes:
    """Returns sound of a format as PCM of the same rate; whole samples only."""
    if isinstance(wanted, Pcm):
        return sound
    return _bytes(_EXPANDED[_kind(wanted)][np.frombuffer(sound, dtype=np.uint8)])


def compress(wanted: AudioFormat, pcm: bytes) -> bytes:
    """Returns PCM as sound of a format of the same rate; whole samples only."""
    if isinstance(wanted, Pcm):
        return pcm
    return _bytes(_COMPRESSED[_kind(wanted)][np.frombuffer(pcm, dtype="<u2")])


def duration_ms(wanted: AudioFormat, size_bytes: int) -> float:
    """Returns how long so many bytes of a format sound."""
    return size_bytes / (48.0 if isinstance(wanted, Pcm) else 8.0)


class Intake:
    """What a client appends, as PCM: half a sample waits for its other half."""

    def __init__(self, wanted: AudioFormat) -> None:
        self.format = wanted
        self.rate_hz = rate_hz(wanted)
        self._rest = b""

    def take(self, audio: bytes) -> list[bytes]:
        """Returns frames of whole samples, each of at most ``FRAME_MS``.

        Raises:
            RealtimeError: more than 15 MiB at once; nothing of it is taken.
        """
        if len(audio) > MAX_AUDIO_BYTES:
            message = (
                f"Invalid 'audio': {len(audio)} bytes, at most {MAX_AUDIO_BYTES} may be appended at once."
            )
            raise RealtimeError(message, code="string_above_max_length", param="audio")
        if isinstance(self.format, Pcm):
            audio = self._rest + audio if self._rest else audio
            whole = len(audio) - len(audio) % 2
            audio, self._rest = audio[:whole], audio[whole:]
        step = self.rate_hz * FRAME_MS // 1000 * (2 if isinstance(self.format, Pcm) else 1)
        return [expand(self.format, audio[start : start + step]) for start in range(0, len(audio), step)]

    def clear(self) -> None:
        """Forgets the half sample that waits."""
        self._rest = b""


def _bytes(samples: npt.NDArray[Any]) -> bytes:
    return samples.tobytes()
