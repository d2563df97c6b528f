"""Opens a voice in parts; when these are new they are compared with the whole before anyone hears them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from services.tts.device import SESSION_ERRORS, Device, one_line
from services.tts.piper_model import Array, Borders, SplitModel, Voicing, WholeModel
from services.tts.split_graph import NotSplit
from services.tts.split_store import Split, split
from services.tts.windows import Walk, Window

BOUND = 1e-4
"""Of the loudest sample: by so much the parts may differ from the whole. Measured: 1e-6."""
_PROOF_IDS = 48


def split_model(
    model: Path, device: Device, *, ids: Sequence[int], sha256: str = "", cache: Path | None = None
) -> SplitModel:
    """Returns a voice in parts on a device; blocks.

    Args:
        model: the voice's file.
        device: to run on.
        ids: that the voice knows: with these the parts are compared with the whole when they are new.
        sha256: of the model; empty: it is computed.
        cache: see ``split_store.split``.

    Raises:
        NotSplit: why it is not cut.
        EngineRefused: the device is not there.
    """

    def proof(made: Split) -> None:
        prove(made, model, ids)

    parts = SplitModel(split(model, sha256=sha256, cache=cache, proof=proof), device)
    if device.is_cuda:
        parts.gather(ids[:_PROOF_IDS])
    return parts


def prove(made: Split, model: Path, ids: Sequence[int]) -> float:
    """Compares the parts, in windows, with the whole on the CPU; returns the largest difference, relative.

    Raises:
        NotSplit: it is more than ``BOUND``, or one of the two cannot speak.
    """
    device = Device.of("cpu")
    voicing = Voicing(noise=0.0, length=1.0, noise_w=0.0)
    ids = ids[:_PROOF_IDS]
    try:
        whole = WholeModel(device.open(model)).sound(ids, voicing)
        parts = SplitModel(made, device)
        encoded = parts.text(ids, voicing)
        columns = encoded.columns
        if parts.cut.flow:
            columns = _flown(parts, columns, encoded.borders)
        sound = _decoded(parts, columns, encoded.borders)
    except SESSION_ERRORS as error:
        raise NotSplit(f"its parts do not run: {one_line(error)}") from error
    sound = sound.reshape(-1)
    if len(sound) != len(whole):
        raise NotSplit(f"its parts make {len(sound)} samples of {len(whole)}")
    difference = float(np.abs(sound - whole).max() / max(float(np.abs(whole).max()), 1e-9))
    if not difference <= BOUND:
        raise NotSplit(f"its parts differ from the whole by {difference:.1e}")
    return difference


def _flown(parts: SplitModel, columns: Array, borders: Borders) -> Array:
    assert parts.cut.flow is not None
    made = []
    for window in _windows(columns.shape[2], parts.cut.flow.margin):
        part = parts.flow(columns[:, :, window.begin : window.end], borders)
        made.append(part[:, :, window.skip : window.skip + window.keep])
    return np.concatenate(made, axis=2)


def _decoded(parts: SplitModel, columns: Array, borders: Borders) -> Array:
    windows = _windows(columns.shape[2], parts.cut.decoder.margin)
    return np.concatenate([parts.decode(columns, window, borders) for window in windows], axis=1)


def _windows(total: int, margin: int) -> Iterator[Window]:
    walk = Walk((8, 16), margin)
    while walk.done < total:
        yield walk.next(total)
