"""The client that EVA's own commands share."""

from __future__ import annotations

import contextlib
import typing
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import ServerConnection, serve

from eva.chat_client import AnyServerEvent, Refused, SocketLost, conversation
from services.gateway.chat_protocol import AudioIn, ErrorEvent, Ready, ServerEvent, Start
from tests.fakes.eva_gateway import tell
from tests.fakes.gateway import running_gateway


def test_every_event_that_a_gateway_may_send_is_understood() -> None:
    told = {event for event in ServerEvent.__subclasses__() if event.__module__.startswith("services.")}
    assert set(typing.get_args(AnyServerEvent)) == told


async def test_a_full_gateway_refuses_with_its_reason_and_a_hint() -> None:
    async with running_gateway(gateway_max_sessions=1) as gateway, gateway.client() as first:
        await first.send(type="start")
        await first.expect("ready")
        with pytest.raises(Refused, match="conversations are going on") as refused:
            async with conversation(f"http://{gateway.address}", Start()):
                pass
    assert refused.value.hint == "Try again in 1 s."


NOBODY = ErrorEvent(code="no_ears", message="the ears are starting; what is said is kept", retry_after_ms=500)
READY = Ready(
    session_id="s", is_resumed=False, turns=0, voice="eva", language="en", audio_in=AudioIn(), audio_out=None
)


@contextlib.asynccontextmanager
async def saying(*events: ServerEvent) -> AsyncIterator[str]:
    """A gateway that says this to whoever starts, and hears the rest in silence."""

    async def answer(socket: ServerConnection) -> None:
        await socket.recv()
        for event in events:
            await tell(socket, event)
        async for _ in socket:
            pass

    async with serve(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_ears_that_are_slow_are_waited_for() -> None:
    async with (
        saying(NOBODY, NOBODY, READY) as url,
        conversation(url, Start(audio_in=AudioIn()), ears_within_s=60.0) as socket,
    ):
        assert socket.ready == READY


async def test_ears_that_do_not_come_are_told_of() -> None:
    async with saying(NOBODY) as url:
        with pytest.raises(SocketLost, match="the ears are starting"):
            async with conversation(url, Start(audio_in=AudioIn()), ears_within_s=0.0):
                pass


async def test_any_other_mistake_ends_it_at_once() -> None:
    async with saying(NOBODY, ErrorEvent(code="busy", message="no room")) as url:
        with pytest.raises(SocketLost, match="no room"):
            async with conversation(url, Start(audio_in=AudioIn()), ears_within_s=60.0):
                pass


async def test_a_missing_key_is_told_with_where_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVA_API_KEY", raising=False)
    async with running_gateway(gateway_auth="on") as gateway:
        with pytest.raises(Refused, match="EVA_API_KEY") as refused:
            async with conversation(f"http://{gateway.address}", Start()):
                pass
    assert refused.value.hint == ""
