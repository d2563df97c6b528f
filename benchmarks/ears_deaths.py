"""A worker that listens is killed in mid-utterance: what is lost, and how much later one is understood.

The whole house as processes with two workers that listen; the person speaks at a real socket. Every other
utterance is undisturbed, and the delay of a death is counted against the median of those.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from websockets.asyncio.client import connect

from benchmarks.ears_engines import Engine
from benchmarks.ears_manners import VOICE_AND_MIND
from benchmarks.house import House, house
from benchmarks.interruptions import Person
from benchmarks.known_words import known
from benchmarks.listener import FRAME
from benchmarks.speech import RATE_HZ, Utterance, utterance
from shared import subjects
from shared.bus.nats import connect as join
from shared.messages import AnyMessage, EarsAlive, Facts

SAID = ("my sister lives in a small house near the sea", "and we visit her every summer")
BEFORE_END_S = (-2.0, 0.15)
"""When the worker is killed, seconds behind the last sound: from in mid-utterance to after it."""
WAIT_S = 30.0
NEAR = 60
"""Frames by which a sign of life may lag behind."""
LISTENED = 25
"""Frames that have to be heard before anything is said."""
EVENTS = "eva.v1.evt.>"
WORKERS = ("stt", "stt2")


@dataclass(frozen=True, slots=True)
class Death:
    """One utterance; times in milliseconds."""

    killed_ms: float | None
    """Behind the last sound; None: nobody was killed."""
    final_ms: float
    """Last sound → its final at the socket."""
    is_whole: bool
    """Every word was understood, once."""


@dataclass
class Watch:
    """Who is at work, as the bus tells."""

    pids: dict[str, int] = field(default_factory=dict)
    """Of the workers that take sessions."""
    alive: dict[str, EarsAlive] = field(default_factory=dict)
    """The newest sign of life in each session; the gateway's self-test has sessions as well."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, subject: str, message: AnyMessage) -> None:
        """Takes a message."""
        match message:
            case Facts(stage="stt", state="ready" | "degraded", worker=worker, pid=pid):
                self.pids[worker] = pid
            case EarsAlive():
                self.alive[subject] = message
            case _:
                return
        self.news.set()

    def listener(self, sent: int) -> str | None:
        """Returns the worker that hears who has sent so many frames."""
        near = [one for one in self.alive.values() if sent - NEAR < one.next_seq <= sent]
        return near[-1].worker if near else None

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Waits until it is so."""
        async with asyncio.timeout(WAIT_S):
            while not is_so():
                self.news.clear()
                await self.news.wait()


async def deaths(engine: Engine, *, count: int) -> list[Death]:
    """Lets one person say ``count`` utterances, and a worker die in every other one."""
    spoken = [utterance(SAID, pauses_s=(0.2,), voice="en-us", seed=number) for number in range(count)]
    path = engine.folder / "deaths.json"
    known(spoken).write(path)
    ears = ["services.stt"] if engine.is_real else ["benchmarks.known_ears"]
    environment = {
        "EVA_BENCH_KNOWN": str(path),
        "EVA_STT_MODEL": engine.model,
        "EVA_STT_SLOTS": "4",
        "EVA_LLM_DISCOVER": "off",
    }
    moments = np.random.default_rng(1).uniform(*BEFORE_END_S, count)
    modules = {**dict.fromkeys(WORKERS, ears), **VOICE_AND_MIND}
    async with house(modules, environment) as built, watching(built) as watch:
        await watch.until(lambda: len(watch.pids) == len(WORKERS))
        return [
            await _say(built, watch, each, kill_s=float(moments[number]) if number % 2 else None)
            for number, each in enumerate(spoken)
        ]


@contextlib.asynccontextmanager
async def watching(built: House) -> AsyncIterator[Watch]:
    """Reads along on the bus."""
    watch = Watch()
    bus = await join(built.nats_url, name="bench", user=built.user, password=built.password)
    try:
        await bus.subscribe(EVENTS, watch.take)
        await bus.subscribe(subjects.FACTS_ALL, watch.take)
        yield watch
    finally:
        await bus.close()


async def _say(built: House, watch: Watch, said: Utterance, *, kill_s: float | None) -> Death:
    start = {"type": "start", "language": "en", "audio_in": {"rate_hz": RATE_HZ}, "audio_out": None}
    watch.alive.clear()
    await watch.until(lambda: len(watch.pids) >= len(WORKERS))
    async with connect(built.socket_url, compression=None, max_size=None, proxy=None) as socket:
        await socket.send(json.dumps(start))
        person = Person(socket)
        tasks = [asyncio.create_task(person.microphone(1)), asyncio.create_task(person.listen())]
        try:
            await watch.until(lambda: len(person.sent) >= LISTENED and bool(watch.listener(len(person.sent))))
            first = len(person.sent)
            raw = said.pcm[: len(said.pcm) // FRAME * FRAME].tobytes()
            person.waiting += [raw[at : at + 2 * FRAME] for at in range(0, len(raw), 2 * FRAME)]
            ended_at = person.sent[-1] + said.end / RATE_HZ
            if kill_s is not None:
                await asyncio.sleep(ended_at + kill_s - time.perf_counter())
                await _kill(built, watch, watch.listener(len(person.sent)))
            final_at, texts = await _finals(person, ended_at)
            ended_at = person.sent[first + said.end // FRAME]
        finally:
            for task in tasks:
                task.cancel()
    whole = " ".join(texts).lower().replace(",", "").replace(".", "").split()
    return Death(
        killed_ms=None if kill_s is None else 1000 * kill_s,
        final_ms=1000 * (final_at - ended_at),
        is_whole=whole == said.text.split(),
    )


async def _kill(built: House, watch: Watch, worker: str | None) -> None:
    """Kills who listens; another one takes its place in the house, which is not waited for here."""
    assert worker is not None
    pid = watch.pids.pop(worker)
    name = next(name for name, each in built.pids.items() if each == pid)
    await built.kill(name)
    await built.start(name)


async def _finals(person: Person, ended_at: float) -> tuple[float, Sequence[str]]:
    """Returns when the last final came, and the texts of all."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = [(at, event) for at, event in person.events if event["type"] == "final" and event["text"]]
            if found and found[-1][0] > ended_at:
                return found[-1][0], [event["text"] for _, event in found]
            await asyncio.sleep(0.005)


def noticed_ms(found: Sequence[Death]) -> list[float]:
    """Returns how much later than usual each person was understood whose worker had died."""
    usual = statistics.median(death.final_ms for death in found if death.killed_ms is None)
    return [death.final_ms - usual for death in found if death.killed_ms is not None]
