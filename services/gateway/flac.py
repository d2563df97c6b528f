"""FLAC frames of several segments as one stream. Pure; RFC 9639.

Every segment's encoder counts its frames from zero. Here each frame gets the number of its first sample in
the whole stream instead (variable block size, section 9.1.2), so that a decoder finds neither gap nor
repetition and a player can seek. Only the header is written anew: the sum over the frame (CRC-16, section
9.3) is linear, so it is corrected for the changed header without reading the sound again.
"""

from __future__ import annotations

from collections.abc import Iterable

STREAM_INFO_BYTES = 34
LEAST_BLOCK, MOST_BLOCK = 16, 4608
"""Samples of a frame; the streamable subset's bounds up to 48 kHz."""
_CHANNELS, _BITS = 1, 16
_SYNC_VARIABLE = b"\xff\xf9"
_CRC8, _CRC16 = (8, 0x07), (16, 0x8005)
_BLOCKS = {1: 192, **{n: 576 << n - 2 for n in range(2, 6)}, **{n: 256 << n - 8 for n in range(8, 16)}}
_BLOCK_BYTES = {6: 1, 7: 2}
_RATE_BYTES = {12: 1, 13: 2, 14: 2}


def crc(data: bytes, kind: tuple[int, int]) -> int:
    """Returns a cyclic redundancy check of so many bits, by its polynomial; from 0, not reflected."""
    bits, polynomial = kind
    value, top, mask = 0, 1 << bits - 1, (1 << bits) - 1
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
    return value


def shifted(value: int, count: int) -> int:
    """Returns the CRC-16 ``value`` after ``count`` more bytes of zero: times x^(8n) in log n steps."""
    power = 0x100
    while count:
        if count & 1:
            value = _times(value, power)
        power = _times(power, power)
        count >>= 1
    return value


def _times(a: int, b: int) -> int:
    """Multiplies two polynomials over GF(2), modulo that of CRC-16."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x18005 if a & 0x8000 else 0)
        b >>= 1
    return product


def coded(number: int) -> bytes:
    """Returns a number of up to 36 bits as FLAC writes it: UTF-8, extended to seven bytes (section 9.1.5)."""
    if number < 0x80:
        return bytes([number])
    more = 1
    while number >= 1 << 5 * more + 6:
        more += 1
    first = (0xFF80 >> more & 0xFF) | number >> 6 * more
    return bytes([first, *(0x80 | number >> 6 * at & 0x3F for at in reversed(range(more)))])


def _coded_bytes(first: int) -> int:
    """Returns the length of a coded number by its first byte."""
    return max(1, 8 - (first ^ 0xFF).bit_length())


class FlacStream:
    """One stream, mono, 16 bits."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._samples = 0

    def open(self) -> bytes:
        """Returns the marker and ``STREAMINFO``; length and sum are unknown."""
        info = LEAST_BLOCK
        for bits, value in (
            *((16, MOST_BLOCK), (24, 0), (24, 0), (20, self._rate_hz)),
            *((3, _CHANNELS - 1), (5, _BITS - 1), (36, 0), (128, 0)),
        ):
            info = info << bits | value
        return b"fLaC" + bytes([0x80, 0, 0, STREAM_INFO_BYTES]) + info.to_bytes(STREAM_INFO_BYTES, "big")

    def add(self, frames: Iterable[bytes]) -> bytes:
        """Returns the frames of one chunk, numbered on."""
        return b"".join(map(self._numbered, frames))

    def _numbered(self, frame: bytes) -> bytes:
        sizes, number_end = frame[2:4], 4 + _coded_bytes(frame[4])
        tail = frame[number_end : number_end + _tail_bytes(frame)]
        body = frame[number_end + len(tail) + 1 : -2]
        old = frame[: number_end + len(tail) + 1]
        new = _SYNC_VARIABLE + sizes + coded(self._samples) + tail
        new += bytes([crc(new, _CRC8)])
        self._samples += _block_size(frame[2] >> 4, tail)
        change = crc(old, _CRC16) ^ crc(new, _CRC16)
        total = int.from_bytes(frame[-2:], "big") ^ shifted(change, len(body))
        return new + body + total.to_bytes(2, "big")


def _tail_bytes(frame: bytes) -> int:
    """Returns how many bytes between number and checksum tell an unusual block size or rate."""
    return _BLOCK_BYTES.get(frame[2] >> 4, 0) + _RATE_BYTES.get(frame[2] & 15, 0)


def _block_size(code: int, tail: bytes) -> int:
    """Returns the samples of a frame (section 9.1.1)."""
    size = _BLOCK_BYTES.get(code)
    return int.from_bytes(tail[:size], "big") + 1 if size else _BLOCKS[code]
