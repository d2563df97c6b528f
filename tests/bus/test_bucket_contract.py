"""What buckets promise, on both buses."""

from __future__ import annotations

import asyncio
import time

import pytest

from shared.bus import Conflict, Entry
from shared.bus.wire import MAX_BYTES
from shared.errors import BadInput
from tests.bus.conftest import Heard, Place

TTL_S = 2.5


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
    bucket = await (await place.connect("a")).bucket("test", ttl_s=TTL_S)
    age_s = TTL_S
    while age_s >= TTL_S:  # a machine that stood still so long has shown nothing
        await bucket.put("k", b"1")
        await asyncio.sleep(0.6 * TTL_S)
        put_at = time.monotonic()
        await bucket.put("k", b"2")
        await asyncio.sleep(0.6 * TTL_S)
        found = await bucket.get("k")
        age_s = time.monotonic() - put_at
    assert found == b"2"
    async with asyncio.timeout(60):
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


async def test_a_key_has_letters_digits_dashes_underscores_and_equals_signs(place: Place) -> None:
    bucket = await (await place.connect("a")).bucket("test", ttl_s=60)
    await bucket.put("k_1=A-z", b"v")
    assert await bucket.get("k_1=A-z") == b"v"
    assert await bucket.get("k_1") is None


async def test_a_value_that_is_too_big_is_refused(place: Place) -> None:
    bucket = await (await place.connect("a")).bucket("test", ttl_s=60)
    with pytest.raises(BadInput):
        await bucket.put("k", b"x" * (MAX_BYTES + 1))


async def test_a_value_is_created_once(place: Place) -> None:
    one, two = await place.connect("a"), await place.connect("b")
    here, there = await one.bucket("test", ttl_s=60), await two.bucket("test", ttl_s=60)
    revision = await here.create("k", b"mine")
    with pytest.raises(Conflict):
        await there.create("k", b"yours")
    assert await there.get_entry("k") == Entry(b"mine", revision)


async def test_what_was_erased_can_be_created_again(place: Place) -> None:
    bucket = await (await place.connect("a")).bucket("test", ttl_s=60)
    first = await bucket.create("k", b"1")
    await bucket.delete("k")
    assert await bucket.get_entry("k") is None
    assert await bucket.create("k", b"2") > first


async def test_of_two_changes_made_for_the_same_revision_one_wins(place: Place) -> None:
    one, two = await place.connect("a"), await place.connect("b")
    here, there = await one.bucket("test", ttl_s=0), await two.bucket("test", ttl_s=0)
    revision = await here.create("k", b"0")
    outcomes = await asyncio.gather(
        here.update("k", b"1", revision), there.update("k", b"2", revision), return_exceptions=True
    )
    [lost] = [outcome for outcome in outcomes if not isinstance(outcome, int)]
    [won] = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert isinstance(lost, Conflict)
    assert won > revision
    assert await here.get_entry("k") == Entry(b"1" if outcomes[0] == won else b"2", won)


async def test_a_plain_put_makes_an_older_revision_worthless(place: Place) -> None:
    bucket = await (await place.connect("a")).bucket("test", ttl_s=60)
    revision = await bucket.create("k", b"1")
    await bucket.put("k", b"2")
    with pytest.raises(Conflict):
        await bucket.update("k", b"3", revision)
    with pytest.raises(Conflict):
        await bucket.update("nothing", b"3", revision)
    assert await bucket.get("k") == b"2"


async def test_a_bucket_names_its_keys(place: Place) -> None:
    bucket = await (await place.connect("a")).bucket("test", ttl_s=0)
    assert await bucket.keys() == []
    for key in ("b", "a", "c"):
        await bucket.put(key, b"v")
    await bucket.put("a", b"again")
    await bucket.delete("c")
    assert await bucket.keys() == ["a", "b"]


async def test_who_watches_is_told_of_changes_until_it_stops(place: Place) -> None:
    one, two = await place.connect("a"), await place.connect("b")
    here, there = await one.bucket("test", ttl_s=60), await two.bucket("test", ttl_s=60)
    heard = Heard()
    watch = await here.watch(heard)
    revision = await there.create("k", b"1")
    await there.update("k", b"2", revision)
    await there.put("other", b"3")
    assert await heard.until(3) == ["k", "k", "other"]
    await watch.close()
    last = Heard()
    still = await here.watch(last)
    await there.put("k", b"4")
    await last.until(1)
    assert heard.items == ["k", "k", "other"]
    await still.close()


@pytest.mark.parametrize("key", ["a.b", "*", ">"])
async def test_a_change_of_an_impossible_key_is_refused(place: Place, key: str) -> None:
    bucket = await (await place.connect("a")).bucket("test", ttl_s=60)
    for use in (bucket.get_entry(key), bucket.create(key, b"v"), bucket.update(key, b"v", 1)):
        with pytest.raises(BadInput):
            await use
