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
from urllib.parse import urlsplit

from services.gateway.hub import Hub
from services.gateway.memory import Memory
from services.gateway.metrics import Metrics
from services.gateway.outbox import Outbox
from services.gateway.settings import GatewaySettings
from services.gateway.watch import Watch
from shared.errors import BusDown, EvaError

SERVICE_RESTART = 1012
FAREWELL_S = 1.0
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


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
        self._is_draining = False
        self._inside: set[Outbox] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def sessions(self) -> int:
        """How many are inside."""
        return len(self._inside)

    def require_core(self) -> Core:
        """Returns the core. Raises ``BusDown`` before the broker was reached, and while it is lost."""
        if self.core is None or not self.watch.is_broker_up:
            raise BusDown("the broker is not reachable")
        return self.core

    @contextlib.contextmanager
    def seat(self, outbox: Outbox) -> Iterator[None]:
        """Lets one client in for as long as the context lasts. Raises ``Busy``, ``Draining``."""
        if self._is_draining:
            raise Draining("this gateway is about to stop")
        if len(self._inside) >= self.settings.gateway_max_sessions:
            raise Busy(f"{len(self._inside)} conversations are going on, as many as there may be")
        self._inside.add(outbox)
        self._empty.clear()
        try:
            yield
        finally:
            self._inside.discard(outbox)
            if not self._inside:
                self._empty.set()

    async def drain(self, within_s: float) -> None:
        """Lets nobody in any more, turns in flight end for so long, and says good-bye to all."""
        self._is_draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for outbox in list(self._inside):
                    await outbox.quiet()
        for outbox in self._inside:
            outbox.finish(SERVICE_RESTART, "the gateway is stopping")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._empty.wait()

    def is_welcome(self, origin: str | None, host: str) -> bool:
        """Whether a page of this origin may speak to us; no origin: no browser, welcome."""
        if origin is None:
            return True
        allowed = self.settings.allowed_origins
        if "*" in allowed or origin.lower() in allowed:
            return True
        try:
            parts = urlsplit(origin)
            return parts.hostname in _LOCAL or (parts.netloc != "" and parts.netloc.lower() == host.lower())
        except ValueError:
            return False
