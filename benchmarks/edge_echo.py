"""Ears and voice in one, for ``benchmarks.edge``: what a session's microphone brings is its answer's sound.

    python -m benchmarks.edge_echo

It takes the requests of both stages from EVA's bus. A segment of a session whose microphone it holds is
spoken with what comes from there, frame by frame, for as long as the session lasts; any other (the gateway's
test of itself) with a short tone. Frames go over a connection that is written by hand, so that this process
costs little beside the gateway that is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import uvloop

from shared import subjects
from shared.bus import Bus, Job
from shared.bus.nats import connect
from shared.bus.wire import pack
from shared.messages import (
    AnyMessage,
    AudioChunk,
    CloseEars,
    EarsAlive,
    EarsClaimed,
    EngineFact,
    Facts,
    Message,
    MicFrame,
    OpenEars,
    SegmentDone,
    Stage,
    Synthesize,
    Working,
    decode,
)
from shared.queues import TTS_WORK

NAME = "echo"
SLOTS = 2000
ALIVE_EVERY_S, PARTS = 0.5, 10
CLAIMED_WITHIN_S = 0.5
"""A client of the Realtime API claims ears with its first sound, which may cross its question."""
TONE = (0.3 * 32767 * np.sin(np.arange(12_000) / 20)).astype("<i2").tobytes()


@dataclass
class Session:
    """One session whose microphone is held."""

    opened: OpenEars
    number: int
    next_seq: int = 0
    speaks: Synthesize | None = None
    """The segment that the sound belongs to."""
    chunks: int = 0
    samples: int = 0


class Wire(asyncio.Protocol):
    """A connection to the broker that takes all microphones of this worker, as docs.nats.io has it."""

    def __init__(self, echo: Echo, user: str, password: str) -> None:
        self._echo = echo
        self._login = json.dumps({"user": user, "pass": password, "verbose": False, "pedantic": False})
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Logs in and subscribes."""
        self._transport = transport
        transport.write(f"CONNECT {self._login}\r\nSUB {subjects.mic(NAME, '*')} 1\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Hands on whole messages; what answers them leaves in one piece."""
        data = self._buffer + data
        at, out = 0, []
        while (end := data.find(b"\r\n", at)) >= 0:
            words = data[at:end].split(b" ")
            begin, after = end + 2, end + 2
            if words[0] == b"MSG":
                after += int(words[-1]) + 2
                if len(data) < after:
                    break
                out.append(self._echo.hear(decode(data[begin : after - 2])))
            elif words[0] == b"PING":
                out.append(b"PONG\r\n")
            at = after
        self._buffer = data[at:]
        if out:
            self._transport.write(b"".join(out))


class Echo:
    """Both workers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._sessions: dict[str, Session] = {}

    async def run(self, url: str, user: str, password: str) -> None:
        """Serves until cancelled."""
        parts = urlsplit(url)
        await asyncio.get_running_loop().create_connection(
            lambda: Wire(self, user, password), parts.hostname or "127.0.0.1", parts.port or 4222
        )
        await self._bus.declare(TTS_WORK)
        await self._bus.serve(subjects.STT_OPEN, self._claim, queue=subjects.STT_QUEUE)
        consumer = self._bus.consumer(TTS_WORK, slots=64, handler=self._speak)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(consumer.run())
            tasks.create_task(self._tell())
            tasks.create_task(self._tell_sessions())

    def hear(self, message: AnyMessage) -> bytes:
        """Returns what the broker is to be told at a message from a microphone."""
        if isinstance(message, CloseEars):
            self._sessions.pop(message.sid, None)
        if not isinstance(message, MicFrame) or (session := self._sessions.get(message.sid)) is None:
            return b""
        session.next_seq = message.seq + 1
        speaks = session.speaks
        if speaks is None:
            return b""
        payload = pack(_chunk(speaks, message.pcm, seq=session.chunks, start=session.samples))
        session.chunks += 1
        session.samples += len(message.pcm) // 2
        subject = subjects.event(speaks.gw, speaks.sid, "tts").encode()
        return b"PUB %b %d\r\n%b\r\n" % (subject, len(payload), payload)

    def _claim(self, message: AnyMessage) -> Message:
        assert isinstance(message, OpenEars)
        self._sessions[message.sid] = Session(message, len(self._sessions))
        return EarsClaimed(worker=NAME, engine=NAME, device="cpu")

    async def _speak(self, job: Job) -> None:
        work = job.message
        assert isinstance(work, Synthesize)
        subject = subjects.event(work.gw, work.sid, "tts")
        await self._bus.publish(subject, _working(work))
        if (session := await self._claimed(work.sid)) is not None:
            session.speaks, session.chunks, session.samples = work, 0, 0
            return
        await self._bus.publish(subject, _chunk(work, TONE, seq=0, start=0))
        done = SegmentDone(
            turn=work.turn,
            attempt=work.attempt,
            segment=work.segment,
            take=work.take,
            chunks=1,
            samples=len(TONE) // 2,
            rate_hz=work.audio.rate_hz,
            engine=NAME,
            device="cpu",
        )
        await self._bus.publish(subject, done)

    async def _claimed(self, sid: str) -> Session | None:
        """Returns the session once its microphone is held; None: it has none."""
        for _ in range(10):
            if sid in self._sessions:
                break
            await asyncio.sleep(CLAIMED_WITHIN_S / 10)
        return self._sessions.get(sid)

    async def _tell(self) -> None:
        """Says that both workers live."""
        stages: tuple[Stage, ...] = ("stt", "tts")
        while True:
            for stage in stages:
                engine = EngineFact(name=NAME, state="serving", device="cpu")
                facts = Facts(
                    stage=stage, worker=NAME, state="ready", pid=os.getpid(), engines=[engine], slots=SLOTS
                )
                await self._bus.publish(subjects.fact(stage, NAME), facts)
            await asyncio.sleep(ALIVE_EVERY_S)

    async def _tell_sessions(self) -> None:
        """Says that each microphone is heard: not of all at once, as nobody's sessions begin at once."""
        for part in itertools.cycle(range(PARTS)):
            for sid, session in list(self._sessions.items()):
                if session.number % PARTS == part:
                    await self._tell_of(sid, session)
            await asyncio.sleep(ALIVE_EVERY_S / PARTS)

    async def _tell_of(self, sid: str, session: Session) -> None:
        opened, speaks = session.opened, session.speaks
        alive = EarsAlive(
            lease=opened.lease, worker=NAME, next_seq=session.next_seq, needed_seq=session.next_seq
        )
        await self._bus.publish(subjects.event(opened.gw, sid, "stt"), alive)
        if speaks is not None and not session.chunks:  # until all callers are there
            await self._bus.publish(subjects.event(opened.gw, sid, "tts"), _working(speaks))


def _working(work: Synthesize) -> Working:
    return Working(
        stage="tts",
        worker=NAME,
        turn=work.turn,
        attempt=work.attempt,
        segment=work.segment,
        take=work.take,
    )


def _chunk(work: Synthesize, pcm: bytes, *, seq: int, start: int) -> AudioChunk:
    return AudioChunk(
        turn=work.turn,
        attempt=work.attempt,
        segment=work.segment,
        take=work.take,
        seq=seq,
        start=start,
        samples=len(pcm) // 2,
        rate_hz=work.audio.rate_hz,
        codec=work.audio.codec,
        level=0.3,
        data=pcm,
    )


async def main() -> None:
    """Connects and serves."""
    url, user, password = (os.environ[f"EVA_NATS_{name}"] for name in ("URL", "USER", "PASSWORD"))
    bus = await connect(url, name=NAME, user=user, password=password)
    await Echo(bus).run(url, user, password)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main())
