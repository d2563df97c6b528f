"""``python -m services.tts``: reads the settings and lives. ``choose`` picks the adapters."""

from __future__ import annotations

import functools
import os
import sys
from typing import cast

from services.tts import admission
from services.tts.chain import Chain
from services.tts.device_health import Machine
from services.tts.settings import TtsSettings
from services.tts.speech_meter import UNMETERED, SpeechMeter
from services.tts.worker import TtsWorker, WorkerOptions
from shared import service, subjects
from shared.bus import Bus
from shared.instruments import Instruments, make_instruments
from shared.settings import CommonSettings

SWITCH_S = 0.0005
"""How long a thread that computes in Python keeps the event loop waiting; Python's own 5 ms is long where a
chunk is to be sent."""


def make(common: CommonSettings) -> TtsWorker:
    """Returns the worker; nothing is loaded yet."""
    settings = cast("TtsSettings", common)
    options = WorkerOptions(
        name=settings.worker_id or subjects.new_token(),
        slots=settings.tts_slots,
        lanes=functools.partial(admission.lanes, cores=os.cpu_count() or 1, threads=settings.threads),
        measure_s=settings.tts_warm_up_s,
        chunk_ms=settings.tts_chunk_ms,
        device_wanted=settings.tts_device,
        moods=settings.moods,
        cache_bytes=int(1e6 * settings.tts_cache_mb),
    )

    machine = Machine()

    def build() -> Chain:
        from services.tts.choose import choose  # noqa: PLC0415 - the libraries take their time

        return choose(settings, machine)

    instruments = make_instruments("tts", metrics_port=settings.metrics_port)
    return TtsWorker(options, build, machine, instruments=instruments, speech=speech_meter(instruments))


def speech_meter(instruments: Instruments) -> SpeechMeter:
    """Returns what counts what was spoken, where figures are counted."""
    registry = instruments.meter.registry
    if registry is None:
        return UNMETERED
    from services.tts.speech_metrics import SpeechMetrics  # noqa: PLC0415 - only where it is read

    return SpeechMetrics(registry)


async def connect(settings: CommonSettings) -> Bus:
    """Returns a connection to the broker."""
    from shared.bus.nats import connect as connect_nats  # noqa: PLC0415 - as above

    password = settings.nats_password.get_secret_value()
    return await connect_nats(settings.nats_url, name="tts", user=settings.nats_user, password=password)


if __name__ == "__main__":
    sys.setswitchinterval(SWITCH_S)
    service.run(TtsSettings.read, make, connect)
