"""Builds the chain at start: every voice is verified, loaded and heard before it serves.

What cannot serve is kept as a fact with the name of its file and the command that mends it. ``cuda`` means
that voices run on CUDA or the service does not start; ``auto`` takes CUDA where it works and keeps the CPU
behind it.
"""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from services.tts import espeak
from services.tts.chain import Chain, judged, longest_s
from services.tts.engine import Engine, Voice
from services.tts.settings import TtsSettings
from shared.errors import EngineFailed, EngineRefused
from shared.messages import EngineFact
from shared.models import Installed, ModelBroken, installed, verify
from shared.observe import Log

if TYPE_CHECKING:
    from services.tts.piper import PiperVoice

WARM_UP_SENTENCE = "Hello, 1 2 3."
_GPU_DEVICE = Path("/dev/nvidia0")
_PULL_HINT = "eva models pull"
_GPU_HINT = "make setup GPU=1, or EVA_TTS_DEVICE=cpu if the CPU is meant"

log = Log("eva.tts")


def choose(settings: TtsSettings) -> Chain:
    """Returns the engines that can speak here, the best first; blocks for as long as loading takes.

    Raises:
        EngineRefused: none can, or the device that was asked for is not there.
    """
    engines: list[Engine] = []
    refused: list[EngineFact] = []
    for name in dict.fromkeys(settings.tts_engines.split(",")):
        found = _piper(settings, refused) if name == "piper" else _espeak(settings, refused)
        engines.extend(found)
    if not engines:
        raise EngineRefused("tts", "; ".join(f"{fact.model} {fact.detail}".strip() for fact in refused))
    for fact in refused:
        log.warning("tts.refused", engine=fact.name, model=fact.model, reason=fact.detail, hint=fact.hint)
    return Chain(engines, time.monotonic, refused=refused)


def prove(voice: Voice, engine: str, *, within_s: float) -> float:
    """Lets a voice say a sentence; returns how many seconds it took. Blocks.

    Raises:
        EngineFailed: it gave no audible audio within ``within_s`` seconds.
    """
    begin = time.monotonic()

    def speak() -> None:
        pieces = voice.speak(WARM_UP_SENTENCE, speed=1.0)
        for _ in judged(engine, pieces, voice.rate_hz, longest_s(WARM_UP_SENTENCE, 1.0)):
            pass

    _within(within_s, speak, engine)
    return time.monotonic() - begin


def _within(seconds: float, do: Callable[[], None], engine: str) -> None:
    """Runs ``do`` in a thread that is given up when it hangs; a library cannot be interrupted."""
    result: Future[None] = Future()

    def run() -> None:
        try:
            do()
            result.set_result(None)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            result.set_exception(error)

    threading.Thread(target=run, name="warm-up", daemon=True).start()
    try:
        result.result(seconds)
    except TimeoutError as error:
        raise EngineFailed(engine, f"no audio within {seconds:.0f} s") from error


def _espeak(settings: TtsSettings, refused: list[EngineFact]) -> Iterator[Engine]:
    try:
        engine = espeak.load()
        for voice in engine.voices():
            prove(voice, engine.name, within_s=settings.tts_warm_up_s)
    except (EngineRefused, EngineFailed) as error:
        refused.append(_failed(espeak.NAME, error))
        return
    yield engine


def _piper(settings: TtsSettings, refused: list[EngineFact]) -> Iterator[Engine]:
    wants_cuda = settings.tts_device.startswith("cuda")
    items = installed(settings.models_dir, "tts")
    has_piper = importlib.util.find_spec("piper") is not None
    if not items or not has_piper:
        detail = f"no voice in {settings.models_dir / 'tts'}" if has_piper else "piper-tts is not installed"
        if wants_cuda:
            raise EngineRefused("piper", f"{settings.tts_device} was asked for, {detail}", hint=_PULL_HINT)
        refused.append(EngineFact(name="piper", state="absent", detail=detail, hint=_PULL_HINT))
        return
    items.sort(key=lambda item: item.name != settings.tts_voice)  # the default voice first
    whole = [(item, hashes) for item in items if (hashes := _verified(item, refused)) is not None]
    from services.tts.piper import Piper, cuda_is_listed  # noqa: PLC0415 - only where there are voices

    has_cuda = cuda_is_listed()
    refused.extend(idle_gpu(settings.tts_device, has_cuda=has_cuda, has_gpu=_GPU_DEVICE.exists()))
    for device in devices(settings.tts_device, has_cuda=has_cuda):
        voices = [
            voice for item, hashes in whole for voice in _loaded(item, hashes, device, settings, refused)
        ]
        if voices:
            yield Piper(device, tuple(voices))
        elif wants_cuda:
            raise EngineRefused("piper", refused[-1].detail, hint=refused[-1].hint)


def devices(wanted: str, *, has_cuda: bool) -> list[str]:
    """Returns the devices to load voices on, the best first; ``has_cuda``: ONNX Runtime was built for it."""
    if wanted == "auto":
        return ["cuda:0", "cpu"] if has_cuda else ["cpu"]
    return ["cuda:0" if wanted == "cuda" else wanted]


def idle_gpu(wanted: str, *, has_cuda: bool, has_gpu: bool) -> list[EngineFact]:
    """Returns the complaint that a GPU is there which nothing here can use; empty: all is well."""
    if wanted != "auto" or has_cuda or not has_gpu:
        return []
    detail = "there is a GPU and the installed ONNX Runtime has no CUDA"
    return [EngineFact(name="piper", state="failed", device="cuda:0", detail=detail, hint=_GPU_HINT)]


def _verified(item: Installed, refused: list[EngineFact]) -> dict[str, str] | None:
    try:
        return verify(item)
    except ModelBroken as broken:
        error = EngineRefused("piper", f"{broken.file}: {broken.reason}", hint=broken.hint)
        refused.append(_failed("piper", error, model=item.name))
    return None


def _loaded(
    item: Installed, hashes: dict[str, str], device: str, settings: TtsSettings, refused: list[EngineFact]
) -> Iterator[PiperVoice]:
    from services.tts.piper import load_voice  # noqa: PLC0415 - only where there are voices

    for model in sorted(item.path.glob("*.onnx")):
        sha256 = hashes.get(model.name, "")
        try:
            voice = load_voice(model, device=device, threads=settings.threads, sha256=sha256)
            took_s = prove(voice, "piper", within_s=settings.tts_warm_up_s)
        except (EngineRefused, EngineFailed) as error:
            refused.append(_failed("piper", error, model=item.name, device=device))
            continue
        log.info("tts.voice", name=voice.name, language=voice.language, device=device, warm_up_s=took_s)
        yield voice


def _failed(
    engine: str, error: EngineRefused | EngineFailed, *, model: str = "", device: str = ""
) -> EngineFact:
    hint = error.hint if isinstance(error, EngineRefused) else ""
    return EngineFact(name=engine, state="failed", model=model, device=device, detail=error.reason, hint=hint)
