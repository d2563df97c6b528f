"""Buckets in JetStream; their layout is that of every NATS client, so ``nats kv`` reads them too.

A bucket is a stream that keeps one message for each subject; a revision is a message's sequence number, so a
change that is made for one revision is JetStream's own compare-and-set.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from nats.aio.msg import Msg

from shared.bus import Conflict, Entry, Subscription
from shared.bus.nats_link import Link
from shared.bus.nats_store import (
    API,
    DUPLICATE_WINDOW_S,
    WRONG_LAST_SEQUENCE,
    ApiFailed,
    ask,
    ensure_stream,
    ns,
    store,
)
from shared.bus.wire import check_key, check_size
from shared.errors import BusDown, NoResponders, QueueFull, RequestTimedOut
from shared.subjects import new_token

READS_S = (0.4, 0.4, 1.2)
"""How long one replica after another is waited for that is asked for a value."""
_NOT_FOUND = "404"


class NatsBucket:
    """Keys and values, with a time to live that is counted anew at each change, or for good."""

    def __init__(self, link: Link, name: str, *, reads_s: Sequence[float] = READS_S) -> None:
        self._link, self._name, self._reads_s = link, name, reads_s

    @classmethod
    async def open(cls, link: Link, name: str, *, ttl_s: float) -> NatsBucket:
        """Makes the bucket if needed; ``ttl_s`` 0: what is in it stays. Raises ``BusDown``."""
        stream = {
            "name": f"KV_{name}",
            "subjects": [f"$KV.{name}.>"],
            "retention": "limits",
            "max_msgs_per_subject": 1,
            "max_age": ns(ttl_s),
            "duplicate_window": ns(min(DUPLICATE_WINDOW_S, ttl_s or DUPLICATE_WINDOW_S)),
            "discard": "new",
            "storage": "file",
            "num_replicas": 1,
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        }
        try:
            await ensure_stream(link, stream)
        except (NoResponders, RequestTimedOut, TimeoutError) as error:
            raise BusDown("the broker's JetStream does not answer; is it enabled?") from error
        return cls(link, name)

    async def get(self, key: str) -> bytes | None:
        """Returns the value, or None. Raises ``BusDown``, ``BadInput`` for an impossible key."""
        entry = await self.get_entry(key)
        return None if entry is None else entry.value

    async def get_entry(self, key: str) -> Entry | None:
        """Returns the value with its revision, or None. Raises ``BusDown``, ``BadInput``."""
        check_key(key)
        subject = f"{API}.DIRECT.GET.KV_{self._name}.{self._subject(key)}"
        message = await self._asked(subject)
        headers = message.headers or {}
        if headers.get("Status") == _NOT_FOUND or "KV-Operation" in headers:
            return None
        return Entry(message.data, int(headers.get("Nats-Sequence", "0")))

    async def _asked(self, subject: str) -> Msg:
        """Asks one of the replicas, and another where it is silent: it may have died with the question."""
        for patience_s in self._reads_s:
            with contextlib.suppress(NoResponders, RequestTimedOut):
                return await self._link.request(subject, b"", timeout_s=patience_s)
        raise self._silent()

    async def put(self, key: str, value: bytes) -> None:
        """Stores the value. Raises ``BusDown``, ``BadInput`` for an impossible key or more than 256 KiB."""
        await self._store(key, value, None)

    async def create(self, key: str, value: bytes) -> int:
        """Stores the value where there is none; returns its revision. Raises ``Conflict``, ``BusDown``."""
        return await self._store(key, value, 0)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Replaces this revision of the value; returns the new one. Raises ``Conflict``, ``BusDown``."""
        return await self._store(key, value, revision)

    async def delete(self, key: str) -> bool:
        """Erases the value; False if there was none. Raises ``BusDown``, ``BadInput``.

        The subject is purged, so that not even a marker with the key is left.
        """
        check_key(key)
        try:
            answer = await ask(self._link, f"STREAM.PURGE.KV_{self._name}", {"filter": self._subject(key)})
        except (NoResponders, RequestTimedOut) as error:
            raise self._silent() from error
        return answer.purged > 0

    async def keys(self) -> list[str]:
        """Returns all keys that have a value (the first 100,000 that the server names), sorted.

        Raises ``BusDown``.
        """
        everything = {"subjects_filter": self._subject(">")}
        try:
            answer = await ask(self._link, f"STREAM.INFO.KV_{self._name}", everything)
        except (NoResponders, RequestTimedOut) as error:
            raise self._silent() from error
        subjects = answer.state.subjects if answer.state is not None else None
        return sorted(subject.rpartition(".")[2] for subject in subjects or {})

    async def watch(self, tell: Callable[[str], None]) -> Subscription:
        """Calls ``tell`` with the key of each value that may have changed. Raises ``BusDown``.

        The changes themselves are read along on their way into the stream, those that it refuses too.
        """

        async def note(message: Msg) -> None:
            tell(message.subject.rpartition(".")[2])

        return await self._link.subscribe(self._subject(">"), note)

    def _subject(self, key: str) -> str:
        return f"$KV.{self._name}.{key}"

    def _silent(self) -> BusDown:
        return BusDown(f"the bucket {self._name} does not answer")

    async def _store(self, key: str, value: bytes, instead_of: int | None) -> int:
        check_key(key)
        check_size(value)
        # Asked twice where nothing is confirmed: by its id, the second time is no conflict with the first.
        message_id = new_token() if instead_of is not None else ""
        try:
            return await store(
                self._link, self._subject(key), value, message_id=message_id, instead_of=instead_of
            )
        except ApiFailed as error:
            if error.number == WRONG_LAST_SEQUENCE:
                raise Conflict(key) from error
            raise
        except (NoResponders, QueueFull) as error:
            raise self._silent() from error
