from __future__ import annotations

from benchmarks.voice_activity import measure


def test_both_ways_are_measured_on_the_same_frames() -> None:
    apart, together = measure(quick=True, sessions=(20,))
    assert (apart.is_batched, together.is_batched) == (False, True)
    assert apart.frames == together.frames == 20 * 15
    assert apart.frames_per_call == 1.0 < together.frames_per_call
    assert min(apart.core_percent_per_session, together.core_percent_per_session) > 0
    for cost in (apart, together):
        assert 0 < cost.wait_p50_ms <= cost.wait_p95_ms <= cost.wait_max_ms
