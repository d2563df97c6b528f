"""``python -m services.stt``: reads the settings, picks the adapters, lives. Loads only what is used."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

from services.stt.chain import Chain
from services.stt.choose import Candidate, Found, Present, Wanted, absent, candidates
from services.stt.engine import Resampler, SpeechDetector, Transcriber
from services.stt.settings import SttSettings
from services.stt.worker import Parts, SttWorker, WorkerOptions
from shared import service, subjects
from shared.bus import Bus
from shared.errors import EngineRefused
from shared.models import Installed, ModelBroken, find, installed, verify
from shared.settings import CommonSettings

WHISPER_PARALLEL = 2
"""Transcriptions at once: one for finals, one that partials may have."""


def look_around(settings: SttSettings) -> Present:
    """Finds out what this machine has. Blocks."""
    has_whisper = importlib.util.find_spec("faster_whisper") is not None
    cuda_devices = 0
    if has_whisper and settings.stt_device != "cpu":
        from services.stt.whisper import cuda_devices as count  # noqa: PLC0415 - 0.5 s, only if used

        cuda_devices = count()
    models = [(item.name, item.path) for item in installed(settings.models_dir, "stt")]
    if os.sep in settings.stt_model:
        path = Path(settings.stt_model).expanduser()
        models.insert(0, (settings.stt_model, path))
    return Present(
        models=tuple(Found(name=name, path=path, size_bytes=_size(path)) for name, path in models),
        cuda_devices=cuda_devices,
        has_whisper=has_whisper,
        has_sphinx=importlib.util.find_spec("pocketsphinx") is not None,
        models_dir=settings.models_dir,
    )


def _size(path: Path) -> int:
    model = path / "model.bin"
    return model.stat().st_size if model.is_file() else 0


def load(candidate: Candidate, settings: SttSettings) -> Transcriber:
    """Loads one engine; a model's files are checked first. Blocks. Raises ``EngineRefused``."""
    if candidate.engine == "sphinx":
        from services.stt.sphinx import load_sphinx  # noqa: PLC0415 - only if used

        return load_sphinx()
    assert candidate.path is not None
    model = find(candidate.path.name)
    known = model if model is not None and model.kind == "stt" else None
    try:
        hashes = verify(Installed(candidate.path.name, "stt", candidate.path, known))
    except ModelBroken as broken:
        raise EngineRefused("whisper", f"{broken.file}: {broken.reason}", hint=broken.hint) from broken
    from services.stt.whisper import load_whisper  # noqa: PLC0415 - only if used

    return load_whisper(
        candidate.path,
        device=candidate.device,
        compute_type=candidate.compute_type,
        threads=settings.stt_threads or min(4, os.cpu_count() or 1),
        parallel=WHISPER_PARALLEL,
        sha256=hashes.get("model.bin", ""),
    )


def make_chain(settings: SttSettings) -> Chain:
    """Lays out the engines that are to be tried. Blocks. Raises ``EngineRefused``."""
    wanted = Wanted(
        model=settings.stt_model, device=settings.stt_device, compute_type=settings.stt_compute_type
    )
    present = look_around(settings)
    chain = candidates(wanted, present)
    return Chain(chain, lambda candidate: load(candidate, settings), absent=absent(chain, present))


def make_detectors() -> Callable[[], SpeechDetector]:
    """Loads the voice activity detector; returns what makes one for each session."""
    from services.stt.vad import SileroModel, silero_path  # noqa: PLC0415 - 0.2 s, off the event loop

    return SileroModel(silero_path()).stream


def make_resampler(rate_hz: int) -> Resampler:
    """Returns a session's resampler."""
    from services.stt.resample import AvResampler  # noqa: PLC0415 - only where audio is heard

    return AvResampler(rate_hz)


def make_worker(settings: CommonSettings) -> SttWorker:
    """Puts the worker together; nothing is loaded yet."""
    assert isinstance(settings, SttSettings)
    options = WorkerOptions(
        worker=settings.worker_id or subjects.new_token(),
        pid=os.getpid(),
        device_wanted=settings.stt_device,
        slots=settings.stt_slots,
        language=settings.stt_language,
        idle_s=settings.stt_idle_s,
        warmup_s=settings.stt_warmup_s,
    )
    parts = Parts(
        make_chain=lambda: make_chain(settings),
        make_detectors=make_detectors,
        make_resampler=make_resampler,
    )
    return SttWorker(options, parts)


async def connect(settings: CommonSettings) -> Bus:
    """Connects to the broker."""
    from shared.bus.nats import connect as connect_to_nats  # noqa: PLC0415 - tests bring their own bus

    return await connect_to_nats(
        settings.nats_url,
        name="eva-stt",
        user=settings.nats_user,
        password=settings.nats_password.get_secret_value(),
    )


if __name__ == "__main__":
    service.run(SttSettings.read, make_worker, connect)
