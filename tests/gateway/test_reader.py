"""Sound that is taken as it comes, past the messages that are received."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import WebSocket

from services.gateway.door import Core, Door
from services.gateway.life import make_door
from services.gateway.passage import TAKE
from services.gateway.settings import GatewaySettings
from services.gateway.websocket import chat
from tests.gateway.rig import Place

FRAME = bytes(640)
SECOND = bytes(2 * 16_000)


class Peer:
    """The server's side of a socket whose messages can be taken at once."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.takes: list[Callable[[str | bytes], bool]] = []
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "extensions": {TAKE: {"take": self.takes.append}}}
        self.websocket = WebSocket(scope, self.incoming.get, self.send)

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message.get("text") or message["type"])

    def says(self, text: str) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    def has_been_told(self, what: str) -> bool:
        return any(what in text for text in self.sent)


async def door_to(place: Place) -> Door:
    door = make_door(GatewaySettings(_env_file=None, gateway_idle_s=10.0))
    door.core = Core(place.hub, place.memory)
    await door.watch.listen(place.bus)
    return door


async def test_sound_that_is_taken_at_once_keeps_a_socket_open(place: Place) -> None:
    peer = Peer()
    serving = asyncio.create_task(chat(peer.websocket, await door_to(place)))
    peer.says('{"type":"start"}')
    while not peer.takes:  # noqa: ASYNC110 - until it is accepted
        await asyncio.sleep(0)
    (take,) = peer.takes
    assert not take(FRAME)  # there is no session yet
    await asyncio.sleep(1.0)
    assert not take("text")
    for _ in range(30):
        await asyncio.sleep(1.0)
        assert take(FRAME)
    assert not serving.done()
    await asyncio.sleep(11.0)
    assert peer.has_been_told('"idle_timeout"')
    await serving
    assert not take(FRAME)


async def test_sound_far_faster_than_time_is_complained_of_once(place: Place) -> None:
    peer = Peer()
    serving = asyncio.create_task(chat(peer.websocket, await door_to(place)))
    peer.says('{"type":"start"}')
    await asyncio.sleep(1.0)
    (take,) = peer.takes
    for _ in range(80):
        assert take(SECOND)
    await asyncio.sleep(1.0)
    assert sum('"rate_limited"' in text for text in peer.sent) == 1
    peer.says('{"type":"stop"}')
    await serving
