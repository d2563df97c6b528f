"""The workers' side of the way round a queue (``shared.bus.nats_rush`` is its other side)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import NoReturn

from nats.aio.msg import Msg

from shared import subjects
from shared.bus.jobs import Desk
from shared.bus.nats_link import Link, LinkSubscription
from shared.bus.rush import BUSY, FREE, HAS, TAKEN
from shared.errors import BusDown
from shared.trace import HEADER as TRACEPARENT

OPEN_AGAIN_S = 0.25
ITEM_ID, SUBJECT = "Eva-Id", "Eva-Subject"


class RushedDelivery:
    """An item that came past its queue: there is nobody to whom anything could be said about it."""

    number, waited_s, is_rushed = 1, 0.0, True

    def __init__(self, message: Msg) -> None:
        headers = message.headers or {}
        self.subject, self.payload = headers.get(SUBJECT, ""), message.data
        self.item_id = headers.get(ITEM_ID, "")
        self.traceparent = headers.get(TRACEPARENT, "")

    async def begun(self) -> None:
        """Its sender was told in the reply."""

    async def acknowledge(self) -> None:
        """It is done."""

    async def keep(self) -> None:
        """It is being worked on."""

    async def give_back(self, delay_s: float) -> None:
        """Nobody takes it: a copy in the queue may, and whoever waits for it asks anew."""

    async def drop(self) -> None:
        """It is never to be delivered again."""


class NatsDoor:
    """Where one consumer is asked whether it is free, and given items past its queue."""

    def __init__(self, link: Link, queue_subject: str) -> None:
        self._link, self._rush = link, subjects.rush(queue_subject)
        self._name = subjects.new_token()

    async def run(self, desk: Desk) -> NoReturn:
        """Lets items in until cancelled."""
        made: list[LinkSubscription] = []

        async def tell(message: Msg) -> None:
            if desk.knows(message.data.decode("utf-8", "replace")):
                await self._answer(message, HAS)
            elif desk.is_free():
                await self._answer(message, FREE + self._name.encode())

        async def take(message: Msg) -> None:
            delivery = RushedDelivery(message)
            is_taken = desk.knows(delivery.item_id) or await desk.accept(delivery)
            if is_taken:  # first, so that nobody can get a copy without knowing that it is one
                with contextlib.suppress(BusDown):
                    await self._link.publish(f"{self._rush}.had", delivery.item_id.encode())
            await self._answer(message, TAKEN if is_taken else BUSY)

        async def had(message: Msg) -> None:
            desk.rushed_elsewhere(message.data.decode("utf-8", "replace"))

        doors = (("free", tell), (f"to.{self._name}", take), ("had", had))
        try:
            while len(made) < len(doors):
                where, callback = doors[len(made)]
                try:
                    made.append(await self._link.subscribe(f"{self._rush}.{where}", callback))
                except BusDown:
                    await asyncio.sleep(OPEN_AGAIN_S)
            await asyncio.get_running_loop().create_future()
            raise AssertionError
        finally:
            for subscription in made:
                await subscription.close()

    async def _answer(self, message: Msg, said: bytes) -> None:
        if message.reply:
            with contextlib.suppress(BusDown):
                await self._link.publish(message.reply, said)
