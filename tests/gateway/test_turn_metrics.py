"""What is counted about taking turns, and how speculation is switched."""

from __future__ import annotations

import pytest

from services.gateway.metrics import Metrics
from services.gateway.settings import GatewaySettings
from services.gateway.turn_io import CutIn, Judged, Paused, Speculated
from shared.errors import ConfigError


def test_taking_turns_is_counted() -> None:
    metrics = Metrics()
    for note in (
        Paused(after_s=0.12),
        Judged(verdict="backchannel", after_s=0.45),
        Judged(verdict="interruption", after_s=0.6),
        Judged(verdict="interruption", after_s=0.3),
        CutIn(),
        Speculated(is_used=True),
        Speculated(is_used=True),
        Speculated(is_used=False),
    ):
        metrics.noted(note)
    lines = metrics.render().decode().splitlines()
    for line in (
        'eva_interruptions_total{verdict="backchannel"} 1.0',
        'eva_interruptions_total{verdict="interruption"} 2.0',
        'eva_pause_seconds_bucket{le="0.15"} 1.0',
        'eva_pause_seconds_bucket{le="0.1"} 0.0',
        'eva_interruption_decision_seconds_bucket{le="0.6"} 3.0',
        "eva_cut_ins_total 1.0",
        'eva_speculations_total{outcome="used"} 2.0',
        'eva_speculations_total{outcome="dropped"} 1.0',
    ):
        assert line in lines


@pytest.mark.parametrize(("said", "count"), [("on", 1), ("off", 0), ("3", 3)])
def test_speculation_is_switched_or_counted(monkeypatch: pytest.MonkeyPatch, said: str, count: int) -> None:
    monkeypatch.setenv("EVA_GATEWAY_SPECULATION", said)
    assert GatewaySettings.read().gateway_speculation == count


@pytest.mark.parametrize("said", ["perhaps", "-1"])
def test_another_wish_about_speculation_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("EVA_GATEWAY_SPECULATION", said)
    with pytest.raises(ConfigError, match="EVA_GATEWAY_SPECULATION"):
        GatewaySettings.read()
