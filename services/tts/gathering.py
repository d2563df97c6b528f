"""Has the windows of a voice's listeners decoded together, where measuring says that it pays.

On a processor a call for two takes as long as two calls (18 and 35 ms, see ``piper_model``), which its lanes
make side by side: there each goes alone. On a card it is measured when the voice is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from services.tts.batch import Batch, most, times
from services.tts.crops import NOTHING, Dropped
from services.tts.device import Array
from shared.observe import Log

FRAMES = 56
"""Of the window that is measured: the second of a line, with its margins."""
Borders = Mapping[str, Array]
Window = tuple[Array, Borders, Dropped]

log = Log("eva.tts")


class Decoder(Protocol):
    """What makes sound of windows of frames."""

    def decode_batch(
        self, windows: Sequence[Array], borders: Sequence[Borders], drop: Dropped = NOTHING
    ) -> list[Array]:
        """Returns ``[1, samples]`` of each window ``[1, channels, frames]``; all are alike."""


class Gathering:
    """One voice's decoder for several threads."""

    def __init__(self, decoder: Decoder, *, size: int) -> None:
        self.size = size
        """Windows in one call at most; 1: each goes alone, at once, beside the others."""
        self._decoder = decoder
        self._batch: Batch[Window, Array] = Batch(self._together, most=size)

    def decode(self, columns: Array, borders: Borders, drop: Dropped = NOTHING) -> Array:
        """Returns ``[1, samples]`` of a window ``[1, channels, frames]``; blocks. Raises what that raises."""
        if self.size == 1:
            return self._decoder.decode_batch([columns], [borders], drop)[0]
        return self._batch((columns, borders, drop), (columns.shape, drop))

    def _together(self, windows: Sequence[Window]) -> list[Array]:
        columns, borders, drops = zip(*windows, strict=True)
        return self._decoder.decode_batch(columns, borders, drops[0])


def gathering(decoder: Decoder, *, channels: int, borders: Borders, lanes: int) -> Gathering:
    """Returns it as large as pays where ``lanes`` calls run side by side; measures, which blocks.

    Raises:
        Exception: what decoding raises, of a window alone.
    """
    silence = np.zeros((1, channels, FRAMES), np.float32)

    def decode(size: int) -> None:
        decoder.decode_batch([silence] * size, [borders] * size)

    found = times(decode, lanes=lanes)
    size = most(found, lanes=lanes)
    took_ms = {f"ms_{count}": round(1000 * took_s, 1) for count, took_s in found.items()}
    log.info("tts.batch", size=size, **took_ms)
    return Gathering(decoder, size=size)
