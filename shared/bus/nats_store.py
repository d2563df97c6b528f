"""What EVA keeps in JetStream: work queues as streams with one consumer each (``nats_bucket``: buckets).

Spoken directly in JetStream's JSON API (https://docs.nats.io/reference/reference-protocols/nats_api_reference):
a handful of requests, whose errors have numbers. Everything here works from server 2.9 on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from shared.bus import WorkQueue
from shared.bus.nats_link import Link
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

WRONG_LAST_SEQUENCE = 10071
REPLICAS = 3
"""A cluster of three loses one of its servers and goes on (https://docs.nats.io/nats-concepts/jetstream)."""
_STREAM_EXISTS_DIFFERENTLY = 10058
_STORE_FAILED = 10077


class _ApiError(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _State(msgspec.Struct):
    subjects: dict[str, int] | None = None


class _Answer(msgspec.Struct):
    """The part of JetStream's answers that is read here."""

    error: _ApiError | None = None
    ts: str = ""
    purged: int = 0
    seq: int = 0
    state: _State | None = None


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


def with_id(headers: Mapping[str, str], message_id: str) -> dict[str, str]:
    """Returns headers by which a stream keeps a message apart from others, and knows it again."""
    return {**headers, "Nats-Msg-Id": message_id} if message_id else dict(headers)


async def confirmed(
    link: Link, subject: str, payload: bytes, *, timeout_s: float, headers: dict[str, str]
) -> int:
    """Publishes once, and waits until the stream has it. Raises as ``store``, and ``RequestTimedOut``."""
    message = await link.request(subject, payload, timeout_s=timeout_s, headers=headers or None)
    try:
        return _read(subject, message.data).seq
    except ApiFailed as error:
        if error.number == _STORE_FAILED and "maximum" in error.description:
            raise QueueFull(subject) from error
        raise


async def store(
    link: Link,
    subject: str,
    payload: bytes,
    *,
    message_id: str,
    instead_of: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> int:
    """Publishes into the stream that stores ``subject``, and waits until it has the item.

    ``instead_of``: the sequence number of the newest item with this subject, 0 for none; another one is an
    error of JetStream's (``WRONG_LAST_SEQUENCE``). Returns the item's own.

    Raises:
        QueueFull: the stream holds as much as it may.
        NoResponders: no stream stores this subject.
        BusDown: nothing was confirmed in time.
    """
    told = with_id(headers or {}, message_id)
    if instead_of is not None:
        told["Nats-Expected-Last-Subject-Sequence"] = str(instead_of)
    for _ in range(2):
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                await link.up.wait()
                return await confirmed(link, subject, payload, timeout_s=STORE_TIMEOUT_S, headers=told)
        except (TimeoutError, RequestTimedOut):
            continue
    raise BusDown(f"the broker did not confirm an item for {subject}")


async def ensure_stream(link: Link, config: dict[str, Any]) -> None:
    """Makes a stream, or adapts the one that exists.

    In a cluster as often as ``REPLICAS``, or in fewer places where there are not so many servers.
    """
    wishes = [config]
    if link.is_clustered:
        wishes = [{**config, "num_replicas": REPLICAS}, config]
        if config["retention"] == "workqueue":  # what waits there lives in the replicas' memories …
            wishes.insert(0, {**wishes[0], "storage": "memory"})
        # … unless the queue was made on disk before there was a cluster: that cannot be changed.
    async with asyncio.timeout(READY_WITHIN_S):
        for wish in wishes:
            try:
                await _ensure(link, wish)
            except ApiFailed:
                if wish is wishes[-1]:
                    raise
            else:
                return


async def _ensure(link: Link, config: dict[str, Any]) -> None:
    name = config["name"]
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


async def _ensure_consumer(link: Link, name: str, config: dict[str, Any]) -> None:
    """Asked again where nothing is heard: the second time it is there already, and is no other."""
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                body = {"stream_name": name, "config": config}
                await ask(link, f"CONSUMER.DURABLE.CREATE.{name}.{name}", body)
            except RequestTimedOut:
                continue
            else:
                return


def ns(seconds: float) -> int:
    """Returns nanoseconds, as JetStream counts."""
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
        "max_age": ns(queue.max_age_s),
        "duplicate_window": ns(min(DUPLICATE_WINDOW_S, queue.max_age_s)),
        "num_replicas": 1,
    }
    consumer = {
        "durable_name": queue.name,
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "ack_wait": ns(queue.ack_wait_s),
        "max_deliver": queue.max_deliveries,
        "max_ack_pending": MAX_ASKS,
        "max_waiting": MAX_ASKS,
    }
    try:
        await ensure_stream(link, stream)
        await _ensure_consumer(link, queue.name, consumer)
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
