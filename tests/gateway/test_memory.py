"""The conversations' memory over the in-memory bus."""

import asyncio

import pytest

from services.gateway.memory import MAX_ERASED, Memory, check_session_id
from shared.bus.memory import MemoryBroker, MemoryBus
from shared.errors import BadInput, BusDown
from shared.messages import ChatMessage, SessionRecord
from shared.subjects import SESSIONS_BUCKET

RECORD = SessionRecord(turns=2, language="fr", messages=[ChatMessage(role="user", content="Bonjour")])


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBroker().connect("gateway")


@pytest.fixture
def memory(bus: MemoryBus) -> Memory:
    return Memory(bus, ttl_s=60)


async def test_what_was_saved_is_loaded_by_another_gateway(bus: MemoryBus, memory: Memory) -> None:
    await memory.save("kitchen", RECORD)
    assert await Memory(bus, ttl_s=60).load("kitchen") == RECORD
    assert await memory.load("cellar") is None


async def test_erasing_holds_against_a_session_that_goes_on(memory: Memory) -> None:
    await memory.save("kitchen", RECORD)
    assert await memory.erase("kitchen")
    await memory.save("kitchen", RECORD)
    assert await memory.load("kitchen") is None
    assert not await memory.erase("kitchen")


async def test_after_loading_anew_an_erased_session_is_kept_again(memory: Memory) -> None:
    await memory.erase("kitchen")
    await memory.load("kitchen")
    await memory.save("kitchen", RECORD)
    assert await memory.load("kitchen") == RECORD


async def test_a_record_that_cannot_be_read_is_counted_and_counts_as_none(
    bus: MemoryBus, memory: Memory
) -> None:
    bucket = await bus.bucket(SESSIONS_BUCKET, ttl_s=60)
    for number, data in enumerate([b"", b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa5turns\xa1x"], start=1):
        await bucket.put("kitchen", data)
        assert await memory.load("kitchen") is None
        assert memory.malformed == number


@pytest.mark.parametrize("sid", ["", "a.b", "*", ">", "a b", "é", "x" * 65, "../x", "a\n"])
async def test_an_id_that_could_reach_elsewhere_is_bad_input(memory: Memory, sid: str) -> None:
    for attempt in (memory.load(sid), memory.erase(sid), memory.save(sid, RECORD)):
        with pytest.raises(BadInput) as refused:
            await attempt
        assert refused.value.param == "session_id"


def test_an_id_that_can_stand_in_a_subject_is_returned() -> None:
    assert check_session_id("aZ09_-" + "x" * 58) == "aZ09_-" + "x" * 58


async def test_a_store_that_is_not_reachable_raises(bus: MemoryBus, memory: Memory) -> None:
    await memory.probe()
    bus.broker.go_down()
    for attempt in (memory.load("a"), memory.save("a", RECORD), memory.erase("a"), memory.probe()):
        with pytest.raises(BusDown):
            await attempt


class SlowBucket:
    """A store that takes its time with a record."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    async def put(self, key: str, value: bytes) -> None:
        self.asked.set()
        await self.answer.wait()
        self.values[key] = value

    async def delete(self, key: str) -> bool:
        return self.values.pop(key, None) is not None


class BusWith:
    def __init__(self, bucket: SlowBucket) -> None:
        self._bucket = bucket

    async def bucket(self, name: str, *, ttl_s: float) -> SlowBucket:
        return self._bucket


async def test_what_was_on_its_way_while_the_session_was_erased_does_not_stay() -> None:
    bucket = SlowBucket()
    memory = Memory(BusWith(bucket), ttl_s=60)  # type: ignore[arg-type]
    saving = asyncio.create_task(memory.save("kitchen", RECORD))
    await asyncio.wait_for(bucket.asked.wait(), 60)
    await memory.erase("kitchen")
    bucket.answer.set()
    await saving
    assert bucket.values == {}


async def test_of_the_erased_a_bounded_number_is_kept_in_mind(memory: Memory) -> None:
    for number in range(MAX_ERASED + 1):
        await memory.erase(f"s{number}")
    await memory.save("s0", RECORD)
    await memory.save("s1", RECORD)
    assert (await memory.load("s0"), await memory.load("s1")) == (RECORD, None)
