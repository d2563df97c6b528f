"""Every service of an EVA that people talk with is replaced, one after the other: no accepted turn is lost.

As deploy/k8s rolls them: the next one is ready before an old one is asked to go (SIGTERM), which is done
while work is in its hands. What a load balancer does (new connections go to who is ready) ``Town`` does here.
The broker is that of the containers, with TLS and a user for each service; the next voice joins as
docs/operate.md tells it for another machine: with the broker's address, its credentials and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from eva.chat_client import SocketLost
from eva.gateway_client import NotRunning
from services.gateway.chat_protocol import (
    AudioIn,
    FinalEvent,
    ServerEvent,
    SpeechStartedEvent,
    TurnDone,
    TurnStarted,
    UserText,
)
from shared.messages import EarsAlive, Facts, Working
from tests.deploy.rights import ROOT, Rights
from tests.e2e.house import POLL_S, RATE_HZ, STAGES, House, install_models
from tests.e2e.spy import Spy, spying
from tests.e2e.talker import Talker, Terminal, is_audible, talker
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import speech
from tests.models import tiny_voice
from tests.models.tiny_whisper import PHRASES

pytestmark = pytest.mark.process
PEOPLE = 2
ANSWER = ("One is here.", " Two is there.", " Three are gone.", " Four come back.")
SLOW = Reply(tokens=ANSWER, delay_s=0.3)
PATIENT = {
    "EVA_DRAIN_S": "60",
    "EVA_GATEWAY_TAKE_UP_S": "60",
    "EVA_GATEWAY_APOLOGY_S": "0",
    "EVA_GATEWAY_AHEAD_S": "600",
}
"""No machine is too slow here: who comes comes when it comes; and sound leaves at once."""
WAIT_S = 120.0


class Town:
    """The people, and the address at which they find a gateway that takes new connections."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_over = False
        self.ends: Counter[str] = Counter()
        """Accepted turns, by what ended them; ``lost``: nothing did."""
        self.in_flight: dict[str, set[str]] = {}
        """Turns without an end, by the address at which they are going on."""
        self.answered: dict[str, int] = Counter()
        """By the address."""
        self._news = asyncio.Condition()

    async def tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, holds: object) -> None:
        """Waits until something is so; looks again at each turn's begin and end."""
        assert callable(holds)
        async with self._news, asyncio.timeout(WAIT_S):
            await self._news.wait_for(holds)

    async def live(self) -> None:
        """One of them: asks, hears the answer to its end, asks again; comes back where it was closed."""
        session: str | None = None
        while not self.is_over:
            url = self.url
            try:
                async with talker(url, session_id=session) as person:
                    session = person.session_id
                    await self._talk(person, url)
                    self._judge(person)
            except (SocketLost, NotRunning):
                await asyncio.sleep(POLL_S)  # as a client does before it tries again

    async def _talk(self, person: Talker, url: str) -> None:
        here = self.in_flight.setdefault(url, set())
        while not (self.is_over or person.is_closed):
            begun, ended = len(person.of(TurnStarted)), len(ends(person))
            with contextlib.suppress(SocketLost):
                await person.socket.send(UserText(text="Count for me."))
            await person.until(lambda begun=begun: len(person.of(TurnStarted)) > begun or person.is_closed)
            if len(person.of(TurnStarted)) == begun:
                return  # it was not accepted
            turn = person.of(TurnStarted)[-1].turn_id
            here.add(turn)
            await self.tell()
            await person.until(lambda ended=ended: len(ends(person)) > ended or person.is_closed)
            here.discard(turn)
            if not person.is_closed:
                done = ends(person)[-1]
                if isinstance(done, TurnDone):
                    self.answered[url] += 1
                    with contextlib.suppress(SocketLost):
                        await person.play(done)
            await self.tell()

    def _judge(self, person: Talker) -> None:
        """Counts what became of the turns that were accepted."""
        by_turn = {end.turn_id: end for end in ends(person)}
        for started in person.of(TurnStarted):
            end = by_turn.get(started.turn_id)
            whole = (
                isinstance(end, TurnDone)
                and end.text == "".join(ANSWER)
                and is_audible(person.pcm(end.turn_id))
            )
            self.ends["answered" if whole else type(end).__name__ if end is not None else "lost"] += 1


def ends(person: Talker) -> list[Terminal]:
    """The turns' ends so far."""
    return [
        event
        for event in person.of(ServerEvent)  # type: ignore[type-abstract]  # a base of messages
        if isinstance(event, Terminal) and event.turn_id is not None
    ]


async def ready_gateway(home: House, broker: Rights, name: str) -> str:
    """Starts one more gateway; returns its address once it is ready."""
    service = await home.start(name, **broker.environment_of("gateway"))
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(httpx.TransportError, StopIteration):
                if (await home.http.get(f"{service.url}/readyz")).status_code == 200:
                    return service.url
            await asyncio.sleep(POLL_S)


@contextlib.asynccontextmanager
async def living(town: Town) -> AsyncIterator[None]:
    """The people talk for as long as the context lasts, and end what they are at."""
    async with asyncio.TaskGroup() as people:
        for _ in range(PEOPLE):
            people.create_task(town.live())
        yield
        town.is_over = True


@contextlib.asynccontextmanager
async def house_with(broker: Rights, folder: Path, **variables: str) -> AsyncIterator[House]:
    """An EVA at the containers' broker."""
    install_models(folder)
    home = House(folder, **variables)
    home.server = broker  # type: ignore[assignment]  # starts, stops, connects, and tells what is common
    try:
        await broker.start()
        await asyncio.gather(*(home.start(name, **broker.environment_of(name)) for name in STAGES))
        await home.until_ready()
        yield home
    finally:
        await home.close()


@contextlib.asynccontextmanager
async def another_machine(broker: Rights, folder: Path) -> AsyncIterator[None]:
    """A voice on "another machine": the page's own command, in a folder with its credentials alone."""
    page = (ROOT / "docs" / "operate.md").read_text()
    told = re.search(r"```sh\n(EVA_NATS_URL=.*?-m services\.tts)\n", page, re.DOTALL)
    assert told is not None
    address = broker.url.removeprefix("tls://")
    command = (
        told[1].replace("broker.example:4222", address).replace(".venv/bin/python", f"exec {sys.executable}")
    )
    (folder / "tts").mkdir(parents=True)
    for name in ("eva_nats_password", "nats_ca.pem"):
        (folder / "tts" / name).write_bytes((broker.folder / "secrets" / "tts" / name).read_bytes())
    tiny_voice.install(folder / ".local" / "share" / "eva" / "models", rate_hz=RATE_HZ)
    told_it = {"HOME": str(folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "bash", "-ec", command, cwd=folder, stdout=log, stderr=log,
            env=told_it, start_new_session=True,
        )  # fmt: skip
    try:
        yield
        assert process.returncode is None, (folder / "log").read_text()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_S):
            assert await process.wait() == 0, (folder / "log").read_text()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def works_again(spy: Spy, worker: str) -> None:
    """Waits until a worker tells anew that it is at work."""

    def is_its(told: Working) -> bool:
        return told.worker == worker

    await spy.hears(Working, is_its, count=1 + sum(map(is_its, spy.of(Working))))


async def replace_ears(home: House, broker: Rights, spy: Spy, url: str) -> None:
    """Starts the ears' successor, and asks the old ones to go while somebody speaks: no word is lost."""
    async with talker(url, audio_in=AudioIn()) as person:
        assert (await spy.hears(EarsAlive)).worker == home["stt"].worker  # there are no others yet
        successor = await home.start("stt2", **broker.environment_of("stt"))
        await spy.sees_ready(successor.worker)
        speaking = asyncio.create_task(person.say(speech(PHRASES[0])))
        await person.hears(SpeechStartedEvent)
        stopping = asyncio.create_task(home["stt"].stop())
        final = await person.hears(FinalEvent)
        await speaking
        assert await stopping == 0
        assert final.text == PHRASES[0]
        assert final.turn_id is not None
        await person.done(final.turn_id)


async def replace_mind(home: House, broker: Rights, spy: Spy) -> None:
    """The same with a mind that has a turn in hand."""
    successor = await home.start("llm2", **broker.environment_of("llm"))
    await spy.sees_ready(successor.worker)
    await works_again(spy, home["llm"].worker)
    assert await home["llm"].stop() == 0
    await works_again(spy, successor.worker)


async def replace_voice(home: House, spy: Spy) -> None:
    """The same with a voice; the successor is on its way already, and nobody here knows its name."""
    old = home["tts"].worker
    successor = await spy.hears(
        Facts, lambda told: told.stage == "tts" and told.worker != old and told.state in {"ready", "degraded"}
    )
    await works_again(spy, old)
    assert await home["tts"].stop() == 0
    await works_again(spy, successor.worker)


async def test_every_service_is_replaced_under_load_and_no_accepted_turn_is_lost(tmp_path: Path) -> None:
    broker = Rights(tmp_path / "broker", "tls")
    async with FakeProvider(SLOW) as provider:
        variables = {"EVA_LLM_BASE_URL": provider.base_url, **PATIENT}
        async with house_with(broker, tmp_path, **variables) as home, spying(home) as spy:
            old = home.url
            town = Town(old)
            async with another_machine(broker, tmp_path / "elsewhere"), living(town):
                await town.until(lambda: town.answered[old] >= PEOPLE)
                await replace_ears(home, broker, spy, old)
                await replace_mind(home, broker, spy)
                await replace_voice(home, spy)
                new = town.url = await ready_gateway(home, broker, "gateway2")
                await town.until(lambda: town.in_flight[old])
                assert await home["gateway"].stop() == 0
                await town.until(lambda: town.answered[new] >= PEOPLE)
            assert set(town.ends) == {"answered"}, f"{dict(town.ends)}\n{home.logs()}"
            assert town.ends["answered"] >= 2 * PEOPLE
