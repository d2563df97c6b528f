"""Builds the chain at start: every voice is verified, loaded and heard before it serves.

What cannot serve is kept as a fact with the name of its file and the command that mends it. ``cuda`` means
that voices run on CUDA or the service does not start: by the providers of the session, and by lines that are
made in less time than they sound. ``auto`` takes CUDA where that is proven and the CPU is not faster, and
keeps the CPU behind it.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from services.tts import espeak
from services.tts.chain import Chain, Proof
from services.tts.device_health import Machine
from services.tts.engine import Engine, Voice
from services.tts.loudness import Levels
from services.tts.settings import TtsSettings
from services.tts.voices import find_name
from services.tts.warm_up import Warmth, is_real_time, made_ms, numbers, prove
from shared.errors import EngineFailed, EngineRefused
from shared.messages import EngineFact
from shared.models import Installed, ModelBroken, installed, verify
from shared.observe import Log

if TYPE_CHECKING:
    from services.tts.device import Device
    from services.tts.piper import PiperVoice

SLOWER = 1.25
"""Times of the same lines differ by less than this factor from run to run."""
_GPU_PLACES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia/version")
"""One of them is where there is an NVIDIA driver: native, in a container, in WSL."""
_PULL_HINT = "eva models pull"
_GPU_HINT = "make setup GPU=1, or EVA_TTS_DEVICE=cpu if the CPU is meant"

log = Log("eva.tts")


@dataclass
class _Found:
    """What loading has come to."""

    settings: TtsSettings
    machine: Machine
    levels: Levels = field(default_factory=Levels)
    refused: list[EngineFact] = field(default_factory=list)
    warmths: dict[tuple[str, str, str], list[Warmth]] = field(default_factory=dict)
    """By engine, device and voice."""
    notes: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """Of voices that do not serve as they should; likewise."""
    batches: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """How many windows of several listeners go together; likewise."""

    def fail(
        self, engine: str, error: EngineRefused | EngineFailed, *, model: str = "", device: str = ""
    ) -> None:
        """Keeps why something cannot serve."""
        hint = error.hint if isinstance(error, EngineRefused) else ""
        self.refused.append(
            EngineFact(
                name=engine, state="failed", model=model, device=device, detail=error.reason, hint=hint
            )
        )

    def prove(self, voice: Voice, engine: str, device: str) -> list[Warmth]:
        """Hears a voice and keeps how long it took. Raises ``EngineFailed``."""
        rounds, lengths = (2, 3) if device.startswith("cuda") else (1, 2)
        warmths = prove(
            voice, engine, within_s=self.settings.tts_warm_up_s, levels=self.levels,
            rounds=rounds, lengths=lengths,
        )  # fmt: skip
        self.warmths[engine, device, voice.name] = warmths
        log.info(
            "tts.voice", engine=engine, name=voice.name, language=voice.language, device=device,
            **numbers(warmths),
        )  # fmt: skip
        return warmths


def choose(settings: TtsSettings, machine: Machine | None = None) -> Chain:
    """Returns the engines that can speak here, the best first; blocks for as long as loading takes.

    The devices that are used are put into ``machine``.

    Raises:
        EngineRefused: none can, or the device that was asked for is not there.
    """
    found = _Found(settings, machine or Machine())
    engines: list[Engine] = []
    for name in dict.fromkeys(settings.tts_engines.split(",")):
        engines.extend(_piper(found) if name == "piper" else _espeak(found))
    refused = found.refused
    if not engines:
        raise EngineRefused("tts", "; ".join(f"{fact.model} {fact.detail}".strip() for fact in refused))
    for fact in refused:
        log.warning("tts.refused", engine=fact.name, model=fact.model, reason=fact.detail, hint=fact.hint)
    proofs = {
        key: Proof(
            numbers={**numbers(warmths), "batch": found.batches.get(key, 1)}, note=found.notes.get(key, "")
        )
        for key, warmths in found.warmths.items()
    }
    return Chain(engines, time.monotonic, refused=refused, levels=found.levels, proofs=proofs)


def _espeak(found: _Found) -> Iterator[Engine]:
    try:
        engine = espeak.load()
        for voice in engine.voices():
            found.prove(voice, engine.name, engine.device)
    except (EngineRefused, EngineFailed) as error:
        found.fail(espeak.NAME, error)
        return
    yield engine


def _piper(found: _Found) -> Iterator[Engine]:
    settings, refused = found.settings, found.refused
    wants_cuda = settings.tts_device.startswith("cuda")
    items = installed(settings.models_dir, "tts")
    has_piper = importlib.util.find_spec("piper") is not None
    if not items or not has_piper:
        detail = f"no voice in {settings.models_dir / 'tts'}" if has_piper else "piper-tts is not installed"
        if wants_cuda:
            raise EngineRefused("piper", f"{settings.tts_device} was asked for, {detail}", hint=_PULL_HINT)
        refused.append(EngineFact(name="piper", state="absent", detail=detail, hint=_PULL_HINT))
        return
    first = find_name([item.name for item in items], settings.tts_voice)
    items.sort(key=lambda item: item.name != first)  # the default voice first
    whole = [(item, hashes) for item in items if (hashes := _verified(item, found)) is not None]
    from services.tts.device import cuda_is_listed  # noqa: PLC0415 - only where there are voices
    from services.tts.piper import Piper  # noqa: PLC0415 - as above

    has_cuda, has_gpu = cuda_is_listed(), any(Path(place).exists() for place in _GPU_PLACES)
    refused.extend(idle_gpu(settings.tts_device, has_cuda=has_cuda, has_gpu=has_gpu))
    engines: dict[str, Piper] = {}
    for name in devices(settings.tts_device, can_try=has_cuda and has_gpu):
        device = _device(name, found)
        voices = [voice for item, hashes in whole for voice in _loaded(item, hashes, device, found)]
        if voices:
            engines[name] = Piper(name, tuple(voices))
            found.machine.devices.append(device)
        elif wants_cuda:
            raise EngineRefused("piper", refused[-1].detail, hint=refused[-1].hint)
    chosen = [engines[name] for name in preferred(_took_ms(engines, found), refused)]
    yield from chosen
    yield from filter(None, [engine.twin() for engine in chosen])


def _device(name: str, found: _Found) -> Device:
    """Returns a device that is watched if it is a GPU."""
    from services.tts.device import Device  # noqa: PLC0415 - as above
    from services.tts.nvml import watch  # noqa: PLC0415 - as above

    settings = found.settings
    device = Device.of(name, threads=settings.threads, memory_mb=settings.tts_gpu_memory_mb)
    return replace(device, card=watch(device.index)) if device.is_cuda else device


def _took_ms(engines: Mapping[str, Engine], found: _Found) -> dict[str, float]:
    """Returns how long each device took for the medium line, warm, in the first voice that all have."""
    names = [[voice.name for voice in engine.voices()] for engine in engines.values()]
    common = next((name for name in names[0] if all(name in each for each in names)), "") if names else ""
    return {
        device: made_ms(found.warmths.get((engine.name, device, common), ()))
        for device, engine in engines.items()
    }


def preferred(took_ms: Mapping[str, float], refused: list[EngineFact]) -> list[str]:
    """Returns the devices in the order of their use; ``took_ms``: of each, for the same line, best first.

    A GPU stays first unless it was slower than the CPU by more than such figures scatter: then the
    CPU serves, and why is put among ``refused``.
    """
    order = list(took_ms)
    if len(order) < 2 or took_ms[order[0]] <= SLOWER * took_ms[order[-1]]:
        return order
    gpu, cpu = order[0], order[-1]
    detail = f"{gpu} took {took_ms[gpu]:.0f} ms for what the {cpu} makes in {took_ms[cpu]:.0f} ms"
    refused.append(
        EngineFact(name="piper", state="standby", device=gpu, detail=detail, hint=f"EVA_TTS_DEVICE={cpu}")
    )
    return [cpu, gpu]


def devices(wanted: str, *, can_try: bool) -> list[str]:
    """Returns the devices to load voices on, the best first; ``can_try``: CUDA may work here."""
    if wanted == "auto":
        return ["cuda:0", "cpu"] if can_try else ["cpu"]
    return ["cuda:0" if wanted == "cuda" else wanted]


def idle_gpu(wanted: str, *, has_cuda: bool, has_gpu: bool) -> list[EngineFact]:
    """Returns the complaint that a GPU is there which nothing here can use; empty: all is well."""
    if wanted != "auto" or has_cuda or not has_gpu:
        return []
    detail = "there is a GPU and the installed ONNX Runtime has no CUDA"
    return [EngineFact(name="piper", state="failed", device="cuda:0", detail=detail, hint=_GPU_HINT)]


def _verified(item: Installed, found: _Found) -> dict[str, str] | None:
    try:
        return verify(item)
    except ModelBroken as broken:
        error = EngineRefused("piper", f"{broken.file}: {broken.reason}", hint=broken.hint)
        found.fail("piper", error, model=item.name)
    return None


def _loaded(item: Installed, hashes: dict[str, str], device: Device, found: _Found) -> Iterator[PiperVoice]:
    from services.tts.piper import load_voice  # noqa: PLC0415 - only where there are voices

    for model in sorted(item.path.glob("*.onnx")):
        try:
            cache = found.settings.data_dir / "cache"
            voice = load_voice(model, device=device, sha256=hashes.get(model.name, ""), cache=cache)
            warmths = found.prove(voice, "piper", device.name)
            found.notes["piper", device.name, voice.name] = voice.why_whole
            found.batches["piper", device.name, voice.name] = voice.batch
            if device.is_cuda:
                _require_pace(model.name, device.name, warmths)
        except (EngineRefused, EngineFailed) as error:
            found.fail("piper", error, model=item.name, device=device.name)
            continue
        yield voice


def _require_pace(model: str, device: str, warmths: Sequence[Warmth]) -> None:
    """Raises ``EngineRefused`` if a GPU did not even keep pace with the sound."""
    from services.tts.device import CUDA_HINT  # noqa: PLC0415 - only where there are voices

    if not is_real_time(warmths):
        slowest = max(warmths, key=lambda one: one.real_time_factor)
        took = f"took {slowest.made_ms:.0f} ms for {slowest.audio_s:.1f} s of sound"
        raise EngineRefused("piper", f"{model} on {device} {took}: this is no working CUDA", hint=CUDA_HINT)
