"""The gate: finds out who is asking, by key, client secret or neither.

What it needs for that is agreed on by all gateways: the keys that hold, what each may still use, and which
client secrets were used. ``admission`` asks it for every connection.
"""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from services.gateway.client_secrets import ClientSecrets
from services.gateway.guests import Guest
from services.gateway.keys import KeyRing, OnLost
from services.gateway.keys_offered import InvalidKey, Offer
from services.gateway.purses import Purses
from services.gateway.settings import GatewaySettings
from shared.bus import Bus
from shared.keys import CLIENT_SECRET_PREFIX, KeyRecord


class Gate:
    """Knows who may come in."""

    def __init__(self, settings: GatewaySettings, *, on_lost: OnLost) -> None:
        self.is_keyless = not settings.asks_for_key
        self.purses = Purses()
        self.secrets = ClientSecrets()
        self._ring = KeyRing(settings.keys_of_file(), on_lost=on_lost)

    async def run(self, bus: Bus, gw: str) -> NoReturn:
        """Keeps what is known of keys and limits fresh, until cancelled."""
        self.purses.use(bus, gw)
        self.secrets.use(bus)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ring.run(bus), name="keys")
            tasks.create_task(self.purses.run(), name="limits")
        raise AssertionError("the gate has ended")

    def knows(self, key_id: str) -> bool:
        """Whether a key of this id holds, as far as is known here."""
        return self._ring.by_id(key_id) is not None

    async def recognise(self, offer: Offer, origin: str | None, *, is_socket: bool) -> Guest:
        """Returns who is asking. A client secret is used up by this. Raises ``InvalidKey``, ``BusDown``."""
        if offer.key.startswith(CLIENT_SECRET_PREFIX):
            if not is_socket:
                raise InvalidKey("a client secret opens a WebSocket session, and nothing else")
            claimed = await self.secrets.claim(offer.key, origin)
            record = self._ring.by_id(claimed.key_id)
            if record is None and not self.is_keyless:
                raise InvalidKey("the API key behind this client secret does not hold any more")
            return self._guest(offer, record, claimed.session)
        if self.is_keyless:
            return self._guest(offer, None)
        if not offer.key:
            raise InvalidKey("an API key is needed: `Authorization: Bearer <key>` (eva keys add makes one)")
        return self._guest(offer, self._ring.find(offer.key))

    def _guest(self, offer: Offer, record: KeyRecord | None, session: dict[str, Any] | None = None) -> Guest:
        if record is None:
            return Guest(subprotocol=offer.subprotocol, session=session)
        purse = self.purses.purse_of(record)
        return Guest(key_id=record.id, purse=purse, subprotocol=offer.subprotocol, session=session)
