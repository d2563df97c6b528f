"""Models on disk: which ones EVA knows, where they lie, and whether their files are whole.

A broken model is refused by the name of its file before an engine sees it: runtimes answer a truncated or
swapped file with riddles ("No graph was found in the protobuf"). Hashing a gigabyte at every start would
cost seconds, so a hash is kept beside the files (``.eva-model.json``) for as long as size and time of change
stay the same. The record is also the memory of a first use: a file without a published hash must stay what
it was.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from shared.errors import EvaError
from shared.onnx_file import external_files

Kind = Literal["stt", "tts", "turn"]
"""``turn``: models that hear whether somebody is done."""

RECORD_NAME = ".eva-model.json"
_HEAD_BYTES = 512
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelFile:
    """One file of a model."""

    name: str
    url: str
    """Path below the hub's address, without a leading slash."""
    size_bytes: int
    """0: not known."""
    sha256: str
    """Empty: not published; the first hash seen is kept in the record."""
    md5: str = ""
    """Checked only where ``sha256`` is empty and nothing is recorded yet."""


@dataclass(frozen=True)
class Model:
    """A model of the manifest, pinned to a revision."""

    name: str
    kind: Kind
    languages: tuple[str, ...]
    """ISO 639-1; ``*`` for a model that hears about a hundred."""
    licence: str
    source: str
    revision: str
    files: tuple[ModelFile, ...]
    is_default: bool
    description: str
    rate_hz: int = 0
    """Of a voice's sound; 0: not told."""
    speakers: tuple[str, ...] = ()
    """Of a voice that has several."""

    @property
    def size_bytes(self) -> int:
        """What a pull brings, bytes."""
        return sum(file.size_bytes for file in self.files)

    @property
    def is_pinned(self) -> bool:
        """Every file's content is fixed by a published hash; else the first use is trusted."""
        return all(file.sha256 or file.md5 for file in self.files)


@dataclass(frozen=True)
class Installed:
    """A model that lies in the models folder."""

    name: str
    kind: Kind
    path: Path
    """The model's own folder."""
    model: Model | None
    """``None``: put there by hand, not of the manifest."""


class ModelBroken(EvaError):
    """A model cannot be used; the message names the file, what is wrong, and how to mend it."""

    code: ClassVar[str] = "model_broken"

    def __init__(self, file: Path, reason: str, hint: str) -> None:
        super().__init__(f"{file}: {reason}. {hint}")
        self.file, self.reason, self.hint = file, reason, hint


@functools.cache
def manifest() -> tuple[Model, ...]:
    """All models that EVA knows by name, in the order of the manifest file."""
    return parse_manifest(Path(__file__).with_name("models_manifest.toml").read_text(encoding="utf-8"))


def parse_manifest(text: str) -> tuple[Model, ...]:
    """Reads a manifest; ``path`` is a pattern over ``{revision}`` and ``{name}`` (of the file).

    Raises:
        KeyError, tomllib.TOMLDecodeError: the text is no manifest.
    """
    return tuple(_model(entry) for entry in tomllib.loads(text)["model"])


def _model(entry: dict[str, Any]) -> Model:
    files = tuple(
        ModelFile(
            name=file["name"],
            url=entry["path"].format(revision=entry["revision"], name=file["name"]),
            size_bytes=file["size_bytes"],
            sha256=file["sha256"],
            md5=file.get("md5", ""),
        )
        for file in entry["files"]
    )
    return Model(
        name=entry["name"],
        kind=entry["kind"],
        languages=tuple(entry["languages"]),
        licence=entry["licence"],
        source=entry["source"],
        revision=entry["revision"],
        files=files,
        is_default=entry["default"],
        description=entry["description"],
        rate_hz=entry.get("rate_hz", 0),
        speakers=tuple(entry.get("speakers", ())),
    )


def find(name: str) -> Model | None:
    """The model of that name, ``None`` if the manifest has none."""
    return next((model for model in manifest() if model.name == name), None)


def directory(models_dir: Path, kind: Kind, name: str) -> Path:
    """Where a model lies or would lie: ``<models_dir>/<kind>/<name>``."""
    return models_dir / kind / name


def installed(models_dir: Path, kind: Kind) -> list[Installed]:
    """Models that lie there, whole or not: the manifest's defaults first, then by name. Opens no file."""
    root = models_dir / kind
    try:
        folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
    found = []
    for path in folders:
        if _main_files(path, kind):
            model = find(path.name)
            known = model if model is not None and model.kind == kind else None
            found.append(Installed(path.name, kind, path, known))
    return sorted(found, key=lambda item: (not (item.model and item.model.is_default), item.name))


def _main_files(path: Path, kind: Kind) -> list[Path]:
    if kind == "stt":
        return [path / "model.bin"] if (path / "model.bin").exists() else []
    # A voice without its .onnx.json counts as there, so that `verify` can name what is missing.
    return sorted(path.glob("*.onnx"))


def _expected(item: Installed) -> list[ModelFile]:
    """The files that must be there; for a model of no manifest, those that its engine opens."""
    if item.model is not None:
        return list(item.model.files)
    if item.kind == "turn":
        return [ModelFile(main.name, "", 0, "") for main in _main_files(item.path, "turn")]
    if item.kind == "tts":
        mains = _main_files(item.path, "tts")
        return [ModelFile(name, "", 0, "") for main in mains for name in (main.name, main.name + ".json")]
    # Without tokenizer.json faster-whisper would fetch one from the hub while somebody waits.
    vocabulary = "vocabulary.txt" if (item.path / "vocabulary.txt").exists() else "vocabulary.json"
    names = ("model.bin", "config.json", "tokenizer.json", vocabulary)
    return [ModelFile(name, "", 0, "") for name in names]


def verify(item: Installed, *, use_cache: bool = True) -> dict[str, str]:
    """Checks every file; answers file name -> sha256. Blocks: hashes what changed since the last time.

    Raises:
        ModelBroken: a file is missing, empty, unreadable, of another size or content, a pointer, a web page.
    """
    hint = (
        f"Mend it with `eva models pull {item.name}`"
        if item.model is not None
        else f"Put the right file there again (and remove {RECORD_NAME} beside it if the change was wanted)"
    )
    record = _read_record(item.path)
    hashes = {}
    for file in _expected(item):
        try:
            hashes[file.name] = _verify_file(item.path / file.name, file, record, use_cache=use_cache)
        except OSError as error:
            reason = (
                "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
            )
            raise ModelBroken(item.path / file.name, reason, hint) from error
        except _Refused as error:
            raise ModelBroken(item.path / file.name, str(error), hint) from error
    for name in hashes:
        if reason := _alone(item.path, record[name].get("external") or [], hashes):
            raise ModelBroken(item.path / name, reason, hint)
    _write_record(item.path, record)
    return hashes


def _alone(folder: Path, external: list[str], hashes: dict[str, str]) -> str:
    """Returns why a model that keeps tensors in other files cannot be trusted; empty: it can."""
    for name in external:
        if not (folder / name).is_file():
            return f"keeps tensors in another file, {name}, which is missing"
        if name not in hashes:
            return f"keeps tensors in another file, {name}, whose content nobody has fixed by a hash"
    return ""


class _Refused(Exception):
    """What is wrong with a file, without its name."""


def _verify_file(path: Path, file: ModelFile, record: dict[str, dict[str, Any]], *, use_cache: bool) -> str:
    status = path.stat()
    with path.open("rb") as stream:
        _refuse_stand_ins(stream.read(_HEAD_BYTES))
    if file.size_bytes and status.st_size != file.size_bytes:
        raise _Refused(f"has {status.st_size} bytes instead of {file.size_bytes}")
    known = record.get(file.name, {})
    trusted = file.sha256 or known.get("sha256", "")
    if use_cache and (known.get("size_bytes"), known.get("mtime_ns")) == (status.st_size, status.st_mtime_ns):
        sha256 = str(known["sha256"])
    else:
        sha256 = _digest(path, hashlib.sha256())
        if not trusted and file.md5:
            md5 = _digest(path, hashlib.md5(usedforsecurity=False))
            if md5 != file.md5:
                raise _Refused(f"is not the file it should be (md5 {md5} instead of {file.md5})")
    if trusted and sha256 != trusted:
        raise _Refused(f"is not the file it should be (sha256 {sha256} instead of {trusted})")
    if path.suffix == ".json":
        _refuse_no_json(path)
    external = known.get("external") if known.get("sha256") == sha256 else None
    if path.suffix == ".onnx" and external is None:
        external = external_files(path)
    record[file.name] = {"size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256}
    if external is not None:
        record[file.name]["external"] = external
    return sha256


def _refuse_stand_ins(head: bytes) -> None:
    """Raises ``_Refused`` for what lies under a model's name after a fetch that went wrong."""
    if not head:
        raise _Refused("is empty")
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        raise _Refused("is only a Git LFS pointer, not the file itself")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        raise _Refused("is a web page, not a model: the download was answered by a portal or an error page")


def _refuse_no_json(path: Path) -> None:
    try:
        json.loads(path.read_bytes())
    except ValueError as error:
        raise _Refused(f"is not valid JSON ({error})") from error


def _digest(path: Path, digest: hashlib._Hash) -> str:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def remember(path: Path, sha256: str) -> None:
    """Keeps the hash of a file that was just fetched and checked, so that the next start need not hash it."""
    status = path.stat()
    record = _read_record(path.parent)
    record[path.name] = {"size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256}
    _write_record(path.parent, record)


def forget(path: Path) -> None:
    """Drops what is known of a file that is about to be replaced on purpose."""
    record = _read_record(path.parent)
    if record.pop(path.name, None) is not None:
        _write_record(path.parent, record)


def _read_record(folder: Path) -> dict[str, dict[str, Any]]:
    """Damaged or absent records are empty ones: then everything is hashed again."""
    try:
        raw = json.loads((folder / RECORD_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    files = raw.get("files") if isinstance(raw, dict) else None
    if not isinstance(files, dict):
        return {}
    return {
        name: entry
        for name, entry in files.items()
        if isinstance(entry, dict) and isinstance(entry.get("sha256"), str)
    }


def _write_record(folder: Path, record: dict[str, dict[str, Any]]) -> None:
    """A folder that cannot be written is fine: the hashes are then computed at each start."""
    if record == _read_record(folder):
        return
    temporary = folder / f"{RECORD_NAME}.{os.getpid()}"
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps({"files": record}, indent=1, sort_keys=True), encoding="utf-8")
        temporary.replace(folder / RECORD_NAME)
