"""The door: who may come in, how many at a time, and how they are seen out when the gateway stops.

The gateway opens before its broker is there; until then, and whenever the broker is lost, whoever comes in is
told so instead of being kept waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from services.gateway import origins
from services.gateway.chat_protocol import ErrorEvent
from services.gateway.gate import Gate
from services.gateway.guests import Guest
from services.gateway.hub import Hub
from services.gateway.memory import Memory
from services.gateway.metrics import Metrics
from services.gateway.outbox import POLICY, Outbox
from services.gateway.settings import GatewaySettings
from services.gateway.siblings import Siblings
from services.gateway.watch import Watch
from shared.errors import BusDown, EvaError

SERVICE_RESTART = 1012
FAREWELL_S = 1.0


class Busy(EvaError):
    """As many conversations as there may be are going on."""

    code: ClassVar[str] = "busy"


class Draining(EvaError):
    """The gateway is about to stop."""

    code: ClassVar[str] = "draining"


@dataclass(frozen=True, slots=True)
class Core:
    """What exists once the broker was reached."""

    hub: Hub
    memory: Memory


class Door:
    """Admission for sockets and requests alike."""

    def __init__(self, settings: GatewaySettings, watch: Watch, metrics: Metrics) -> None:
        self.settings, self.watch, self.metrics = settings, watch, metrics
        self.core: Core | None = None
        self.opened = asyncio.Event()
        """Set from the first core on."""
        self.siblings: Siblings | None = None
        """The gateway's other processes, where there are any."""
        self.gate = Gate(settings, on_lost=self.evict)
        self._is_draining = False
        self._inside: dict[Outbox, Guest] = {}
        self._places: set[object] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def sessions(self) -> int:
        """How many are inside."""
        return len(self._places)

    def require_core(self) -> Core:
        """Returns the core. Raises ``BusDown`` before the broker was reached, and while it is lost."""
        if self.core is None or not self.watch.is_broker_up:
            raise BusDown("the broker is not reachable")
        return self.core

    def check_room(self) -> None:
        """Raises ``Busy`` or ``Draining`` if nobody more can be let in."""
        if self._is_draining:
            raise Draining("this gateway is about to stop")
        if len(self._places) >= self.settings.gateway_max_sessions:
            raise Busy(f"{len(self._places)} conversations are going on, as many as there may be")

    @contextlib.contextmanager
    def place(self, holder: object) -> Iterator[None]:
        """Keeps a place for as long as the context lasts. Raises ``Busy``, ``Draining``."""
        self.check_room()
        self._places.add(holder)
        try:
            yield
        finally:
            self._places.discard(holder)

    @contextlib.contextmanager
    def seat(self, outbox: Outbox, guest: Guest | None = None) -> Iterator[None]:
        """Lets one client in for as long as the context lasts: it is seen out when the gateway stops.

        A guest who has a place already (a socket, before it was accepted) needs no other one.

        Raises:
            Busy: there is no place left.
            Draining: the gateway is about to stop.
        """
        holder = contextlib.nullcontext() if guest in self._places else self.place(outbox)
        with holder:
            self._inside[outbox] = guest or Guest()
            self._empty.clear()
            try:
                yield
            finally:
                del self._inside[outbox]
                if not self._inside:
                    self._empty.set()

    def evict(self, key_ids: frozenset[str]) -> None:
        """Ends all that goes on with these keys, which hold no longer: says so, and closes (1008)."""
        for outbox, guest in self._inside.items():
            if guest.key_id in key_ids:
                outbox.emit(ErrorEvent(code="invalid_api_key", message="the API key was revoked"))
                outbox.finish(POLICY, "invalid_api_key")

    async def drain(self, within_s: float) -> None:
        """Lets nobody in any more, and sees everybody out.

        Each goes as soon as nothing of theirs is under way (who may stay for others' sake would begin another
        turn meanwhile), and all go after so long.
        """
        self._is_draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s), asyncio.TaskGroup() as tasks:
                for outbox in self._inside:
                    tasks.create_task(_see_out(outbox), name="see-out")
        for outbox in self._inside:
            outbox.finish(SERVICE_RESTART, "the gateway is stopping")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._empty.wait()

    def is_welcome(self, origin: str | None, host: str) -> bool:
        """Whether a page of this origin may speak to us; no origin: no browser, welcome."""
        allowed = self.settings.allowed_origins
        return origins.is_welcome(origin, host, allowed, is_keyless=self.gate.is_keyless)


async def _see_out(outbox: Outbox) -> None:
    await outbox.quiet()
    outbox.finish(SERVICE_RESTART, "the gateway is stopping")
