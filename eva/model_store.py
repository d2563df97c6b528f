"""The models folder as the operator sees it: what is there, what is whole, and getting what is not.

Fetching is a step of its own: nothing is ever fetched while somebody waits for an answer. Without a hub EVA
goes on with what is here, so an unreachable one costs one line and no more than the connect timeout.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from shared.errors import BadInput, EvaError
from shared.models import (
    Installed,
    Kind,
    Model,
    ModelBroken,
    ModelFile,
    directory,
    find,
    forget,
    installed,
    manifest,
    remember,
    verify,
)

_SPARE_BYTES = 64 << 20  # Left free on the disk beside what a pull brings.
_KINDS: tuple[Kind, ...] = ("stt", "tts", "turn")

State = Literal["installed", "broken", "absent"]


class HubUnreachable(EvaError):
    """Nobody answers at the hub's address; nothing was changed."""

    code: ClassVar[str] = "hub_unreachable"

    def __init__(self, hub: str, reason: str) -> None:
        super().__init__(f"The model hub cannot be reached ({hub}: {reason})")
        self.hub, self.reason = hub, reason


class FetchFailed(EvaError):
    """The hub answers, but this file could not be had from it."""

    code: ClassVar[str] = "fetch_failed"

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file, self.reason = file, reason


class Meter(Protocol):
    """Shows how far a fetch is."""

    def begin(self, name: str, total_bytes: int) -> None:
        """A file starts, or goes on where it broke off; ``total_bytes`` 0: not known."""

    def show(self, done_bytes: int) -> None:
        """So much of the file is here."""

    def end(self) -> None:
        """The file is here, or was given up."""


class Hub(Protocol):
    """Where models come from."""

    def reach(self) -> None:
        """Raises ``HubUnreachable`` unless somebody answers within the connect timeout; blocks."""

    def fetch(self, file: ModelFile, target: Path, meter: Meter) -> str:
        """Brings one file to ``target`` and answers its sha256; blocks.

        Raises:
            HubUnreachable: nobody answered the first request.
            FetchFailed: the hub has no such file, sends another one, or breaks off again and again.
            OSError: the disk refuses.
        """


@dataclass(frozen=True)
class Listed:
    """A model as ``eva models list`` shows it."""

    name: str
    kind: Kind
    languages: tuple[str, ...]
    size_bytes: int
    licence: str
    state: State
    reason: str
    """Why it is broken, else empty."""
    trust: Literal["pinned", "first use", "by hand"]
    """``pinned``: every byte is fixed by the manifest; else the content first seen is what it must stay."""
    is_default: bool
    path: Path
    rate_hz: int = 0
    """Of a voice; 0: not told."""
    speakers: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class Pulled:
    """What a pull did for one model."""

    name: str
    kind: Kind
    outcome: Literal["fetched", "present", "failed"]
    path: Path
    reason: str = ""


def list_models(models_dir: Path) -> list[Listed]:
    """Models of the manifest in its order, then those put there by hand; verifies what is there."""
    here = {(item.kind, item.name): item for kind in _KINDS for item in installed(models_dir, kind)}
    known = [_listed(model, here.pop((model.kind, model.name), None), models_dir) for model in manifest()]
    by_hand = [
        Listed(
            item.name,
            item.kind,
            (),
            _size_bytes(item.path),
            "unknown",
            *_state(item),
            "by hand",
            False,
            item.path,
        )
        for item in here.values()
    ]
    return known + by_hand


def _listed(model: Model, item: Installed | None, models_dir: Path) -> Listed:
    return Listed(
        model.name,
        model.kind,
        model.languages,
        model.size_bytes,
        model.licence,
        *_state(item),
        "pinned" if model.is_pinned else "first use",
        model.is_default,
        directory(models_dir, model.kind, model.name),
        model.rate_hz,
        model.speakers,
        model.description,
    )


def _state(item: Installed | None, *, use_cache: bool = True) -> tuple[State, str]:
    if item is None:
        return "absent", ""
    try:
        verify(item, use_cache=use_cache)
    except ModelBroken as error:
        return "broken", str(error)
    return "installed", ""


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def verify_models(names: Sequence[str], models_dir: Path) -> list[tuple[Installed, State, str]]:
    """Hashes the named models anew (none named: all that are there): model, state, reason.

    Raises:
        BadInput: a name that neither the manifest nor the folder knows.
    """
    here = [item for kind in _KINDS for item in installed(models_dir, kind)]
    chosen = here if not names else [_named(name, here, models_dir) for name in names]
    return [(item, *_state(item, use_cache=False)) for item in chosen]


def _named(name: str, here: list[Installed], models_dir: Path) -> Installed:
    found = next((item for item in here if item.name == name), None)
    if found is not None:
        return found
    model = _known(name)
    return Installed(name, model.kind, directory(models_dir, model.kind, name), model)


def _known(name: str) -> Model:
    model = find(name)
    if model is None:
        raise BadInput(
            f"there is no model {name!r}: `eva models list` shows those that there are", param="name"
        )
    return model


def chosen(names: Sequence[str]) -> list[Model]:
    """The manifest's models of these names; none named: the defaults.

    Raises:
        BadInput: the manifest has no such model.
    """
    return [_known(name) for name in names] if names else [model for model in manifest() if model.is_default]


def pull(
    models: Sequence[Model], models_dir: Path, hub: AbstractContextManager[Hub], meter: Meter
) -> Iterator[Pulled]:
    """Fetches models as far as they are not here whole, one after the other; blocks.

    The hub is not opened where nothing is missing.

    Raises:
        HubUnreachable: nobody answers; what was fetched before stays.
    """
    missing = {model.name: _missing(model, models_dir) for model in models}
    if not any(missing.values()):
        for model in models:
            yield Pulled(model.name, model.kind, "present", directory(models_dir, model.kind, model.name))
        return
    with hub as opened:
        opened.reach()
        for model in models:
            yield _pull_one(model, missing[model.name], models_dir, opened, meter)


def _missing(model: Model, models_dir: Path) -> list[ModelFile]:
    """Files that are not there whole; the main one last, so that half a model never looks like one."""
    path = directory(models_dir, model.kind, model.name)
    missing = []
    for file in sorted(model.files, key=lambda file: file.name.endswith((".bin", ".onnx"))):
        one = dataclasses.replace(model, files=(file,))
        if _state(Installed(model.name, model.kind, path, one))[0] == "broken":
            missing.append(file)
    return missing


def _pull_one(model: Model, files: list[ModelFile], models_dir: Path, hub: Hub, meter: Meter) -> Pulled:
    path = directory(models_dir, model.kind, model.name)
    if not files:
        return Pulled(model.name, model.kind, "present", path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        _refuse_full_disk(path, sum(file.size_bytes for file in files))
        for file in files:
            forget(path / file.name)
            remember(path / file.name, hub.fetch(file, path / file.name, meter))
    except FetchFailed as error:
        return Pulled(model.name, model.kind, "failed", path, str(error))
    except OSError as error:
        return Pulled(model.name, model.kind, "failed", path, f"{path}: {error.strerror or error}")
    return Pulled(model.name, model.kind, "fetched", path)


def _refuse_full_disk(path: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(path).free
    if free_bytes < needed_bytes + _SPARE_BYTES:
        raise OSError(f"{megabytes(needed_bytes)} are needed, {megabytes(free_bytes)} are free")


def megabytes(size_bytes: int) -> str:
    """A size as people read it."""
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
