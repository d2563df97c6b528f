"""Which engines are tried, in which order. Pure: what is installed and present is passed in.

Whisper on CUDA, then on the CPU, then the offline engine. What was asked for by name is not replaced
silently: a named model or ``cuda`` that cannot be had makes the worker refuse to start. The offline engine
still stands behind a named model as the last resort of a turn in mid-flight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.stt.engine import EngineInfo
from shared.errors import EngineRefused
from shared.messages import EngineFact

PULL = "eva models pull"
INSTALL_WHISPER = "pip install faster-whisper"
OFFLINE = "sphinx"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A model folder that is there; not yet known to be good."""

    name: str
    path: Path
    size_bytes: int = 0
    """Of ``model.bin``; 0 where it is missing."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One engine to be tried."""

    engine: Literal["whisper", "sphinx"]
    model: str
    device: str
    path: Path | None = None
    compute_type: str = ""
    may_start: bool = True
    """False: only when an engine that was asked for fails in mid-flight."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the operator asked for."""

    model: str = "auto"
    device: str = "auto"
    compute_type: str = "auto"


@dataclass(frozen=True, kw_only=True)
class Present:
    """What this machine has."""

    models: tuple[Found, ...] = ()
    """In the manifest's order, defaults first."""
    cuda_devices: int = 0
    has_whisper: bool = True
    """Whether faster-whisper is installed."""
    has_sphinx: bool = True
    models_dir: Path = Path()


def candidates(wanted: Wanted, present: Present) -> tuple[Candidate, ...]:
    """Returns the engines to be tried, best first.

    Raises:
        EngineRefused: what was asked for by name cannot be had here.
    """
    offline = _offline(wanted, present)
    if wanted.model == OFFLINE:
        if not offline:
            raise EngineRefused(OFFLINE, "pocketsphinx is not installed", hint="pip install pocketsphinx")
        if wanted.device.startswith("cuda"):
            raise EngineRefused(OFFLINE, "it does not run on CUDA", hint="EVA_STT_DEVICE=cpu")
        return offline
    models = _models(wanted, present)
    whisper = tuple(
        Candidate(
            engine="whisper",
            model=model.name,
            device=device,
            path=model.path,
            compute_type=_compute_type(wanted.compute_type, device),
        )
        for device in _devices(wanted.device, present.cuda_devices)
        for model in _by_fitness(models, device)
    )
    if wanted.device.startswith("cuda"):
        if not whisper:
            raise EngineRefused("whisper", f"no Whisper model in {present.models_dir / 'stt'}", hint=PULL)
        return whisper
    if not whisper and not offline:
        raise EngineRefused("whisper", f"no Whisper model in {present.models_dir / 'stt'}", hint=PULL)
    return whisper + offline


def absent(chain: Sequence[Candidate], present: Present) -> list[EngineFact]:
    """Returns what would be better and is not there, with the command that brings it."""
    if any(candidate.engine == "whisper" for candidate in chain):
        return []
    if not present.has_whisper:
        return [
            EngineFact(
                name="whisper", state="absent", detail="faster-whisper is not installed", hint=INSTALL_WHISPER
            )
        ]
    detail = f"no Whisper model in {present.models_dir / 'stt'}"
    return [EngineFact(name="whisper", state="absent", detail=detail, hint=PULL)]


def default_slots(info: EngineInfo) -> int:
    """Returns how many sessions a worker hears when nobody said."""
    return 32 if info.device.startswith("cuda") else 8


def _offline(wanted: Wanted, present: Present) -> tuple[Candidate, ...]:
    if not present.has_sphinx:
        return ()
    may_start = wanted.model in {"auto", OFFLINE}
    return (Candidate(engine="sphinx", model="en-us", device="cpu", may_start=may_start),)


def _models(wanted: Wanted, present: Present) -> tuple[Found, ...]:
    if not present.has_whisper:
        if wanted.model == "auto":
            return ()
        raise EngineRefused("whisper", "faster-whisper is not installed", hint=INSTALL_WHISPER)
    if wanted.model == "auto":
        return present.models
    named = tuple(model for model in present.models if wanted.model in {model.name, str(model.path)})
    if not named:
        raise EngineRefused(
            "whisper",
            f"EVA_STT_MODEL={wanted.model}: no such model in {present.models_dir / 'stt'}",
            hint=f"{PULL} {wanted.model}",
        )
    return named


def _devices(wanted: str, cuda_devices: int) -> tuple[str, ...]:
    if wanted == "cpu":
        return ("cpu",)
    if wanted == "auto":
        return ("cuda:0", "cpu") if cuda_devices else ("cpu",)
    number = int(wanted.partition(":")[2] or 0)
    if number >= cuda_devices:
        raise EngineRefused(
            "whisper",
            f"EVA_STT_DEVICE={wanted}, but CTranslate2 sees {cuda_devices} CUDA devices",
            hint="eva doctor; or EVA_STT_DEVICE=auto",
        )
    return (f"cuda:{number}",)


def _by_fitness(models: tuple[Found, ...], device: str) -> tuple[Found, ...]:
    """On CUDA the largest model is quick enough; on the CPU the manifest's order counts."""
    if device == "cpu":
        return models
    return tuple(sorted(models, key=lambda model: -model.size_bytes))


def _compute_type(wanted: str, device: str) -> str:
    if wanted != "auto":
        return wanted
    return "int8" if device == "cpu" else "float16"
