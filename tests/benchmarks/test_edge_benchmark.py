"""The benchmark of sessions per gateway counts what it says: its climb, its page, a run on real parts."""

import asyncio
import json
from dataclasses import replace

import pytest

from benchmarks.aims import missed
from benchmarks.edge import EVA_CHAT, EVA_REALTIME, STOCK, aims, eva
from benchmarks.edge_report import Measured, report
from benchmarks.edge_rungs import Callers, Rung, climb
from benchmarks.edge_talk import TALKS, moment, sound

RUNG = Rung(
    sessions=1,
    base=2.0,
    trips_p50=2.0,
    trips_p99=4.0,
    heard=1.0,
    open=1,
    cpu=0.01,
    memory=50_000.0,
    busy=0.1,
    lates_p99=1.0,
    opens_p50=3.0,
    opens_p99=9.0,
    readies_p50=5.0,
    readies_p99=12.0,
)


def at(sessions: int, *, limit: int) -> Rung:
    """What so many sessions meet at a server that carries ``limit``."""
    trips_p99 = 20.0 if sessions <= limit else 900.0
    memory = 50_000 + 100.0 * sessions
    return replace(
        RUNG, sessions=sessions, open=sessions, trips_p99=trips_p99, cpu=sessions / 100, memory=memory
    )


async def climbed(limit: int, first: int) -> list[Rung]:
    async def measure(sessions: int) -> Rung:
        return at(sessions, limit=limit)

    return await climb(measure, first, tell=lambda _: None)


@pytest.mark.parametrize(("limit", "first"), [(1, 4), (3, 4), (13, 4), (77, 20), (130, 20)])
async def test_the_climb_ends_within_a_tenth_below_what_is_carried(limit: int, first: int) -> None:
    rungs = await climbed(limit, first)
    best = Measured("", rungs, None).carried
    assert limit - max(1, 0.1 * limit) <= best <= limit
    assert len(rungs) < 12
    assert rungs[0].sessions == 1


async def test_one_hiccup_does_not_end_the_climb() -> None:
    tries: list[int] = []

    async def measure(sessions: int) -> Rung:
        tries.append(sessions)
        return at(sessions, limit=0 if tries == [1, 20] else 50)

    rungs = await climb(measure, 20, tell=lambda _: None)
    assert tries[:4] == [1, 20, 20, 40]
    assert [rung.sessions for rung in rungs][:3] == [1, 20, 40]
    assert Measured("", rungs, None).carried in range(45, 51)


async def test_a_server_that_carries_everything_is_climbed_to_the_top() -> None:
    assert (await climbed(10**6, 20))[-1].sessions == 2000


def test_lost_frames_and_lost_sessions_are_not_carried() -> None:
    assert RUNG.is_carried
    assert not replace(RUNG, trips_p99=53.0).is_carried
    assert not replace(RUNG, heard=0.98).is_carried
    assert not replace(RUNG, open=0).is_carried
    assert "callers were at their limit" in str(replace(RUNG, busy=0.9))


async def test_the_page_tells_how_many_times_as_many_and_what_an_aim_missed() -> None:
    connects = replace(RUNG, sessions=80, opens_p99=70.0)
    stock = Measured(STOCK, await climbed(10, 4), None)
    measured = [
        stock,
        Measured(EVA_CHAT, await climbed(100, 20), connects),
        Measured(EVA_REALTIME, [replace(RUNG, heard=0.5)], None),
    ]
    wanted = aims(measured)
    page = report(measured, wanted, stock)
    assert missed(wanted) == ["connecting while loaded, p99"]
    assert f"| {EVA_CHAT} | 100 | 10.0 | 1.00 | 100 | 2.0 |" in page
    assert f"| {EVA_REALTIME} | 0 |" in page
    assert f"| {EVA_CHAT} | 80 | 3.0 / 70.0 | 5.0 / 12.0 |" in page
    assert f"| {EVA_CHAT} | 160 | 0.0 | 898.0 | 100.0 | 160 | **no** |" in page


def test_each_way_of_talking_carries_the_moment() -> None:
    assert len(sound(7)) == 960
    assert moment(b"what stands before" + sound(123_456_789)) == 123_456_789
    assert moment(b'{"type":"audio"}') is None
    assert TALKS["protobuf"].heard(TALKS["protobuf"].say(11)) == 11
    said = TALKS["realtime"].say(2**40)
    assert json.loads(said)["type"] == "input_audio_buffer.append"
    assert TALKS["realtime"].heard(said) == 2**40
    assert TALKS["realtime"].heard(b"{}") is None


def is_whole(rung: Rung) -> bool:
    """Whether frames came back, and nobody was sent away."""
    return rung.heard > 0 and rung.open == 2 and rung.readies_p99 < float("inf")


@pytest.mark.process
async def test_frames_come_back_through_the_gateway_in_both_ways_of_talking() -> None:
    async with eva() as server:
        for dialect in ("chat", "realtime"):
            async with Callers.calling(dialect, server) as callers, asyncio.timeout(60):
                while not is_whole(rung := await callers.rung(2, probes=2, measure_s=0.5)):
                    pass  # on a machine that is too busy for the first frame, or for ears, to come in time
            assert rung.sessions == 2
            assert 0 < rung.trips_p50 <= rung.trips_p99 < float("inf")
            assert 0 < rung.opens_p50 < rung.readies_p99 < float("inf")
            assert rung.memory > 10_000
