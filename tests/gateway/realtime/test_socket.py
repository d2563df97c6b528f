"""``WS /v1/realtime`` through a real server: who is let in, what is counted, and how it ends."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.gateway.guests import Allowance, BottomlessPurse, Guest, LimitReached
from services.gateway.outbox import Outbox
from services.gateway.realtime.context import Context
from services.gateway.realtime.dialect import Dialect
from services.gateway.realtime.events import parse
from services.gateway.realtime.items import Items
from services.gateway.realtime.line import Line, limits_of
from services.gateway.realtime.names import Names
from services.gateway.realtime.session import initial
from tests.fakes.gateway import RunningGateway, running_gateway
from tests.gateway.realtime.desk import typed
from tests.gateway.realtime.strict import judged
from tests.gateway.rig import make_place

WAIT_S = 60.0


@contextlib.asynccontextmanager
async def connected(gateway: RunningGateway, query: str = "model=m") -> AsyncIterator[ClientConnection]:
    """One socket."""
    url = f"ws://{gateway.address}/v1/realtime?{query}"
    async with connect(url, proxy=None, compression=None, max_size=None, max_queue=None) as socket:
        yield socket


async def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """All events up to the first of this kind, judged strictly."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(WAIT_S):
        while not events or events[-1]["type"] != kind:
            frame = await socket.recv()
            assert isinstance(frame, str)
            events.append(judged(frame))
    return events


async def closed(socket: ClientConnection) -> int | None:
    """Reads to the end; returns the code."""
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code


async def test_a_written_turn_goes_through_a_real_server(gateway: RunningGateway) -> None:
    async with connected(gateway) as socket:
        assert (await until(socket, "session.created"))[-1]["session"]["model"] == "m"
        await socket.send(json.dumps(typed("Hi")))
        await socket.send(
            json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}})
        )
        events = await until(socket, "response.done")
        assert events[-1]["response"]["status"] == "completed"
        assert "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")


async def test_a_faster_voice_is_heard_for_less_long() -> None:
    sizes = []
    async with running_gateway(gateway_filler_ms=0) as gateway, connected(gateway) as socket:
        for speed in (0.75, 1.5):
            settings = {"type": "realtime", "audio": {"output": {"speed": speed}}}
            await socket.send(json.dumps({"type": "session.update", "session": settings}))
            await socket.send(json.dumps(typed("Hi")))
            await socket.send(json.dumps({"type": "response.create"}))
            events = await until(socket, "response.done")
            deltas = [
                base64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta"
            ]
            sizes.append(len(b"".join(deltas)))
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.02)
    assert [work.speed for work in gateway.workers.generated] == [0.75, 1.5]


async def test_a_response_beside_is_stopped_with_its_client(gateway: RunningGateway) -> None:
    gateway.workers.faults.gate.clear()
    async with connected(gateway) as socket:
        beside = {"conversation": "none", "input": [typed("Hi")["item"]]}
        await socket.send(json.dumps({"type": "response.create", "response": beside}))
        await until(socket, "response.created")
    async with asyncio.timeout(WAIT_S):
        await gateway.workers.cancelled.wait()
    gateway.workers.faults.gate.set()
    await gateway.until(lambda: gateway.door.sessions == 0)


@pytest.mark.parametrize(("query", "status"), [("session_id=..", 400), ("session_id=a.b", 400)])
async def test_a_session_that_cannot_be_one_is_refused_before_the_socket_opens(
    gateway: RunningGateway, query: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connected(gateway, query):
            pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body or b"")["error"]["param"] == "session_id"


async def test_without_a_broker_nobody_is_let_in() -> None:
    async with running_gateway(is_reachable=False) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            async with connected(gateway):
                pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["retry-after"]
        gateway.reachable.set()
        await gateway.until(lambda: gateway.door.core is not None)


async def test_who_says_nothing_for_too_long_is_told_so_and_closed() -> None:
    async with running_gateway(gateway_idle_s=0.3) as gateway, connected(gateway) as socket:
        assert (await until(socket, "error"))[-1]["error"]["code"] == "idle_timeout"
        assert await closed(socket) == 1000


async def test_a_gateway_that_stops_says_good_bye() -> None:
    async with running_gateway() as gateway, connected(gateway) as socket:
        await until(socket, "session.created")
        gateway.stop.set()
        assert await closed(socket) == 1012


async def test_who_sends_more_than_anybody_says_is_told_so(gateway: RunningGateway) -> None:
    async def pester() -> None:
        with contextlib.suppress(ConnectionClosed):  # so ends who goes on
            for _ in range(
                5000
            ):  # these fit into the kernel: closed with a backlog, asyncio's transport fails
                await socket.send('{"type": "input_audio_buffer.clear"}')

    async with connected(gateway) as socket, asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
        pestering = tasks.create_task(pester())
        while (event := json.loads(await socket.recv()))["type"] != "error":
            pass
        assert event["error"]["code"] == "rate_limited"
        pestering.cancel()


class Spent(BottomlessPurse):
    """A purse with nothing in it."""

    def check(self) -> None:
        raise LimitReached("no tokens are left", limit="tokens", retry_after_s=5.0)

    def spend_audio(self, seconds: float) -> None:
        raise LimitReached(f"no sound is left, {seconds:g} s are too much", limit="audio", retry_after_s=5.0)

    def spend_tokens(self, count: int) -> None:
        raise LimitReached(f"{count} tokens are too many", limit="tokens", retry_after_s=5.0)

    def limits(self) -> tuple[Allowance, ...]:
        return (
            Allowance(name="tokens", limit=100.0, remaining=0.0, reset_s=5.0),
            Allowance(name="sessions", limit=2.0, remaining=1.0, reset_s=0.0),
        )


async def test_who_has_used_up_what_they_may_use_is_told_so_and_each_response_still_ends() -> None:
    guest, codes = Guest(purse=Spent()), list[str]()
    assert [(limit.name, limit.remaining) for limit in limits_of(guest)] == [("tokens", 0)]
    outbox = Outbox(codes.append)
    async with make_place() as place:
        config = initial("sess_s", model="m", expires_at=1)
        dialect = Dialect(config, Context(Items()), Names(), lambda: limits_of(guest))
        async with asyncio.TaskGroup() as tasks:
            line = Line(dialect, place.hub, outbox, guest, tasks)
            async with place.hub.session(dialect.start, line, conversation=dialect.context) as line.session:
                with pytest.raises(LimitReached):
                    line.may_hear(1.0)
                assert not line.may_hear(1.0), "it is told now and then"
                for response in ({}, {"conversation": "none", "input": []}):
                    event = parse(json.dumps({"type": "response.create", "response": response}))
                    line.perform(dialect.take(event, 0.0))
                told: list[dict[str, Any]] = []
                async with asyncio.timeout(WAIT_S):
                    while [event["type"] for event in told].count("rate_limits.updated") < 2:
                        item = await outbox.get()
                        assert item is not None
                        told += [judged(frame) for _, frame in line.encode(item)]
                ended = [event["response"] for event in told if event["type"] == "response.done"]
                assert [each["status_details"]["error"]["code"] for each in ended] == [
                    "rate_limit_exceeded"
                ] * 2
            line.finish()
