"""One of EVA's real workers with an engine that costs nothing: ``python -m eva.stand_ins stt|llm|tts``.

Each is the service's own worker in its own process, configured by the same ``EVA_…`` variables; only the
engine behind its Protocol is replaced. Variables of its own:

``EVA_BENCH_LONG``: the mind answers a long sentence instead of a short one, and the voice says it as slowly
as people speak.
``EVA_BENCH_PACED_S``: it does, and the voice hands its tone out in real time, 20 ms a piece, for so many
seconds; EVA's self-test gets the short one.
``EVA_BENCH_EARS``: how many are listened to at a time, 64 unless told otherwise.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from eva.stand_ins.engines import (
    ANSWER,
    LONG_ANSWER,
    SameRate,
    ZeroEars,
    ZeroEngine,
    ZeroMind,
    ZeroVoiceActivity,
)
from services.llm.chain import Chain as MindChain
from services.llm.worker import LlmWorker
from services.llm.worker import Options as MindOptions
from services.stt.chain import Chain as EarChain
from services.stt.choose import Candidate
from services.stt.worker import Parts, SttWorker
from services.stt.worker import WorkerOptions as EarOptions
from services.tts.chain import Chain as VoiceChain
from services.tts.worker import TtsWorker
from services.tts.worker import WorkerOptions as VoiceOptions
from shared import service, subjects
from shared.bus import Bus
from shared.bus.nats import connect
from shared.instruments import make_instruments
from shared.settings import CommonSettings

PACED_S = float(os.environ.get("EVA_BENCH_PACED_S", "0"))
IS_LONG = bool(PACED_S or os.environ.get("EVA_BENCH_LONG"))
SLOTS = 64
NATURAL = 2.5
"""How many times longer than the shortest possible people say something."""
EARS = int(os.environ.get("EVA_BENCH_EARS", SLOTS))


def make_mind(settings: CommonSettings) -> LlmWorker:
    """Returns the mind's worker."""
    mind = ZeroMind(LONG_ANSWER if IS_LONG else ANSWER)
    name = settings.worker_id or subjects.new_token()
    instruments = make_instruments("llm", metrics_port=settings.metrics_port)
    chain = MindChain([mind], tracer=instruments.tracer)
    return LlmWorker(name, chain, MindOptions(slots=SLOTS), instruments=instruments)


def make_voice(settings: CommonSettings) -> TtsWorker:
    """Returns the voice's worker."""
    options = VoiceOptions(
        lanes=lambda _: SLOTS,
        name=settings.worker_id or subjects.new_token(),
        slots=SLOTS,
        chunk_ms=20 if PACED_S else 60,
    )
    engine = ZeroEngine(PACED_S, NATURAL if IS_LONG else 1.0)
    instruments = make_instruments("tts", metrics_port=settings.metrics_port)
    return TtsWorker(options, lambda: VoiceChain([engine], time.monotonic), instruments=instruments)


def make_ears(settings: CommonSettings) -> SttWorker:
    """Returns the ears' worker."""
    options = EarOptions(worker=settings.worker_id or subjects.new_token(), pid=os.getpid(), slots=EARS)
    candidate = Candidate(engine="sphinx", model="zero", device="cpu", path=Path())
    parts = Parts(
        make_chain=lambda: EarChain([candidate], lambda _candidate: ZeroEars()),
        load_voice_activity=ZeroVoiceActivity,
        make_resampler=lambda _rate_hz: SameRate(),
    )
    return SttWorker(options, parts, instruments=make_instruments("stt", metrics_port=settings.metrics_port))


async def connected(settings: CommonSettings) -> Bus:
    """Connects to the broker."""
    password = settings.nats_password.get_secret_value()
    return await connect(settings.nats_url, name="zero", user=settings.nats_user, password=password)


MAKERS: dict[str, Callable[[CommonSettings], service.Worker]] = {
    "llm": make_mind,
    "stt": make_ears,
    "tts": make_voice,
}


def main(stage: str) -> None:
    """Lives until SIGTERM."""
    service.run(CommonSettings.read, MAKERS[stage], connected)


if __name__ == "__main__":
    main(sys.argv[1])
