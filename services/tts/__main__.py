"""``python -m services.tts``: reads the settings and lives. ``choose`` picks the adapters."""

from __future__ import annotations

from typing import cast

from services.tts.chain import Chain
from services.tts.settings import TtsSettings
from services.tts.worker import TtsWorker, WorkerOptions
from shared import service, subjects
from shared.bus import Bus
from shared.settings import CommonSettings


def make(common: CommonSettings) -> TtsWorker:
    """Returns the worker; nothing is loaded yet."""
    settings = cast("TtsSettings", common)
    options = WorkerOptions(
        name=settings.worker_id or subjects.new_token(),
        slots=settings.tts_slots,
        chunk_ms=settings.tts_chunk_ms,
        device_wanted=settings.tts_device,
    )

    def build() -> Chain:
        from services.tts.choose import choose  # noqa: PLC0415 - the libraries take their time

        return choose(settings)

    return TtsWorker(options, build)


async def connect(settings: CommonSettings) -> Bus:
    """Returns a connection to the broker."""
    from shared.bus.nats import connect as connect_nats  # noqa: PLC0415 - as above

    password = settings.nats_password.get_secret_value()
    return await connect_nats(settings.nats_url, name="tts", user=settings.nats_user, password=password)


if __name__ == "__main__":
    service.run(TtsSettings.read, make, connect)
