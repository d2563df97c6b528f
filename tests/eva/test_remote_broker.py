import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eva.place import CannotStart, free_port
from eva.remote_broker import judge, probe, version_of, without_password


@asynccontextmanager
async def server(first_words: bytes) -> AsyncIterator[str]:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first_words)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listening:
        yield f"nats://eva:secret@127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def info(**fields: object) -> bytes:
    return b"INFO " + json.dumps(fields).encode() + b" \r\n"


async def test_a_broker_that_is_new_enough_tells_its_version() -> None:
    async with server(info(version="2.10.7", jetstream=True)) as url:
        assert await probe(url) == "2.10.7"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (info(version="2.9.10", jetstream=True), "is too old: 2.9.10, needed is 2.9.23"),
        (info(jetstream=True), "is too old: unknown"),
        (info(version="2.11.0"), "has no JetStream"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is no NATS server"),
        (b"INFO {broken\r\n", "is no NATS server"),
        (b"INFO [1]\r\n", "is no NATS server"),
        (b"", "is no NATS server"),
    ],
)
async def test_what_cannot_be_used_is_said_without_the_password(words: bytes, reason: str) -> None:
    async with server(words) as url:
        with pytest.raises(CannotStart, match=reason) as caught:
            await probe(url)
    assert "secret" not in str(caught.value)


async def test_nobody_listening_is_said() -> None:
    with pytest.raises(CannotStart, match=r"no broker answers at nats://127\.0\.0\.1:"):
        await probe(f"127.0.0.1:{free_port('127.0.0.1', 0)}")


def test_versions_are_numbers_and_what_is_none_counts_as_0() -> None:
    assert version_of("v2.10.7-RC.1") == (2, 10, 7)
    assert version_of("2.x") == (2, 0)
    assert judge({"version": "2.9.23", "jetstream": True}, "") == "2.9.23"


def test_only_the_first_of_several_brokers_is_looked_at() -> None:
    assert without_password("nats://a:b@one:4000,nats://two") == "nats://one:4000"
    assert without_password("one") == "nats://one:4222"
