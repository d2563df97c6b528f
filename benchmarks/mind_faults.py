"""All that a provider can do wrong, against real processes: what does the person get, when, and what stays?

The gateway, the mind's worker and the voice are EVA's own processes behind a real broker; both providers
are the loopback one of the tests. Each fault is met by a fresh worker, warm by one good turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.mind_trace import MODEL, OTHER_MODEL
from services.gateway.chat_protocol import AudioEvent, ErrorEvent, Filler, TurnDone
from shared.audio import from_pcm16
from tests.e2e.house import OWN, House, house
from tests.e2e.talker import Talker, is_audible, talker
from tests.fakes.provider import FAULTS, FakeProvider, Reply

STAGES = ("gateway", "stt", "llm", "tts")
SENTENCES = ("I", " will", " tell", " you", ".", " It", " is", " a", " long", " story", ",", " really", ".")
GOOD = Reply(tokens=SENTENCES, delay_s=0.01)
GONE: Final = "provider gone"
BLACK_HOLE: Final = "connect black hole"
NAMES: Final[Sequence[str]] = (BLACK_HOLE, GONE, *FAULTS)
DEADLINE_S = 30.0
CLEAN_S = 10.0
START_S = 30.0
SILENCE_S = 3.5
"""Nobody waits longer for a first sound: the apology's 3 s, and the time to say it."""
_BACKLOG = 4


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of one turn."""

    fault: str
    are_all: bool
    """Both providers had the fault, or only the first."""
    got: str
    is_audible: bool
    sound_s: float | None
    """From the person's words to the first sound, a filler's too."""
    end_s: float
    left_open: int
    """Connections at the providers beyond those that were there before."""
    left_busy: int
    clean_s: float | None
    """Until nothing was left; None: something was, after 10 s."""

    @property
    def is_good(self) -> bool:
        """Whether it ended in speech, in time, with nothing leaked."""
        is_prompt = self.sound_s is not None and self.sound_s <= SILENCE_S
        return self.is_audible and is_prompt and self.end_s <= DEADLINE_S and self.clean_s is not None


class Scene:
    """One house with two providers."""

    def __init__(self, home: House, providers: Mapping[str, FakeProvider]) -> None:
        self._home, self._providers = home, providers

    async def fate(self, fault: str, *, are_all: bool) -> Fate:
        """Lets one turn meet the fault."""
        await self._fresh_worker()
        hit = dict(self._providers) if are_all else {MODEL: self._providers[MODEL]}
        async with talker(self._home.url, language="en") as person, contextlib.AsyncExitStack() as stack:
            await person.ask("Are you there?")
            before = self._open()
            for model, provider in hit.items():
                await stack.enter_async_context(faulty(provider, model, fault))
            asked_s = time.monotonic()
            turn_id = await person.type("Tell me a story.")
            end = await person.end_of(turn_id)
            end_s = person.at_s(end) - asked_s
            clean_s, left_open, left_busy = await self._cleaned(before)
            sounds = person.audio(turn_id)
            return Fate(
                fault=fault,
                are_all=are_all,
                got=_got(person, turn_id, end),
                is_audible=is_audible(from_pcm16(b"".join(sound for _, sound in sounds))),
                sound_s=person.at_s(sounds[0][0]) - asked_s if sounds else None,
                end_s=end_s,
                left_open=left_open,
                left_busy=left_busy,
                clean_s=clean_s,
            )

    async def _fresh_worker(self) -> None:
        """Ends the mind's worker and starts another, which has learnt nothing yet."""
        for provider in self._providers.values():
            provider.faults.clear()
        worker = self._home["llm"]
        if worker.is_running:
            await worker.stop()
        await self._home.start("llm")
        async with asyncio.timeout(START_S):
            ready = f"worker.ready stage=llm worker={worker.worker}"
            while ready not in worker.said():  # noqa: ASYNC110 - another process's state is polled
                await asyncio.sleep(0.05)

    def _open(self) -> int:
        return sum(provider.open_connections for provider in self._providers.values())

    async def _cleaned(self, before: int) -> tuple[float | None, int, int]:
        """Waits until nothing is left; returns how long that took, and what is."""
        began_s = time.monotonic()
        while True:
            left_open = max(0, self._open() - before)
            left_busy = await self._busy()
            took_s = time.monotonic() - began_s
            if not left_open and not left_busy:
                return took_s, 0, 0
            if took_s > CLEAN_S:
                return None, left_open, left_busy
            await asyncio.sleep(0.05)

    async def _busy(self) -> int:
        health = await self._home.health()
        return int(health["stages"]["llm"]["busy"])


def _got(person: Talker, turn_id: str, end: object) -> str:
    """Returns in a few words what the person got."""
    events = person.of_turn(turn_id)
    fillers = sum(isinstance(event, Filler) for event in events)
    parts = ["filler"] * bool(fillers)
    match end:
        case TurnDone(text=text, engines=engines, route=route, timeline=timeline):
            mind = engines.get("llm")
            if mind is not None and mind.is_degraded:
                parts.append("companion's answer")
            else:
                was_broken = (route is not None and route.switches > 0) or timeline.attempts > 1
                is_whole = text.endswith("".join(SENTENCES[-2:]))
                rest = "continued elsewhere" if is_whole else "closed behind a sentence"
                parts.append(f"answer, {rest}" if was_broken else "answer")
            if route is not None and route.is_hedged:
                parts.append("hedged")
        case ErrorEvent(code=code):
            has_words = any(isinstance(event, AudioEvent) and event.segment >= 0 for event in events)
            parts += ["apology"] * has_words + [f"`{code}`"]
        case _:
            parts.append(type(end).__name__)
    return ", ".join(parts)


@contextlib.asynccontextmanager
async def faulty(provider: FakeProvider, model: str, fault: str) -> AsyncIterator[None]:
    """The provider has this fault; afterwards it is there again."""
    if fault in FAULTS:
        provider.faults[model] = FAULTS[fault]
        yield
        provider.faults.clear()
        return
    await provider.stop()
    try:
        with contextlib.ExitStack() as stack:
            if fault == BLACK_HOLE:
                stack.enter_context(swallowing(provider.port))
            yield
    finally:
        await provider.__aenter__()


@contextlib.contextmanager
def swallowing(port: int) -> Iterator[None]:
    """The port neither accepts nor refuses: its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(0)
        for _ in range(_BACKLOG):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield


async def fates(names: Sequence[str], *, are_all: bool) -> list[Fate]:
    """Returns what becomes of a turn at each of these faults, in one house."""
    async with (
        FakeProvider(GOOD, models=(MODEL,)) as first,
        FakeProvider(GOOD, models=(OTHER_MODEL,)) as second,
    ):
        routes = f"groq:{MODEL} openai:{second.base_url}:{OTHER_MODEL} companion"
        with tempfile.TemporaryDirectory() as directory:
            async with house(
                Path(directory),
                *STAGES,
                deadlines=OWN,
                EVA_LLM_ROUTES=routes,
                GROQ_API_KEY="k",
                EVA_LLM_GROQ_BASE_URL=first.root,
            ) as home:
                scene = Scene(home, {MODEL: first, OTHER_MODEL: second})
                return [await scene.fate(name, are_all=are_all) for name in names]
