"""Keeps the parts of a voice beside it, so that a split is made once.

``.eva-split/<voice>/`` in the voice's folder holds the parts and ``split.json``: which model they are of,
by its sha256, and the sha256 of each part. Nothing is trusted: a part that is not what was written, a
record of another model or of an older EVA is made anew. Where the folder cannot be written the parts are
kept in the cache folder, else in memory for this run; ``note`` says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from services.tts.crops import Crop
from services.tts.split_graph import Cut, NotSplit, Section, find, parts

VERSION = 4
"""Of the way voices are cut; a change makes all of them anew."""
FOLDER = ".eva-split"
RECORD = "split.json"


@dataclass(frozen=True, kw_only=True)
class Split:
    """A voice in parts."""

    cut: Cut
    parts: dict[str, bytes]
    """``text``, ``decoder``, perhaps ``flow``: models of their own."""
    note: str = ""
    """Why they are not kept beside the model; empty: they are."""


def split(
    model: Path, *, sha256: str = "", cache: Path | None = None, proof: Callable[[Split], None] | None = None
) -> Split:
    """Returns a voice in parts, as it was kept or made anew; blocks.

    Args:
        model: the voice.
        sha256: of the model; empty: it is computed.
        cache: where parts are kept if the voice's own folder cannot be written.
        proof: raises ``NotSplit`` if parts that were made anew are not the voice.

    Raises:
        NotSplit: why it is not cut.
    """
    content = model.read_bytes()
    key = sha256 or hashlib.sha256(content).hexdigest()
    folders = [model.parent / FOLDER / model.stem]
    folders += [cache / FOLDER / f"{model.stem}-{key[:16]}"] if cache is not None else []
    for place, folder in enumerate(folders):
        kept = _read(folder, key)
        if kept is not None:
            return kept if place == 0 else Split(cut=kept.cut, parts=kept.parts, note=f"kept in {folder}")
    made = _cut(content)
    if proof is not None:
        proof(made)
    reason = ""
    for folder in folders:
        try:
            _write(folder, key, made)
        except OSError as error:
            reason = reason or str(error)
            continue
        return Split(cut=made.cut, parts=made.parts, note=f"kept in {folder}: {reason}" if reason else "")
    return Split(cut=made.cut, parts=made.parts, note=f"cut anew at each start: {reason}")


def _cut(content: bytes) -> Split:
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise NotSplit("it is no ONNX file") from error
    cut = find(model)
    return Split(cut=cut, parts={name: part.SerializeToString() for name, part in parts(model, cut).items()})


def _read(folder: Path, key: str) -> Split | None:
    """Returns what was kept of this very model; None: nothing, or it is not what was written."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["version"] != VERSION or record["model_sha256"] != key:
            return None
        read = {name: (folder / f"{name}.onnx").read_bytes() for name in record["parts"]}
        if any(hashlib.sha256(read[name]).hexdigest() != known for name, known in record["parts"].items()):
            return None
        return Split(cut=_cut_of(record["cut"]), parts=read)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _cut_of(record: dict[str, Any]) -> Cut:
    flow = _section(record["flow"]) if record["flow"] else None
    return Cut(**(record | {"decoder": _section(record["decoder"]), "flow": flow}))


def _section(record: dict[str, Any]) -> Section:
    crops = tuple(Crop(**crop) for crop in record["crops"])
    return Section(**(record | {"borders": tuple(record["borders"]), "crops": crops}))


def _write(folder: Path, key: str, made: Split) -> None:
    """Writes the parts, the record last; who reads meanwhile finds the old or the new."""
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in made.parts.items()}
    record = {"version": VERSION, "model_sha256": key, "parts": hashes, "cut": asdict(made.cut)}
    for name, content in made.parts.items():
        _replace(folder / f"{name}.onnx", content)
    _replace(folder / RECORD, json.dumps(record, indent=1).encode())


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
