"""Which engines are tried, in which order, and how much they are given. Pure: what is there is passed in.

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
SHORT_NAMES = {
    "tiny": "faster-whisper-tiny",
    "base": "faster-whisper-base",
    "small": "faster-whisper-small",
    "turbo": "faster-whisper-large-v3-turbo",
    "large-v3-turbo": "faster-whisper-large-v3-turbo",
    "distil": "faster-distil-whisper-large-v3",
    "distil-large-v3": "faster-distil-whisper-large-v3",
}
"""What a model of the manifest may be called; its own name is good as well."""
CUDA_TYPES = ("float16", "bfloat16", "int8_float16", "int8_float32", "float32")
CPU_TYPES = ("int8", "int8_float32", "float32")
"""Compute types in the order of ``auto``: quick first, what every device has last."""


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
    cpu_types: tuple[str, ...] = ()
    cuda_types: tuple[str, ...] = ()
    """Compute types of the devices; empty: not known."""
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
            compute_type=compute_type,
        )
        for device, compute_type in _abilities(wanted, present)
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


SPEAKING = 0.35
"""Share of a conversation in which the person speaks: they and EVA take turns, and both think."""
DRAFTS_PER_S = 0.6
"""Transcriptions of a pause, for each second of speech: one every 1.7 s, the last of them the final."""
LOAD = 0.5
"""Of the engine: at half of it, calls of equal length wait for half a call on average (M/D/1)."""
LOOP_SHARE = 0.012
"""Of one core, for each session: voice activity (0.11 ms a frame of 32 ms), resampling, messages."""
UNMEASURED_SLOTS = 8
LEAST_SLOTS = 2
"""What is measured while a whole house starts is too slow; one slot would turn every second person away."""


def slots_for(info: EngineInfo) -> int:
    """Returns how many sessions a worker can hear in time, by what its engine took at warm-up.

    Counted are the drafts of pauses, which become the finals; partials have only what is left over and are
    the first to be shed. An engine that decodes while people speak is charged with their speech instead.
    Batches count as what is asked of them at least (``PAYS``). Not counted: what else runs on the machine.
    """
    if not info.call_ms:
        return UNMEASURED_SLOTS
    per_speech_s = DRAFTS_PER_S * info.call_ms / 1000 * (PAYS if info.max_batch > 1 else 1.0)
    if info.is_incremental:
        per_speech_s = info.rtf
    by_engine = LOAD * info.lanes / (SPEAKING * per_speech_s)
    return max(LEAST_SLOTS, int(min(by_engine, LOAD / LOOP_SHARE)))


PAYS = 0.8
"""A batch is worth its while when it takes less than this share of its clips one by one."""


def batch_that_pays(call_s: float, batch_s: float, size: int) -> int:
    """Returns ``size`` if one call for so many clips is quick enough against ``size`` calls, else 1."""
    return size if batch_s < PAYS * size * call_s else 1


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
    name = SHORT_NAMES.get(wanted.model, wanted.model)
    named = tuple(
        model
        for model in present.models
        if wanted.model in {model.name, str(model.path)} or name == model.name
    )
    if not named:
        raise EngineRefused(
            "whisper",
            f"EVA_STT_MODEL={wanted.model}: no such model in {present.models_dir / 'stt'}",
            hint=f"{PULL} {name}",
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


def _abilities(wanted: Wanted, present: Present) -> list[tuple[str, str]]:
    """Returns the devices that can serve and what each calculates in."""
    devices = _devices(wanted.device, present.cuda_devices)
    able = [(device, _compute_type(wanted.compute_type, device, present)) for device in devices]
    if not any(compute_type for _, compute_type in able):
        types = present.cuda_types if devices[0] != "cpu" else present.cpu_types
        raise EngineRefused(
            "whisper",
            f"EVA_STT_COMPUTE_TYPE={wanted.compute_type}: {devices[0]} has {', '.join(types)}",
            hint="EVA_STT_COMPUTE_TYPE=auto",
        )
    return [(device, compute_type) for device, compute_type in able if compute_type]


def _compute_type(wanted: str, device: str, present: Present) -> str:
    """Returns what the device calculates in; empty: it has not got what is wanted."""
    types, order = (present.cpu_types, CPU_TYPES) if device == "cpu" else (present.cuda_types, CUDA_TYPES)
    if wanted != "auto":
        return wanted if not types or wanted in types else ""
    return next((one for one in order if not types or one in types), order[-1])
