"""Who is asking: the guest that the gateway's middleware leaves in a connection's scope.

Everybody is a guest: where no key is asked for, one without a name and without limits. What a guest may still
spend is kept by a ``Purse`` (``services.gateway.purses``), which agrees with the other gateways; spending
is synchronous, so it fits where frames and chunks pass by.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.types import Scope

from services.gateway.limits import Allowance, LimitReached

__all__ = ["Allowance", "BottomlessPurse", "Guest", "LimitReached", "Purse", "guest_of"]


class Purse(Protocol):
    """What the guests of one key may spend together."""

    def check(self) -> None:
        """Raises ``LimitReached`` if nothing more may begin now."""

    async def admit(self) -> None:
        """As ``check``, by what all gateways know. Raises ``LimitReached``, ``BusDown``."""

    def session(self) -> AbstractAsyncContextManager[None]:
        """Holds one session. Raises ``LimitReached``, ``BusDown``."""

    def spend_audio(self, seconds: float) -> None:
        """Takes note of sound heard or spoken. Raises ``LimitReached`` if there was none left before."""

    def spend_tokens(self, count: int) -> None:
        """Takes note of tokens read or written. Raises ``LimitReached`` if there were none left before."""

    def limits(self) -> tuple[Allowance, ...]:
        """Returns what is left of each limit that the key has."""


class BottomlessPurse:
    """For who has no limits."""

    def check(self) -> None:
        """Something may always begin."""

    async def admit(self) -> None:
        """Everybody."""

    def session(self) -> AbstractAsyncContextManager[None]:
        """Any number."""
        return contextlib.nullcontext()

    def spend_audio(self, seconds: float) -> None:
        """Any amount."""

    def spend_tokens(self, count: int) -> None:
        """Any amount."""

    def limits(self) -> tuple[Allowance, ...]:
        """None."""
        return ()


@dataclass(eq=False, kw_only=True, slots=True)
class Guest:
    """One connection's, or one request's; several guests may have the same key."""

    key_id: str = ""
    """Of the API key; "" where no key is asked for."""
    purse: Purse = field(default_factory=BottomlessPurse)
    session: Mapping[str, Any] | None = None
    """The session configuration that a client secret was made with, as its maker sent it; else None."""
    subprotocol: str | None = None
    """What to select when the socket is accepted."""

    @contextlib.asynccontextmanager
    async def stay(self) -> AsyncIterator[None]:
        """Holds one of the key's sessions while the context lasts. Raises ``LimitReached``, ``BusDown``."""
        await self.purse.admit()
        async with self.purse.session():
            yield

    @property
    def is_charged(self) -> bool:
        """Whether it is to be noted what the guest uses."""
        return not isinstance(self.purse, BottomlessPurse)

    def check(self) -> None:
        """Raises ``LimitReached`` if no turn may begin now."""
        self.purse.check()

    def spend_audio(self, seconds: float) -> None:
        """Takes note of sound heard or spoken. Raises ``LimitReached`` if there was none left before."""
        self.purse.spend_audio(seconds)

    def spend_tokens(self, count: int) -> None:
        """Takes note of tokens read or written. Raises ``LimitReached`` if there were none left before."""
        self.purse.spend_tokens(count)

    def limits(self) -> tuple[Allowance, ...]:
        """Returns what is left of each limit; empty where there is none."""
        return self.purse.limits()


def guest_of(scope: Scope) -> Guest:
    """Returns who is asking, by the middleware's word; a guest without a key where it said nothing."""
    state: dict[str, Any] = scope.setdefault("state", {})
    guest: Guest = state.setdefault("guest", Guest())
    return guest
