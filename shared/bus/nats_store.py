"""What EVA keeps in JetStream: work queues as streams with one consumer each, and buckets.

Spoken directly in JetStream's JSON API (https://docs.nats.io/reference/reference-protocols/nats_api_reference):
a handful of requests, whose errors have numbers. Everything here works from server 2.9 on.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec

from shared.bus import WorkQueue
from shared.bus.nats_link import Link
from shared.bus.wire import check_key, check_size
from shared.errors import BusDown, NoResponders, QueueFull, RequestTimedOut

API = "$JS.API"
API_TIMEOUT_S = 2.0
STORE_TIMEOUT_S = 1.0
"""For the broker to say that it has an item; asked twice, with the same id."""
READY_WITHIN_S = 5.0
"""A server that has just started may not have its JetStream ready."""
DUPLICATE_WINDOW_S = 60.0
MAX_ASKS = 10_000
"""Outstanding pull requests and items in hand, of all workers of a queue together."""

_STREAM_EXISTS_DIFFERENTLY = 10058
_STORE_FAILED = 10077
_NOT_FOUND = 404


class _ApiError(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    """The part of JetStream's answers that is read here."""

    error: _ApiError | None = None
    ts: str = ""
    purged: int = 0


class ApiFailed(BusDown):
    """JetStream refused; with its own numbers."""

    def __init__(self, subject: str, error: _ApiError) -> None:
        super().__init__(f"{subject}: {error.description} ({error.err_code})")
        self.status, self.number, self.description = error.code, error.err_code, error.description


_decoder = msgspec.json.Decoder(_Answer)


def _read(subject: str, payload: bytes) -> _Answer:
    try:
        answer = _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise BusDown(f"{subject}: not an answer of JetStream") from error
    if answer.error is not None:
        raise ApiFailed(subject, answer.error)
    return answer


async def ask(link: Link, action: str, body: dict[str, Any] | None = None) -> _Answer:
    """Calls JetStream's API. Raises ``ApiFailed``, ``NoResponders``, ``RequestTimedOut``, ``BusDown``."""
    payload = b"" if body is None else msgspec.json.encode(body)
    message = await link.request(f"{API}.{action}", payload, timeout_s=API_TIMEOUT_S)
    return _read(action, message.data)


async def store(link: Link, subject: str, payload: bytes, *, message_id: str) -> None:
    """Publishes into the stream that stores ``subject``, and waits until it has the item.

    Raises:
        QueueFull: the stream holds as much as it may.
        NoResponders: no stream stores this subject.
        BusDown: nothing was confirmed in time.
    """
    headers = {"Nats-Msg-Id": message_id} if message_id else None
    for _ in range(2):
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                await link.up.wait()
                message = await link.request(subject, payload, timeout_s=STORE_TIMEOUT_S, headers=headers)
            _read(subject, message.data)
        except ApiFailed as error:
            if error.number == _STORE_FAILED and "maximum" in error.description:
                raise QueueFull(subject) from error
            raise
        except (TimeoutError, RequestTimedOut):
            continue
        return
    raise BusDown(f"the broker did not confirm an item for {subject}")


async def _ensure_stream(link: Link, config: dict[str, Any]) -> None:
    name = config["name"]
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                await ask(link, f"STREAM.CREATE.{name}", config)
                return
            except ApiFailed as error:
                if error.number == _STREAM_EXISTS_DIFFERENTLY:
                    await ask(link, f"STREAM.UPDATE.{name}", config)
                    return
                if error.status != 503:
                    raise
            except (NoResponders, RequestTimedOut):
                pass
            await asyncio.sleep(0.1)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


async def declare(link: Link, queue: WorkQueue) -> None:
    """Makes a queue's stream and consumer, or adapts those that exist. Raises ``BusDown``."""
    stream = {
        "name": queue.name,
        "subjects": [queue.subject],
        "retention": "workqueue",
        "discard": "new",
        "storage": "file",
        "max_msgs": queue.capacity,
        "max_age": _ns(queue.max_age_s),
        "duplicate_window": _ns(min(DUPLICATE_WINDOW_S, queue.max_age_s)),
        "num_replicas": 1,
    }
    consumer = {
        "durable_name": queue.name,
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "ack_wait": _ns(queue.ack_wait_s),
        "max_deliver": queue.max_deliveries,
        "max_ack_pending": MAX_ASKS,
        "max_waiting": MAX_ASKS,
    }
    try:
        await _ensure_stream(link, stream)
        await ask(
            link,
            f"CONSUMER.DURABLE.CREATE.{queue.name}.{queue.name}",
            {"stream_name": queue.name, "config": consumer},
        )
    except (NoResponders, RequestTimedOut, TimeoutError) as error:
        raise BusDown("the broker's JetStream does not answer; is it enabled?") from error


async def clock_ahead_s(link: Link, stream: str) -> float:
    """Returns how far this clock is ahead of the server's; 0 where a server (< 2.10) does not say."""
    sent_at = datetime.now().astimezone().timestamp()
    answer = await ask(link, f"STREAM.INFO.{stream}")
    if not answer.ts:
        return 0.0
    middle = (sent_at + datetime.now().astimezone().timestamp()) / 2
    return middle - msgspec.convert(answer.ts, datetime, strict=False).timestamp()


class NatsBucket:
    """A key-value bucket; its layout is that of every NATS client, so ``nats kv`` reads it too."""

    def __init__(self, link: Link, name: str) -> None:
        self._link, self._name = link, name

    @classmethod
    async def open(cls, link: Link, name: str, *, ttl_s: float) -> NatsBucket:
        """Makes the bucket if needed. Raises ``BusDown``."""
        stream = {
            "name": f"KV_{name}",
            "subjects": [f"$KV.{name}.>"],
            "max_msgs_per_subject": 1,
            "max_age": _ns(ttl_s),
            "duplicate_window": _ns(min(DUPLICATE_WINDOW_S, ttl_s)),
            "discard": "new",
            "storage": "file",
            "num_replicas": 1,
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        }
        try:
            await _ensure_stream(link, stream)
        except (NoResponders, RequestTimedOut, TimeoutError) as error:
            raise BusDown("the broker's JetStream does not answer; is it enabled?") from error
        return cls(link, name)

    async def get(self, key: str) -> bytes | None:
        """Returns the value, or None. Raises ``BusDown``, ``BadInput`` for an impossible key."""
        check_key(key)
        subject = f"{API}.DIRECT.GET.KV_{self._name}.$KV.{self._name}.{key}"
        try:
            message = await self._link.request(subject, b"", timeout_s=API_TIMEOUT_S)
        except (NoResponders, RequestTimedOut) as error:
            raise BusDown(f"the bucket {self._name} does not answer") from error
        headers = message.headers or {}
        if headers.get("Status") == str(_NOT_FOUND) or "KV-Operation" in headers:
            return None
        return message.data

    async def put(self, key: str, value: bytes) -> None:
        """Stores the value. Raises ``BusDown``, ``BadInput`` for an impossible key or more than 256 KiB."""
        check_key(key)
        check_size(value)
        try:
            await store(self._link, f"$KV.{self._name}.{key}", value, message_id="")
        except (NoResponders, QueueFull) as error:
            raise BusDown(f"the bucket {self._name} does not answer") from error

    async def delete(self, key: str) -> bool:
        """Erases the value; False if there was none. Raises ``BusDown``, ``BadInput``.

        The subject is purged, so that not even a marker with the key is left.
        """
        check_key(key)
        try:
            answer = await ask(
                self._link, f"STREAM.PURGE.KV_{self._name}", {"filter": f"$KV.{self._name}.{key}"}
            )
        except (NoResponders, RequestTimedOut) as error:
            raise BusDown(f"the bucket {self._name} does not answer") from error
        return answer.purged > 0
