"""What the guests of each key have left, agreed on by all gateways through the store.

``limits`` does the arithmetic; here it meets the store by compare-and-set. A gateway writes at most once in
``SETTLE_EVERY_S`` for each limit of a key that is in use, however many frames pass. The price: between two
settlements a gateway does not know what the others spend, so a limit can be overshot by what all gateways
together spend in that time beyond their slices. A gateway that dies takes its slice (a tenth of the limit, at
most 30 s of sound or 4,000 tokens) with it. Sessions are counted exactly.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import NoReturn, TypeVar

import msgspec

from services.gateway.limits import (
    LEASE_S,
    Account,
    Allowance,
    Leases,
    Tally,
    check_sessions,
    hold,
    quotas,
    settle,
)
from shared.bus import Bucket, Bus, Conflict
from shared.errors import BusDown
from shared.keys import KeyRecord
from shared.observe import Log

log = Log("eva.gateway")

LIMITS_BUCKET = "eva-limits"
KEEP_S = 2 * 86_400.0
"""Longer than the longest period of a limit."""
SETTLE_EVERY_S = 2.0
RENEW_EVERY_S = LEASE_S / 3
FAREWELL_S = 1.0
TRIES = 20
"""Of one compare-and-set: so many other gateways in a row may be quicker."""
T = TypeVar("T")
S = TypeVar("S")
_encoder = msgspec.msgpack.Encoder()


class _Store:
    """The bucket, changed by compare-and-set."""

    def __init__(self) -> None:
        self.gw = ""
        self._bus: Bus | None = None
        self._bucket: Bucket | None = None

    def use(self, bus: Bus, gw: str) -> None:
        self._bus, self.gw = bus, gw

    async def change(self, key: str, kind: type[S], decide: Callable[[S | None], tuple[S, T]]) -> T:
        """Reads, decides and writes until nobody came in between. Raises ``BusDown``, and as ``decide``."""
        bucket = await self._opened()
        for _ in range(TRIES):
            entry = await bucket.get_entry(key)
            after, outcome = decide(_read(entry.value, kind) if entry is not None else None)
            data = _encoder.encode(after)
            with contextlib.suppress(Conflict):
                if entry is None:
                    await bucket.create(key, data)
                else:
                    await bucket.update(key, data, entry.revision)
                return outcome
        raise BusDown("the limits cannot be settled: too many gateways at once")

    async def _opened(self) -> Bucket:
        if self._bus is None:
            raise BusDown("the limits are kept at the broker, which was not reached yet")
        if self._bucket is None:
            self._bucket = await self._bus.bucket(LIMITS_BUCKET, ttl_s=KEEP_S)
        return self._bucket


def _read(data: bytes, kind: type[S]) -> S | None:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError:
        log.error("limits.malformed", size_bytes=len(data))
        return None


class KeyPurse:
    """What the guests of one key may spend at this gateway; made by ``Purses``."""

    def __init__(self, record: KeyRecord, store: _Store, clock: Callable[[], float]) -> None:
        self._record, self._store, self._clock = record, store, clock
        self._accounts = tuple(Account(quota) for quota in quotas(record.limits))
        self._by_name = {account.quota.name: account for account in self._accounts}
        self._lock = asyncio.Lock()
        self._sessions = 0
        self._renewed_at = 0.0

    def check(self) -> None:
        """Raises ``LimitReached`` if nothing more may begin now."""
        for account in self._accounts:
            account.check(self._clock())

    def spend_audio(self, seconds: float) -> None:
        """Takes note of sound heard or spoken. Raises ``LimitReached`` if there was none left before."""
        self._spend("audio_seconds", seconds)

    def spend_tokens(self, count: int) -> None:
        """Takes note of tokens read or written. Raises ``LimitReached`` if there were none left before."""
        self._spend("tokens", count)

    def _spend(self, name: str, amount: float) -> None:
        account = self._by_name.get(name)
        if account is not None:
            account.spend(amount, self._clock())

    def limits(self) -> tuple[Allowance, ...]:
        """Returns what is left of each limit on what is used up."""
        return tuple(account.allowance(self._clock()) for account in self._accounts)

    async def admit(self) -> None:
        """Asks the store where nothing is reserved. Raises ``LimitReached``, ``BusDown``."""
        async with self._lock:
            for account in self._accounts:
                if account.reserved <= 0:
                    await self._settle(account)
        self.check()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Holds one of the key's sessions. Raises ``LimitReached``, ``BusDown``."""
        if not self._record.limits.sessions:
            yield
            return
        async with self._lock:
            await self._hold(self._sessions + 1)
        try:
            yield
        finally:
            await asyncio.shield(self._leave())

    async def settle(self) -> None:
        """Settles what was spent, and renews the lease on sessions. Raises ``BusDown``."""
        async with self._lock:
            for account in self._accounts:
                await self._settle(account)
            if self._sessions and self._clock() - self._renewed_at >= RENEW_EVERY_S:
                await self._hold(self._sessions)

    async def _settle(self, account: Account) -> None:
        bill = account.bill()
        if bill is None:
            return

        def decide(tally: Tally | None) -> tuple[Tally, tuple[Tally, float]]:
            after, given = settle(account.quota, tally, bill, self._clock())
            return after, (after, given)

        tally, given = await self._store.change(f"{account.quota.name}-{self._record.id}", Tally, decide)
        account.settled(bill, tally, given)

    async def _hold(self, count: int) -> None:
        """Writes down how many sessions are open here; more than before only if there is room."""
        now, is_more = self._clock(), count > self._sessions

        def decide(leases: Leases | None) -> tuple[Leases, None]:
            held = hold(leases or {}, self._store.gw, count, now)
            if is_more:
                check_sessions(held, self._record.limits.sessions, now)
            return held, None

        await self._store.change(f"sessions-{self._record.id}", Leases, decide)
        self._sessions, self._renewed_at = count, now

    async def _leave(self) -> None:
        async with self._lock:
            try:
                await self._hold(self._sessions - 1)
            except BusDown:  # the lease is renewed with the right count, or lapses
                self._sessions -= 1


class Purses:
    """The purses of this gateway."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        """``clock``: the wall's, seconds since 1970; all gateways share it."""
        self._clock = clock
        self._store = _Store()
        self._purses: dict[str, KeyPurse] = {}

    def purse_of(self, record: KeyRecord) -> KeyPurse:
        """Returns the purse that all guests of a key share."""
        purse = self._purses.get(record.id)
        if purse is None:
            purse = self._purses[record.id] = KeyPurse(record, self._store, self._clock)
        return purse

    async def settle(self) -> None:
        """Settles all purses. A broker that is away is asked again later."""
        for key_id, purse in list(self._purses.items()):
            try:
                await purse.settle()
            except BusDown as error:
                log.debug("limits.not_settled", key=key_id, reason=str(error))

    def use(self, bus: Bus, gw: str) -> None:
        """From now on there is a store; ``gw`` is this gateway's name in it."""
        self._store.use(bus, gw)

    async def run(self) -> NoReturn:
        """Settles now and then, until cancelled; then charges what is owed, and gives back the rest."""
        try:
            while True:
                await asyncio.sleep(SETTLE_EVERY_S)
                await self.settle()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await self.settle()
                    await self.settle()  # what was not spent of since the first time goes back
