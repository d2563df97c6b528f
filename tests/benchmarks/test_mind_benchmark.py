"""The mind's benchmark measures what it says: its network in memory, its people, its tables."""

from __future__ import annotations

import asyncio
import math

import pytest

from benchmarks.mind_faults import Fate
from benchmarks.mind_house import Turn
from benchmarks.mind_network import CONNECT_S, NetworkLoop
from benchmarks.mind_report import fate_table, reached, share, times_table
from benchmarks.mind_trace import EVA, PLAIN, Run, measure
from services.gateway.chat_protocol import TurnDone
from tests.fakes.provider_latency import Trace

SEED = 2


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data.upper())
    writer.close()


def test_the_network_in_memory_carries_bytes_in_order_and_tells_the_end() -> None:
    async def talk() -> tuple[bytes, float]:
        clock = asyncio.get_running_loop().time
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        began_s = clock()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"one ")
        writer.write(b"two")
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        await writer.wait_closed()
        return heard, clock() - began_s

    with asyncio.Runner(loop_factory=NetworkLoop) as runner:
        heard, took_s = runner.run(talk())
    assert heard == b"ONE TWO"
    assert took_s == pytest.approx(CONNECT_S)


def test_the_network_in_memory_refuses_where_nobody_listens() -> None:
    with asyncio.Runner(loop_factory=NetworkLoop) as runner, pytest.raises(ConnectionRefusedError):
        runner.run(asyncio.open_connection("127.0.0.1", 9))


def test_with_the_plain_sdk_a_turn_takes_exactly_what_the_trace_says() -> None:
    run = measure(PLAIN, 12, [SEED])
    trace = Trace(seed=SEED)
    assert len(run.turns) == 12
    for turn in run.turns:
        assert turn.token_ms is not None
        assert turn.token_ms == pytest.approx(1000 * trace.first_token_s(turn.number), abs=1.0)
        assert turn.sound_ms is not None
        assert turn.sound_ms > turn.token_ms
    assert (run.requests, run.hedges) == (12, 0)


def test_the_same_seed_gives_the_same_turns_with_eva() -> None:
    first, second = measure(EVA, 24, [SEED]), measure(EVA, 24, [SEED])
    assert all(isinstance(turn.end, TurnDone) for turn in first.turns)
    assert max(first.sounds_ms) < 700.0  # a filler bridges the sick spell in which this seed begins
    assert first.tokens_ms == second.tokens_ms
    assert first.requests == second.requests >= 24


def test_late_turns_are_shares_and_a_turn_that_never_came_stays_in() -> None:
    samples = [100.0, 600.0, 900.0, math.inf]
    assert share(samples, 500.0) == 0.75
    row = times_table([("way", samples)]).splitlines()[-1]
    assert row == "| way | 4 | 900 | never | — | never | 75.0 % | 50.0 % |"


def test_what_was_reached_is_told_beside_the_aim() -> None:
    plain = Run(PLAIN, [Turn(0, 100.0, 200.0), Turn(1, 900.0, 1000.0)], requests=2)
    eva = Run(EVA, [Turn(0, 100.0, 200.0), Turn(1, 300.0, 400.0)], requests=3)
    said = reached(plain, eva)
    assert "0.0 % over 800 ms (plain 50.0 %)" in said
    assert "extra requests 50.0 %" in said


def test_a_fault_that_leaves_something_behind_is_not_as_aimed() -> None:
    def fate(*, clean_s: float | None = 0.1, sound_s: float | None = 0.5) -> Fate:
        return Fate(
            fault="500", are_all=True, got="answer", is_audible=sound_s is not None, sound_s=sound_s,
            end_s=1.0, left_open=0, left_busy=0, clean_s=clean_s,
        )  # fmt: skip

    found = [fate(), fate(clean_s=None), fate(sound_s=None), fate(sound_s=4.0)]
    assert [one.is_good for one in found] == [True, False, False, False]
    rows = fate_table(found).splitlines()[2:]
    assert rows[0] == "| 500 | both | answer | yes | 0.50 | 1.00 | 0 + 0 | yes |"
    assert rows[2].endswith("| no | — | 1.00 | 0 + 0 | **no** |")
