"""The benchmark measures what it says: a small run of its parts on real processes."""

from __future__ import annotations

import pytest

from benchmarks.figures import figure, table
from benchmarks.house import house
from benchmarks.turn import NO_NETWORK, ZERO, typed_turns
from tests.e2e.house import PATIENT


def test_percentiles_are_nearest_ranks_and_p99_needs_a_hundred_samples() -> None:
    few = figure("few", [3.0, 1.0, 2.0], note="n")
    assert (few.n, few.p50, few.p95, few.worst) == (3, 2.0, 3.0, 3.0)
    assert table([few], "ms").splitlines()[-1] == "| few | 3 | 2.00 | 3.00 | — | 3.00 | n |"
    many = figure("many", [float(number) for number in range(1, 101)])
    assert (many.p50, many.p95, many.p99) == (51.0, 96.0, 100.0)
    assert "100.00" in table([many], "ms")


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        figure("none", [])


@pytest.mark.process
async def test_zero_cost_engines_answer_through_the_real_services() -> None:
    async with house(ZERO, NO_NETWORK | PATIENT) as built:
        turns = await typed_turns(built, 6, 2)
        used = {name: built.cpu_s(name) for name in built.pids}
        resident_mib, own_mib = built.memory_mib("gateway")
    assert len(turns) == 6
    assert all(0 < turn.first_audio_ms <= turn.total_ms for turn in turns)
    assert all(turn.done["engines"]["tts"]["engine"] == "zero" for turn in turns)
    assert all(seconds > 0 for seconds in used.values())
    assert 10 < own_mib <= resident_mib
