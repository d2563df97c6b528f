"""``python -m services.stt``: reads the settings, picks the adapters, lives. Loads only what is used."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from services.stt.chain import Chain
from services.stt.choose import Candidate, Found, Present, Wanted, absent, candidates
from services.stt.engine import Resampler, Transcriber, VoiceActivity
from services.stt.settings import SttSettings
from services.stt.turn_models import load_turn_model
from services.stt.windows import is_short
from services.stt.worker import Parts, SttWorker, WorkerOptions
from shared import service, subjects
from shared.bus import Bus
from shared.errors import EngineRefused
from shared.instruments import make_instruments
from shared.models import Installed, ModelBroken, find, installed, verify
from shared.settings import CommonSettings

WHISPER_PARALLEL = 2
"""Transcriptions at once: one for finals, one that partials may have."""


def look_around(settings: SttSettings) -> Present:
    """Finds out what this machine has. Blocks."""
    has_whisper = importlib.util.find_spec("faster_whisper") is not None
    models = [(item.name, item.path) for item in installed(settings.models_dir, "stt")]
    if os.sep in settings.stt_model:
        path = Path(settings.stt_model).expanduser()
        models.insert(0, (settings.stt_model, path))
    cuda_devices = 0
    cpu_types: tuple[str, ...] = ()
    cuda_types: tuple[str, ...] = ()
    if has_whisper and (models or settings.stt_device != "cpu"):
        from services.stt import whisper  # noqa: PLC0415 - 0.5 s, only if used

        cpu_types = whisper.compute_types("cpu")
        cuda_devices = whisper.cuda_devices() if settings.stt_device != "cpu" else 0
        cuda_types = whisper.compute_types("cuda") if cuda_devices else ()
    return Present(
        models=tuple(Found(name=name, path=path, size_bytes=_size(path)) for name, path in models),
        cuda_devices=cuda_devices,
        cpu_types=cpu_types,
        cuda_types=cuda_types,
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
    from services.stt.whisper import WhisperOptions, load_whisper  # noqa: PLC0415 - only if used

    cores = os.cpu_count() or 1
    threads = settings.stt_threads or min(4, cores)
    options = WhisperOptions(
        device=candidate.device,
        compute_type=candidate.compute_type,
        threads=threads,
        parallel=WHISPER_PARALLEL,
        lanes=max(1, min(WHISPER_PARALLEL, cores // threads)) if candidate.device == "cpu" else 1,
        is_short=is_short(settings.stt_window, candidate.device),
        batch=0 if settings.stt_batch == "auto" else int(settings.stt_batch),
    )
    return load_whisper(candidate.path, options, sha256=hashes.get("model.bin", ""))


def make_chain(settings: SttSettings) -> Chain:
    """Lays out the engines that are to be tried. Blocks. Raises ``EngineRefused``."""
    wanted = Wanted(
        model=settings.stt_model, device=settings.stt_device, compute_type=settings.stt_compute_type
    )
    present = look_around(settings)
    chain = candidates(wanted, present)
    return Chain(chain, lambda candidate: load(candidate, settings), absent=absent(chain, present))


def load_voice_activity() -> VoiceActivity:
    """Loads the voice activity detector. Blocks."""
    from services.stt.activity import Activity  # noqa: PLC0415 - as the model
    from services.stt.vad import SileroModel, silero_path  # noqa: PLC0415 - 0.5 s, off the event loop

    return Activity(SileroModel(silero_path()))


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
        load_voice_activity=load_voice_activity,
        make_resampler=make_resampler,
        load_turn_model=lambda: load_turn_model(settings.models_dir),
    )
    instruments = make_instruments("stt", metrics_port=settings.metrics_port)
    return SttWorker(options, parts, instruments=instruments)


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
