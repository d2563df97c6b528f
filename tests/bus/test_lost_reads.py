"""Reading from a store whose replicas die with the question."""

from __future__ import annotations

import pytest
from nats.aio.msg import Msg

from shared.bus.nats_bucket import NatsBucket
from shared.errors import BusDown
from tests.bus.conftest import WAIT_S
from tests.conftest import NatsServer

pytestmark = pytest.mark.process


async def test_what_replicas_took_with_them_is_asked_again(nats_server: NatsServer) -> None:
    asking, replica = await nats_server.connect("asking"), await nats_server.connect("replica")
    asked = 0

    async def answer(message: Msg) -> None:
        nonlocal asked
        asked += 1
        if asked > 2:
            await replica._control._client.publish(message.reply, b"value", headers={"Nats-Sequence": "7"})

    try:
        await replica._control.subscribe("$JS.API.DIRECT.GET.KV_lost.>", answer)
        assert await NatsBucket(asking._control, "lost", reads_s=(0.1, 0.1, WAIT_S)).get("key") == b"value"
    finally:
        await asking.close()
        await replica.close()


async def test_a_store_of_which_nothing_is_heard_is_said_to_be_silent(nats_server: NatsServer) -> None:
    asking = await nats_server.connect("asking")

    async def ignore(_message: Msg) -> None:
        pass

    try:
        await asking._control.subscribe("$JS.API.DIRECT.GET.KV_lost.>", ignore)
        with pytest.raises(BusDown, match="does not answer"):
            await NatsBucket(asking._control, "lost", reads_s=(0.01, 0.01)).get("key")
    finally:
        await asking.close()
