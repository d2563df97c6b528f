"""What buckets promise, on both buses."""

from __future__ import annotations

import asyncio

import pytest

from shared.bus.wire import MAX_BYTES
from shared.errors import BadInput
from tests.bus.conftest import Place


async def test_a_bucket_keeps_the_last_value_of_each_key_for_all_connections(place: Place) -> None:
    one, two = await place.connect("a"), await place.connect("b")
    here, there = await one.bucket("test", ttl_s=60), await two.bucket("test", ttl_s=60)
    assert await here.get("k") is None
    await here.put("k", b"first")
    await here.put("k", b"\x00second\xff")
    await here.put("other", b"")
    assert await there.get("k") == b"\x00second\xff"
    assert await there.get("other") == b""


async def test_a_deleted_value_is_gone_and_says_whether_it_was_there(place: Place) -> None:
    bucket = await (await place.connect("a")).bucket("test", ttl_s=60)
    await bucket.put("k", b"v")
    await bucket.put("kk", b"v")
    assert await bucket.delete("k") is True
    assert await bucket.delete("k") is False
    assert await bucket.get("k") is None
    assert await bucket.get("kk") == b"v"
    await bucket.put("k", b"again")
    assert await bucket.get("k") == b"again"


async def test_buckets_do_not_see_one_another(place: Place) -> None:
    bus = await place.connect("a")
    one, two = await bus.bucket("one", ttl_s=60), await bus.bucket("two", ttl_s=60)
    await one.put("k", b"1")
    assert await two.get("k") is None


async def test_a_value_lives_for_its_time_counted_from_the_last_put(place: Place) -> None:
    bucket = await (await place.connect("a")).bucket("test", ttl_s=1.0)
    await bucket.put("k", b"1")
    await asyncio.sleep(0.6)
    await bucket.put("k", b"2")
    await asyncio.sleep(0.6)
    assert await bucket.get("k") == b"2"
    async with asyncio.timeout(3):
        while await bucket.get("k") is not None:  # noqa: ASYNC110 - no broker tells when a value ends
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("key", ["", "a.b", "*", ">", "a b", "a\r\nPUB x 0", "é", "x" * 129])
async def test_a_key_that_could_be_read_as_a_pattern_or_a_command_is_refused(place: Place, key: str) -> None:
    bucket = await (await place.connect("a")).bucket("test", ttl_s=60)
    await bucket.put("k", b"v")
    for use in (bucket.get(key), bucket.put(key, b"v"), bucket.delete(key)):
        with pytest.raises(BadInput):
            await use
    assert await bucket.get("k") == b"v"


async def test_a_value_that_is_too_big_is_refused(place: Place) -> None:
    bucket = await (await place.connect("a")).bucket("test", ttl_s=60)
    with pytest.raises(BadInput):
        await bucket.put("k", b"x" * (MAX_BYTES + 1))
