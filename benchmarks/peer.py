"""The peer of the ears: plain faster-whisper behind Silero and a fixed silence of 550 ms.

    python -m benchmarks.peer ENGINE

``ENGINE`` is the folder of a Whisper model or ``sphinx``. It answers the same requests over the same broker
as EVA's worker, so that both get the same frames from the same client. Behind that it is what one writes on
a first day: each session has its detector, which is called once a frame; speech is over when no frame was
voiced for 550 ms; then the whole utterance goes through ``WhisperModel.transcribe`` in one of two threads.
In its favour: one beam, a known language, no timestamps, no fallback by temperature.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import uvloop

from benchmarks.known_words import Known
from shared import subjects
from shared.audio import to_float
from shared.bus import Bus
from shared.bus.nats import connect
from shared.messages import (
    AnyMessage,
    CloseEars,
    EarsClaimed,
    EndUtterance,
    Final,
    Message,
    MicFrame,
    OpenEars,
)

SILENCE_MS = 550
RATE_HZ, FRAME, CONTEXT = 16000, 512, 64
THRESHOLD = 0.5
PRE_ROLL = RATE_HZ * 3 // 10
THREADS = 2

Pcm = npt.NDArray[np.float32]
Transcribe = Callable[[Pcm], str]


@dataclass
class Session:
    """What is known of one session."""

    opened: OpenEars
    pcm: Pcm = field(default_factory=lambda: np.zeros(0, np.float32))
    base: int = 0
    """Where ``pcm`` begins; positions are samples since the session's first one."""
    judged: int = 0
    began: int | None = None
    voiced: int = 0
    """End of the last voiced frame."""
    input: Pcm = field(default_factory=lambda: np.zeros((1, CONTEXT + FRAME), np.float32))
    state: tuple[Pcm, Pcm] = field(
        default_factory=lambda: (np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32))
    )
    utterances: int = 0


class Peer:
    """Serves all sessions of one process."""

    def __init__(self, bus: Bus, transcribe: Transcribe) -> None:
        self._bus, self._transcribe = bus, transcribe
        self._sessions: dict[str, Session] = {}
        self._threads = ThreadPoolExecutor(THREADS)
        self._tasks: set[asyncio.Task[None]] = set()
        spec = importlib.util.find_spec("faster_whisper")
        assert spec is not None
        assert spec.submodule_search_locations
        path = Path(spec.submodule_search_locations[0]) / "assets" / "silero_vad_v6.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._silero = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def claim(self, message: AnyMessage) -> Message:
        """Takes any session."""
        assert isinstance(message, OpenEars)
        self._sessions[message.sid] = Session(message)
        return EarsClaimed(worker="peer", engine="peer", device="cpu")

    def take(self, _: str, message: AnyMessage) -> None:
        """Takes a frame, or a word about the session."""
        match message:
            case MicFrame(sid=sid, pcm=raw):
                self._hear(self._sessions[sid], to_float(np.frombuffer(raw, np.int16)))
            case EndUtterance(sid=sid):
                self._end(self._sessions[sid], waited=0)
            case CloseEars(sid=sid):
                self._sessions.pop(sid, None)
            case _:
                pass

    def _hear(self, session: Session, pcm: Pcm) -> None:
        session.pcm = np.concatenate([session.pcm, pcm])
        while session.judged + FRAME <= session.base + len(session.pcm):
            is_voiced = self._probability(session) >= THRESHOLD
            session.judged += FRAME
            if is_voiced:
                session.voiced = session.judged
                if session.began is None:
                    session.began = max(session.base, session.judged - FRAME - PRE_ROLL)
            waited = session.judged - session.voiced
            is_over = waited >= SILENCE_MS * RATE_HZ // 1000 and session.opened.turn_detection != "manual"
            if session.began is not None and is_over:
                self._end(session, waited=waited)
        if session.began is None:
            keep = max(session.base, session.judged - PRE_ROLL)
            session.pcm, session.base = session.pcm[keep - session.base :], keep

    def _probability(self, session: Session) -> float:
        session.input[0, :CONTEXT] = session.input[0, -CONTEXT:]
        at = session.judged - session.base
        session.input[0, CONTEXT:] = session.pcm[at : at + FRAME]
        h, c = session.state
        output, h, c = self._silero.run(None, {"input": session.input, "h": h, "c": c})
        session.state = h, c
        return float(output.reshape(-1)[0])

    def _end(self, session: Session, *, waited: int) -> None:
        began, session.began = session.began or session.base, None
        session.utterances += 1
        pcm = session.pcm[began - session.base : session.judged - session.base]
        task = asyncio.create_task(
            self._answer(session.opened, session.utterances, pcm, end=session.judged - waited, waited=waited)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, opened: OpenEars, number: int, pcm: Pcm, *, end: int, waited: int) -> None:
        began = time.perf_counter()
        text = await asyncio.get_running_loop().run_in_executor(self._threads, self._transcribe, pcm)
        final = Final(
            lease=opened.lease,
            utterance=number,
            text=text,
            end_ms=end * 1000 // RATE_HZ,
            endpoint_ms=waited * 1000 / RATE_HZ,
            transcribe_ms=1000 * (time.perf_counter() - began),
        )
        await self._bus.publish(subjects.event(opened.gw, opened.sid, "stt"), final)


def load(engine: str, known: Known | None) -> Transcribe:
    """Loads what transcribes."""
    if engine == "sphinx":
        from services.stt.engine import Clip  # noqa: PLC0415 - only what is used
        from services.stt.sphinx import load_sphinx  # noqa: PLC0415

        sphinx = load_sphinx()
        return lambda pcm: sphinx.transcribe(Clip(pcm=pcm, language="en")).text
    from faster_whisper import WhisperModel  # noqa: PLC0415

    from benchmarks.random_whisper import bound  # noqa: PLC0415

    model = WhisperModel(
        engine,
        device="cpu",
        compute_type="int8",
        cpu_threads=min(4, os.cpu_count() or 1),
        num_workers=THREADS,
    )
    bounded = bound(model)

    def whisper(pcm: Pcm) -> str:
        words = known.words(pcm) if known is not None else []
        bounded.allow(len(words))
        said, _ = model.transcribe(
            pcm,
            language="en",
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        invented = " ".join(segment.text for segment in said)
        return " ".join(word.text for word in words) if known is not None else invented

    return whisper


async def main(engine: str) -> None:
    """Serves until killed."""
    url, user, password = json.loads(os.environ["EVA_BENCH_BROKER"])
    path = os.environ.get("EVA_BENCH_KNOWN", "")
    transcribe = load(engine, Known.read(Path(path)) if path else None)
    transcribe(np.random.default_rng(0).normal(0, 0.003, RATE_HZ).astype(np.float32))
    bus = await connect(url, name="peer", user=user, password=password)
    peer = Peer(bus, transcribe)
    await bus.subscribe(subjects.mic("peer", "*"), peer.take)
    await bus.serve(subjects.STT_OPEN, peer.claim, queue=subjects.STT_QUEUE)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(sys.argv[1]))
