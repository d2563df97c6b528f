"""Opus packets in Ogg pages. Pure; RFC 3533 (pages), RFC 7845 (Opus in Ogg).

The last packet of every batch is held back until the next one: only the final page may be shortened to the
true length and must say that the stream ends, and nobody knows beforehand which packet is the last.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

OPUS_RATE_HZ = 48_000
PACKET_SAMPLES = 960
"""20 ms at 48 kHz."""
PRE_SKIP = 312
"""Look-ahead of libopus at 48 kHz: samples that a player throws away at the start."""
_MAX_LACING = 255
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_NO_GRANULE = (1 << 64) - 1
"""-1: no packet ends on this page."""


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


_CRC_TABLE = _crc_table()


def crc(data: bytes) -> int:
    """Returns Ogg's checksum: CRC-32 with polynomial 0x04C11DB7, not reflected, from 0 (RFC 3533 §6)."""
    value = 0
    for byte in data:
        value = ((value << 8) & 0xFFFFFFFF) ^ _CRC_TABLE[(value >> 24) ^ byte]
    return value


def lacing(packet: bytes) -> list[bytes]:
    """Cuts a packet into an Ogg page's segments: of 255 bytes, and a shorter (maybe empty) one at the end."""
    return [packet[start : start + _MAX_LACING] for start in range(0, len(packet) + 1, _MAX_LACING)]


def _ends(pieces: list[bytes]) -> int:
    """Returns how many packets end within these segments."""
    return sum(len(piece) < _MAX_LACING for piece in pieces)


class OggOpus:
    """One logical stream, mono."""

    def __init__(self, rate_hz: int, *, serial: int = 0x45564121) -> None:
        """``rate_hz``: of the sound before encoding; players show it and do not need it."""
        self._rate_hz = rate_hz
        self._serial = serial
        self._page = 0
        self._held: bytes | None = None
        self._packets = 0
        """Written in full; the one held back is not."""
        self._samples = 0

    def open(self) -> bytes:
        """Returns the two header pages."""
        head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, PRE_SKIP, self._rate_hz, 0, 0)
        vendor = b"EVA"
        tags = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
        return self._write([head], flags=_FIRST, granule=0) + self._write([tags], granule=0)

    def add(self, packets: Sequence[bytes], samples: int) -> bytes:
        """Takes packets of 20 ms with ``samples`` of sound (48 kHz); returns the pages that are ready."""
        self._samples += samples
        known = packets if self._held is None else [self._held, *packets]
        self._held = known[-1] if known else None
        ready = known[:-1]
        if not ready:
            return b""
        self._packets += len(ready)
        return self._write(ready, granule=self._packets * PACKET_SAMPLES)

    def finish(self) -> bytes:
        """Returns the last page, cut to the true length."""
        before = self._packets * PACKET_SAMPLES
        if self._held is None:
            return self._write([], flags=_LAST, granule=before)
        end = min(max(before, PRE_SKIP + self._samples), before + PACKET_SAMPLES)
        last, self._held = self._held, None
        return self._write([last], flags=_LAST, granule=end)

    def _write(self, packets: Sequence[bytes], *, flags: int = 0, granule: int) -> bytes:
        """Lays packets on as many pages as they need; ``granule`` is where the last one ends."""
        pieces = [piece for packet in packets for piece in lacing(packet)]
        pages: list[bytes] = []
        is_inside = False
        for start in range(0, max(1, len(pieces)), _MAX_LACING):
            on_page, rest = pieces[start : start + _MAX_LACING], pieces[start + _MAX_LACING :]
            kind = (_CONTINUED if is_inside else 0) | (flags if not rest else flags & _FIRST)
            at = granule - _ends(rest) * PACKET_SAMPLES if _ends(on_page) or not on_page else _NO_GRANULE
            pages.append(self._one_page(kind, at, on_page))
            is_inside = bool(on_page) and len(on_page[-1]) == _MAX_LACING
        return b"".join(pages)

    def _one_page(self, kind: int, granule: int, segments: list[bytes]) -> bytes:
        sizes = bytes(len(piece) for piece in segments)
        head = b"OggS" + struct.pack("<BBQII", 0, kind, granule, self._serial, self._page)
        tail = bytes([len(sizes)]) + sizes + b"".join(segments)
        self._page += 1
        return head + struct.pack("<I", crc(head + bytes(4) + tail)) + tail
