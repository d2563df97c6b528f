"""A client that is lost in the middle of an answer and comes back, at two gateways on a real broker.

The voice counts: each sample tells its text and its place in it, so sound that comes twice or never shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from services.gateway.life import live, make_door
from services.gateway.server import listen
from services.gateway.settings import GatewaySettings
from shared.bus import Bus
from tests.conftest import NatsServer
from tests.fakes.workers import FakeWorkers, counted

pytestmark = pytest.mark.process
WAIT_S = 60.0
RATE_HZ, SOUND_MS = 24_000, 400
ANSWER = "One alpha. Two beta. Three gamma. Four delta. Five epsilon. Six zeta."
SENTENCES = [f"{part}." for part in ANSWER.rstrip(".").split(". ")]
WHOLE = b"".join(counted(text, RATE_HZ, SOUND_MS) for text in SENTENCES)


class Person:
    """One connection, and all that came on it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.sound = b""

    async def say(self, **message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def next(self) -> dict[str, Any] | bytes:
        async with asyncio.timeout(WAIT_S):
            received = await self.socket.recv()
        if isinstance(received, bytes):
            self.sound += received
            return received
        event: dict[str, Any] = json.loads(received)
        if event["type"] == "audio" and self.sound and event["turn_id"] == "kitchen-1":
            assert event["start_ms"] == pytest.approx(self.from_ms + ms_of(self.sound), abs=0.01)
        self.events.append(event)
        return event

    async def sees(self, kind: str) -> dict[str, Any]:
        while True:
            event = await self.next()
            if isinstance(event, dict) and event["type"] == kind:
                return event

    async def hears(self, size_bytes: int) -> None:
        while len(self.sound) < size_bytes:
            await self.next()

    async def to_the_end(self) -> int | None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.next()
        return self.socket.close_code

    def lose(self) -> None:
        """The connection is gone, without a word."""
        self.socket.transport.abort()

    @property
    def from_ms(self) -> float:
        turns = [event["turn"] for event in self.events if event["type"] == "ready" and event["turn"]]
        return turns[0]["from_ms"] if turns else 0.0

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


def ms_of(sound: bytes) -> float:
    return 1000 * len(sound) / (2 * RATE_HZ)


@dataclass
class Pair:
    """Two gateways, and workers that both use."""

    addresses: list[str]
    workers: FakeWorkers
    sockets: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def comes(self, at: int, **start: object) -> Person:
        socket = await self.sockets.enter_async_context(
            connect(f"ws://{self.addresses[at]}/ws/chat", proxy=None)
        )
        person = Person(socket)
        await person.say(type="start", session_id="kitchen", timings={"words": True}, **start)
        return person


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    server = NatsServer(tmp_path / "nats")
    await server.start()
    stop = asyncio.Event()
    settings = GatewaySettings(
        _env_file=None,
        canary=False,
        drain_s=1.0,
        gateway_grace_s=WAIT_S,
        gateway_filler_ms=0,
        gateway_apology_s=0,
        gateway_take_up_s=WAIT_S,
        turn_s=2 * WAIT_S,
    )
    doors = [make_door(settings) for _ in range(2)]
    listeners = [listen("127.0.0.1", 0) for _ in doors]

    async def to_broker() -> Bus:
        return await server.connect("gateway")

    running = [
        asyncio.create_task(live(door, listener, to_broker, stop, gw=f"gw{number}"))
        for number, (door, listener) in enumerate(zip(doors, listeners, strict=True))
    ]
    bus = await server.connect("workers")
    workers = FakeWorkers(bus, answer=ANSWER)
    workers.sound_ms, workers.voice, workers.tells_words = SOUND_MS, counted, True
    pair = Pair([f"127.0.0.1:{it.getsockname()[1]}" for it in listeners], workers)
    try:
        async with workers.running(), asyncio.timeout(4 * WAIT_S):
            while any(door.core is None for door in doors):  # noqa: ASYNC110 - another party's state is polled
                await asyncio.sleep(0.02)
            async with pair.sockets:
                yield pair
            stop.set()
            await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for listener in listeners:
            listener.close()
        await bus.close()
        await server.stop()


async def test_who_comes_back_to_the_same_gateway_gets_the_rest_to_the_sample(pair: Pair) -> None:
    first = await pair.comes(0)
    await first.say(type="message", text="Count!")
    await first.hears(30_000)
    first.lose()
    has = {"turn_id": "kitchen-1", "ms": ms_of(first.sound)}
    second = await pair.comes(0, has=has)
    ready = await second.sees("ready")
    assert ready["is_resumed"]
    assert ready["turn"]["question"] == "Count!"
    assert ready["turn"]["from_ms"] == pytest.approx(has["ms"], abs=0.01)
    done = await second.sees("turn_done")
    assert done["turn_id"] == "kitchen-1"
    assert first.sound + second.sound == WHOLE
    assert len(pair.workers.generated) == 1
    words = {
        (event["segment"], word["begin"])
        for it in (first, second)
        for event in it.of("words")
        for word in event["words"]
    }
    assert len(words) == 2 * len(SENTENCES), "each word's time is told"
    await second.say(type="message", text="And again!")
    assert (await second.sees("turn_done"))["turn_id"] == "kitchen-2"


async def test_who_does_not_say_what_it_has_gets_what_it_cannot_have_played(pair: Pair) -> None:
    first = await pair.comes(0)
    await first.say(type="message", text="Count!")
    await first.hears(60_000)
    first.lose()
    second = await pair.comes(0)
    from_ms = (await second.sees("ready"))["turn"]["from_ms"]
    assert 0 <= from_ms <= ms_of(first.sound) + 1000
    await second.sees("turn_done")
    kept = first.sound[: 2 * round(from_ms * RATE_HZ / 1000)]
    assert kept + second.sound == WHOLE


@pytest.mark.parametrize("at", [0, 1])
async def test_a_second_client_takes_over_and_the_first_gets_no_more_sound(pair: Pair, at: int) -> None:
    first = await pair.comes(0)
    await first.say(type="message", text="Count!")
    await first.hears(30_000)
    second = await pair.comes(at)
    ready = await second.sees("ready")
    assert ready["turn"]["turn_id"] == "kitchen-1"
    assert await first.to_the_end() == 1008
    assert [event["code"] for event in first.of("error")] == ["session_taken_over"]
    assert first.events[-1]["type"] == "error", "nothing comes behind it"
    await second.sees("turn_done")
    from_ms = ready["turn"]["from_ms"]
    said = [event["text"] for event in second.of("segment")]
    if at == 0:
        assert first.sound[: 2 * round(from_ms * RATE_HZ / 1000)] + second.sound == WHOLE
    else:
        assert second.sound == b"".join(counted(text, RATE_HZ, SOUND_MS) for text in said)
        assert heard(first, from_ms) + " ".join(said).split() == ANSWER.split()


async def test_who_comes_back_to_another_gateway_hears_the_words_that_are_missing(pair: Pair) -> None:
    first = await pair.comes(0)
    await first.say(type="message", text="Count!")
    await first.hears(WHOLE.index(counted(SENTENCES[2], RATE_HZ, SOUND_MS)))
    first.lose()
    has = {"turn_id": "kitchen-1", "ms": ms_of(first.sound)}
    second = await pair.comes(1, has=has)
    ready = await second.sees("ready")
    assert ready["is_resumed"]
    assert ready["turn"]["turn_id"] == "kitchen-1"
    await second.sees("turn_done")
    said = [event["text"] for event in second.of("segment")]
    assert heard(first, has["ms"]) + " ".join(said).split() == ANSWER.split(), "each word is said once"
    assert second.sound == b"".join(counted(text, RATE_HZ, SOUND_MS) for text in said)
    played_ms = round(second.from_ms + ms_of(second.sound)) + 1
    await second.say(type="played", turn_id="kitchen-1", ms=played_ms)
    await second.say(type="message", text="And again!")
    await second.sees("turn_done")
    told = [(message.role, message.content) for message in pair.workers.generated[-1].messages]
    assert told == [("user", "Count!"), ("assistant", ANSWER), ("user", "And again!")]


async def test_a_client_that_says_good_bye_is_not_waited_for(pair: Pair) -> None:
    first = await pair.comes(0)
    await first.say(type="message", text="Count!")
    await first.hears(30_000)
    await first.socket.close(1001)
    second = await pair.comes(0)
    ready = await second.sees("ready")
    assert ready["turn"] is None
    await second.say(type="message", text="And again!")
    await second.sees("turn_done")
    told = [message.role for message in pair.workers.generated[-1].messages]
    assert told[0] == "user"


def heard(person: Person, until_ms: float) -> list[str]:
    """Returns the words, with the stop behind a sentence's second, that were told to have ended by then."""
    words = [
        word for event in person.of("words") for word in event["words"] if word["end_ms"] <= until_ms + 0.05
    ]
    return [f"{word['text']}." if word["begin"] else word["text"] for word in words]
