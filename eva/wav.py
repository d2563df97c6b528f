"""Sound in files and arrays: WAV of any common kind in, mono 16-bit PCM out. Pure but for the file itself.

Read by hand, because the standard library's reader refuses floating-point and "extensible" files before
Python 3.12, and both are common. Resampling is a windowed sinc, which is plenty for speech.
"""

from __future__ import annotations

import io
import struct
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import BadInput

FRAME_MS = 20
AUDIBLE_DBFS = -45.0
_TAPS = 16
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_KINDS = {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)}


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Mono signed 16-bit little-endian PCM."""

    rate_hz: int
    pcm: bytes

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return len(self.pcm) / 2 / self.rate_hz

    @property
    def samples(self) -> NDArray[np.int16]:
        """As an array."""
        return np.frombuffer(self.pcm, dtype="<i2")


def read_wav(source: Path | bytes) -> Sound:
    """Reads a WAV file or its bytes, mixing its channels.

    Raises:
        BadInput: no WAV, no PCM, or empty; names the file.
    """
    name = "the sound" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror or error}") from error
    header, raw = _chunks(data, name)
    code, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", header[:16])
    if code == _EXTENSIBLE and len(header) >= 26:
        (code,) = struct.unpack("<H", header[24:26])
    if (code, bits) not in _KINDS or not channels or not rate_hz:
        raise BadInput(f"{name} is a WAV file of a kind that cannot be read (format {code}, {bits} bits)")
    frame_bytes = bits // 8 * channels
    raw = raw[: len(raw) // frame_bytes * frame_bytes]
    if not raw:
        raise BadInput(f"{name} holds no sound")
    mono = _to_float(raw, code, bits // 8).reshape(-1, channels).mean(axis=1)
    return Sound(rate_hz=rate_hz, pcm=_to_pcm(mono))


def _chunks(data: bytes, name: str) -> tuple[bytes, bytes]:
    """Returns the ``fmt`` and ``data`` chunks; a streamed file's sizes may reach beyond its end."""
    header = b""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        at = 12
        while at + 8 <= len(data):
            tag, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
            body = data[at + 8 : at + 8 + size]
            if tag == b"fmt " and len(body) >= 16:
                header = body
            elif tag == b"data" and header:
                return header, body
            at += 8 + size + size % 2
    raise BadInput(f"{name} is no WAV file, or it ends too early")


def _to_float(raw: bytes, code: int, width: int) -> NDArray[np.float64]:
    """Returns floats, or integers of 8 (unsigned), 16, 24 or 32 bits, as -1..1."""
    if code == _FLOAT:
        return np.nan_to_num(np.frombuffer(raw, dtype=f"<f{width}").astype(np.float64))
    if width == 1:
        return (np.frombuffer(raw, dtype=np.uint8).astype(np.float64) - 128) / 128
    if width == 3:
        packed = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 3).astype(np.int32)
        joined = (packed[:, 0] << 8 | packed[:, 1] << 16 | packed[:, 2] << 24) >> 8
        return joined.astype(np.float64) / 2**23
    return np.frombuffer(raw, dtype=f"<i{width}").astype(np.float64) / 2.0 ** (8 * width - 1)


def _to_pcm(samples: NDArray[np.float64]) -> bytes:
    """Returns -1..1 as 16-bit PCM, clipped."""
    return (np.clip(samples, -1.0, 32767 / 32768) * 32768).round().astype("<i2").tobytes()


def resampled(sound: Sound, rate_hz: int) -> Sound:
    """Returns the sound at another rate (windowed sinc: J. O. Smith, "Digital Audio Resampling")."""
    if sound.rate_hz == rate_hz:
        return sound
    source = sound.samples.astype(np.float64) / 32768
    count = max(1, round(source.size * rate_hz / sound.rate_hz))
    cutoff = min(1.0, rate_hz / sound.rate_hz)
    reach = int(np.ceil(_TAPS / cutoff))
    padded = np.pad(source, reach)
    out = np.empty(count)
    offsets = np.arange(-reach + 1, reach + 1)
    for first in range(0, count, 4096):
        at = np.arange(first, min(first + 4096, count)) * (sound.rate_hz / rate_hz)
        base = np.floor(at).astype(np.int64)
        distance = (at - base)[:, None] - offsets[None, :]
        window = np.where(np.abs(distance) < reach, 0.5 + 0.5 * np.cos(np.pi * distance / reach), 0.0)
        indices = np.minimum(base[:, None] + offsets[None, :] + reach, padded.size - 1)
        out[first : first + at.size] = (padded[indices] * cutoff * np.sinc(cutoff * distance) * window).sum(1)
    return Sound(rate_hz=rate_hz, pcm=_to_pcm(out))


def frames(sound: Sound) -> list[bytes]:
    """Returns the sound in frames of 20 ms, the last one filled up with silence."""
    size = sound.rate_hz * FRAME_MS // 1000 * 2
    padded = sound.pcm + bytes(-len(sound.pcm) % size)
    return [padded[start : start + size] for start in range(0, len(padded), size)]


def is_audible(sound: Sound) -> bool:
    """Whether any 20 ms of it are louder than -45 dBFS."""
    size = sound.rate_hz * FRAME_MS // 1000
    samples = sound.samples[: sound.samples.size // size * size].astype(np.float64) / 32768
    if not samples.size:
        return False
    loudest = np.sqrt((samples.reshape(-1, size) ** 2).mean(axis=1)).max()
    return bool(loudest > 10 ** (AUDIBLE_DBFS / 20))


def wav_bytes(rate_hz: int, *channels: bytes) -> bytes:
    """Returns a WAV file of one or more channels of PCM, the shorter ones filled up with silence."""
    longest = max(len(pcm) for pcm in channels)
    columns = [np.frombuffer(pcm.ljust(longest, b"\0"), dtype="<i2") for pcm in channels]
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(len(channels))
        wav.setsampwidth(2)
        wav.setframerate(rate_hz)
        wav.writeframes(np.stack(columns, axis=1).tobytes())
    return file.getvalue()


def write_wav(path: Path, rate_hz: int, *channels: bytes) -> None:
    """Writes a WAV file.

    Raises:
        BadInput: the file cannot be written; names it.
    """
    try:
        path.write_bytes(wav_bytes(rate_hz, *channels))
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror or error}") from error
