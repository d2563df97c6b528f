"""What ``eva doctor`` looks at on this machine, running or not. Each check says what mends it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from eva.config import settings_of, unknown_variables
from eva.runtimes import Distribution, judge
from eva.sound import device_name
from shared.errors import ConfigError
from shared.models import Kind, ModelBroken, installed, verify

OLDEST_PYTHON = (3, 11)
LEAST_DISK_GB = 1.0
_PACKAGES = (
    "av", "faster_whisper", "fastapi", "groq", "httpx", "nats", "numpy", "onnxruntime", "openai", "piper",
    "pocketsphinx", "uvicorn", "websockets",
)  # fmt: skip
SETUP = "make setup"
_EARLIEST_CLOCK_S = 1_700_000_000


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at. A warning is ``ok`` with something to better in ``hint``."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Devices:
    """Which devices the settings ask for."""

    stt: str = "auto"
    tts: str = "auto"

    @property
    def wants_cuda(self) -> bool:
        """Whether a stage may not run without CUDA."""
        return any(device.startswith("cuda") for device in (self.stt, self.tts))


def local_checks(data_dir: Path) -> Iterator[Check]:
    """Yields the checks that need no EVA and no broker."""
    yield python()
    yield from packages()
    settings, devices = read_settings()
    yield onnxruntime_wheel(devices)
    yield directory(data_dir)
    yield settings
    yield from models(data_dir / "models")
    yield turn_model(data_dir / "models")
    yield offline_ears()
    yield offline_voice()
    yield gpu(devices)
    yield sound()
    yield clock(time.time())


def python() -> Check:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    is_new = sys.version_info[:2] >= OLDEST_PYTHON
    return Check(
        "python", is_new, f"{version} in {sys.prefix}", "" if is_new else "Install Python 3.11 or newer"
    )


def packages() -> Iterator[Check]:
    """What the services import."""
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    detail = f"missing: {', '.join(absent)}" if absent else f"{len(_PACKAGES)} found"
    yield Check("packages", not absent, detail, SETUP if absent else "")


def onnxruntime_wheel(devices: Devices) -> Check:
    """Which ONNX Runtime is here, and that it is one: see ``eva.runtimes``."""
    found = [
        Distribution(one.metadata["Name"] or "", one.version) for one in importlib.metadata.distributions()
    ]
    runtime = judge(found, _providers(), wants_cuda=devices.wants_cuda)
    return Check("onnxruntime", not runtime.hint, runtime.detail, runtime.hint)


def _providers() -> list[str] | None:
    try:
        import onnxruntime  # noqa: PLC0415 - heavy

        return list(onnxruntime.get_available_providers())
    except (ImportError, AttributeError):  # what is left when one of two wheels was removed
        return None


def directory(data_dir: Path) -> Check:
    """Where models and the broker's store lie."""
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Check(
            "data directory", ok=False, detail=f"{data_dir} cannot be written", hint="Set EVA_DATA_DIR"
        )
    free_gb = shutil.disk_usage(place).free / 1e9
    is_enough = free_gb >= LEAST_DISK_GB
    hint = "" if is_enough else "Free some space, or set EVA_DATA_DIR to another disk"
    return Check("data directory", is_enough, f"{data_dir}, {free_gb:.1f} GB free", hint)


def read_settings() -> tuple[Check, Devices]:
    """The settings of all services."""
    try:
        for service in ("gateway", "llm"):
            settings_of(service).read()
        devices = Devices(
            stt=str(getattr(settings_of("stt").read(), "stt_device", "auto")),
            tts=str(getattr(settings_of("tts").read(), "tts_device", "auto")),
        )
    except ConfigError as error:
        return Check("settings", ok=False, detail=str(error), hint="eva config show"), Devices()
    unknown = unknown_variables()
    detail = f"nobody reads {', '.join(unknown)}" if unknown else "all can be used"
    return Check("settings", ok=True, detail=detail, hint="eva config show" if unknown else ""), devices


def models(models_dir: Path) -> Iterator[Check]:
    """Models that lie here, whole or not."""
    kinds: tuple[tuple[Kind, str], ...] = (("stt", "whisper model"), ("tts", "piper voice"))
    for kind, name in kinds:
        found = installed(models_dir, kind)
        if not found:
            detail = f"none in {models_dir / kind}: the offline engine serves, degraded"
            yield Check(name, ok=True, detail=detail, hint="eva models pull")
        for item in found:
            try:
                verify(item)
            except ModelBroken as error:
                yield Check(name, ok=False, detail=f"{error.file}: {error.reason}", hint=error.hint)
            else:
                yield Check(name, ok=True, detail=f"{item.name} is whole")


def turn_model(models_dir: Path) -> Check:
    """Which model hears from the voice whether a person is done; without one EVA goes by the melody."""
    name, folder = "turn model", models_dir / "turn"
    found = installed(models_dir, "turn")
    broken = ""
    for item in found:
        try:
            verify(item)
        except ModelBroken as error:
            broken = f"{error.file}: {error.reason}"
        else:
            return Check(name, ok=True, detail=f"{item.name} is whole")
    if broken:
        return Check(
            name,
            ok=False,
            detail=f"{broken}; the melody of the voice serves",
            hint=f"Put it anew into {folder}",
        )
    detail = f"none in {folder}: the melody of the voice serves"
    return Check(name, ok=True, detail=detail)


def offline_ears() -> Check:
    """The recogniser that needs no download."""
    is_there = importlib.util.find_spec("pocketsphinx") is not None
    detail = "pocketsphinx, English only" if is_there else "pocketsphinx is not installed"
    return Check("offline ears", is_there, detail, "" if is_there else SETUP)


def offline_voice() -> Check:
    """The voice that needs no download: espeak-ng, the system's or the one that piper-tts carries."""
    import ctypes.util  # noqa: PLC0415 - starts a compiler on some systems

    if library := ctypes.util.find_library("espeak-ng"):
        return Check("offline voice", ok=True, detail=f"espeak-ng, {library}")
    found = importlib.util.find_spec("piper")
    folder = Path(found.origin).parent if found is not None and found.origin else None
    is_there = folder is not None and any(folder.glob("espeakbridge*"))
    detail = "espeak-ng, carried by piper-tts" if is_there else "espeak-ng is absent"
    return Check("offline voice", is_there, detail, "" if is_there else SETUP)


def gpu(devices: Devices) -> Check:
    """Whether CUDA really runs, by a session whose provider is read back: listing it proves nothing."""
    has_driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    if not has_driver and not devices.wants_cuda:
        return Check("gpu", ok=True, detail="no NVIDIA driver: everything runs on the CPU")
    hint = "make setup GPU=1, then eva doctor; or set EVA_STT_DEVICE and EVA_TTS_DEVICE to cpu"
    if not has_driver:
        return Check("gpu", ok=False, detail="cuda is asked for, but there is no NVIDIA driver", hint=hint)
    problem = _cuda_problem()
    if problem:
        return Check("gpu", ok=not devices.wants_cuda, detail=problem, hint=hint)
    return Check("gpu", ok=True, detail="CUDA runs in ONNX Runtime and CTranslate2")


def _cuda_problem() -> str:
    """Returns why CUDA does not run, or nothing. Takes seconds."""
    import ctranslate2  # noqa: PLC0415 - heavy
    import onnxruntime  # noqa: PLC0415 - heavy

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "this ONNX Runtime is built for the CPU"
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    found = importlib.util.find_spec("faster_whisper")
    folder = Path(found.origin).parent / "assets" if found is not None and found.origin else Path()
    model = next(folder.glob("*.onnx"), None)
    if model is None:
        return "there is no model to try CUDA with"
    session = onnxruntime.InferenceSession(str(model), providers=["CUDAExecutionProvider"])
    if session.get_providers()[0] != "CUDAExecutionProvider":
        return "ONNX Runtime went down to the CPU silently"
    return "" if ctranslate2.get_cuda_device_count() else "CTranslate2 sees no CUDA device"


def sound() -> Check:
    """Loudspeaker and microphone of this machine; only `eva say` and `eva talk` use them."""
    microphone, loudspeaker = device_name("input"), device_name("output")
    players = [name for name in ("aplay", "paplay", "ffplay") if shutil.which(name)]
    heard = loudspeaker or (players[0] if players else "none")
    hint = "" if microphone and heard != "none" else "eva say --out FILE and eva talk --wav FILE work without"
    return Check(
        "sound", ok=True, detail=f"microphone: {microphone or 'none'}, loudspeaker: {heard}", hint=hint
    )


def clock(now_s: float) -> Check:
    """A clock that is years off breaks TLS to the mind's provider."""
    is_sane = now_s > _EARLIEST_CLOCK_S
    shown = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(now_s))
    return Check("clock", is_sane, shown, "" if is_sane else "Set the clock: timedatectl set-ntp true")


if __name__ == "__main__":  # how `make setup` ends: what was installed is looked at, for `cpu` or `gpu`
    wheel = onnxruntime_wheel(Devices(tts="cuda" if "gpu" in sys.argv else "cpu"))
    sys.exit(0 if wheel.ok else f"onnxruntime: {wheel.detail}. Mend it with: {wheel.hint}")
