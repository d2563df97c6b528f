"""A worker's figures: what is counted, what is read from its facts, and how they are named."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families

from services.tts.speech_meter import UNMETERED
from services.tts.speech_metrics import SpeechMetrics
from shared.instruments import make_instruments
from shared.labels import MOST, OTHER, Labels
from shared.messages import EngineFact, Facts, Stage
from shared.metrics import StageMetrics
from tests.shared.metrics_rules import check, check_by_promtool, families

STAGES: tuple[Stage, ...] = ("stt", "llm", "tts")
PIPER = EngineFact(name="piper", model="en_US-ryan-high", device="cuda:0", state="serving")
ESPEAK = EngineFact(name="espeak", device="cpu", state="standby")


def facts(stage: Stage = "tts", **fields: object) -> Facts:
    known: dict[str, object] = {"engines": [PIPER, ESPEAK], "slots": 4, "busy": 3, "device_wanted": "cuda"}
    return Facts(stage=stage, worker="W", state="ready", pid=1, **{**known, **fields})  # type: ignore[arg-type]


def busy(stage: Stage) -> str:
    """The page of a worker to which everything has happened."""
    metrics = StageMetrics(stage)
    numbers = {
        "gpu_utilisation": 0.5, "gpu_memory_bytes": 2e9, "gpu_memory_total_bytes": 8e9,
        "gpu_process_memory_bytes": 1e9, "gpu_temperature": 60,
    }  # fmt: skip
    metrics.watch(lambda: facts(stage, numbers=numbers))
    metrics.lag_s = 0.002
    metrics.taken_up(0.02, delivery=2)
    metrics.first_output(0.12)
    if stage == "stt":
        metrics.first_output(0.5, "endpoint")
    metrics.ended(0.4, "completed")
    metrics.failed("engine_failed")
    if stage == "tts":
        assert metrics.registry is not None
        speech = SpeechMetrics(metrics.registry)
        speech.spoke("piper", "cuda:0", computed_s=0.5, sound_s=2.0)
        speech.cached()
    return metrics.page("")[0].decode()


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_keeps_to_the_rules_for_names_and_labels(stage: Stage) -> None:
    check(busy(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_promtool_has_nothing_to_say_about_a_worker(stage: Stage) -> None:
    check_by_promtool(busy(stage))


def test_what_happens_to_work_is_counted() -> None:
    lines = busy("tts").splitlines()
    for line in (
        'eva_stage_queue_wait_seconds_sum{stage="tts"} 0.02',
        'eva_stage_redeliveries_total{stage="tts"} 1.0',
        'eva_stage_first_output_seconds_bucket{le="0.1",stage="tts"} 0.0',
        'eva_stage_first_output_seconds_bucket{le="0.15",stage="tts"} 1.0',
        'eva_stage_duration_seconds_count{outcome="completed",stage="tts"} 1.0',
        'eva_stage_duration_seconds_count{outcome="cancelled",stage="tts"} 0.0',
        'eva_stage_errors_total{reason="engine_failed",stage="tts"} 1.0',
        'eva_tts_synthesis_seconds_total{device="cuda:0",provider="piper"} 0.5',
        'eva_tts_audio_seconds_total{device="cuda:0",provider="piper"} 2.0',
        "eva_tts_cached_segments_total 1.0",
    ):
        assert line in lines, line


def test_the_ears_tell_the_end_of_a_turn_from_its_text() -> None:
    lines = busy("stt").splitlines()
    assert 'eva_stage_first_output_seconds_sum{stage="endpoint"} 0.5' in lines
    assert 'eva_stage_first_output_seconds_sum{stage="stt"} 0.12' in lines


def test_what_is_true_now_is_read_when_it_is_asked_for() -> None:
    metrics, now = StageMetrics("tts"), [facts()]
    metrics.watch(lambda: now[0])
    lines = metrics.page("")[0].decode().splitlines()
    for line in (
        'eva_stage_inflight{stage="tts"} 3.0',
        'eva_stage_slots{stage="tts"} 4.0',
        'eva_stage_gpu_missing{stage="tts"} 0.0',
        'eva_model_info{device="cuda:0",model="en_US-ryan-high",provider="piper",stage="tts"} 1.0',
        'eva_worker_state{stage="tts",state="ready"} 1.0',
        'eva_worker_state{stage="tts",state="failed"} 0.0',
    ):
        assert line in lines, line
    assert not [line for line in lines if "espeak" in line], "what only stands by does not serve"
    now[0] = facts(engines=[EngineFact(name="espeak", device="cpu", state="serving")], busy=0)
    page = metrics.page("")[0].decode()
    assert 'eva_stage_gpu_missing{stage="tts"} 1.0' in page
    assert 'eva_stage_inflight{stage="tts"} 0.0' in page
    assert "piper" not in page


@pytest.mark.parametrize(
    ("wanted", "engines", "is_missing"),
    [
        ("cuda", [ESPEAK], 0.0),
        ("auto", [EngineFact(name="espeak", device="cpu", state="serving")], 0.0),
        ("cuda:1", [EngineFact(name="espeak", device="cpu", state="serving"), PIPER], 1.0),
    ],
)
def test_a_gpu_is_missing_where_one_was_asked_for_and_another_device_serves(
    wanted: str, engines: list[EngineFact], is_missing: float
) -> None:
    metrics = StageMetrics("tts")
    metrics.watch(lambda: facts(device_wanted=wanted, engines=engines))
    (sample,) = families(metrics.page("")[0].decode())["eva_stage_gpu_missing"].samples
    assert sample.value == is_missing


def test_however_many_reasons_routes_and_engines_there_are_the_labels_are_bounded() -> None:
    metrics = StageMetrics("llm")
    for number in range(3 * MOST):
        metrics.failed(f"reason {number}")
    engines = [
        EngineFact(name=f"openai:{number}", model=str(number), state="serving") for number in range(40)
    ]
    metrics.watch(lambda: facts("llm", engines=engines))
    found = families(metrics.page("")[0].decode())
    reasons = {
        sample.labels["reason"]: sample.value
        for sample in found["eva_stage_errors_total"].samples
        if sample.name.endswith("_total")
    }
    assert (len(reasons), reasons[OTHER]) == (MOST + 1, 2 * MOST)
    assert len(found["eva_model_info"].samples) == MOST
    assert {sample.labels["provider"] for sample in found["eva_model_info"].samples} == {"openai"}


def test_a_known_value_keeps_its_label() -> None:
    labels = Labels(most=1)
    assert [labels.of(value) for value in ("a", "b", "a")] == ["a", OTHER, "a"]


def test_openmetrics_comes_to_who_asks_for_it() -> None:
    metrics = StageMetrics("llm")
    page, content_type = metrics.page("application/openmetrics-text; version=1.0.0, text/plain; q=0.5")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "eva_stage_queue_wait_seconds" in {family.name for family in open_families(page.decode())}
    assert metrics.page("*/*")[1] == "text/plain; version=0.0.4; charset=utf-8"


def test_nothing_is_counted_where_nobody_can_read_it() -> None:
    assert make_instruments("llm", metrics_port=0).meter.registry is None
    assert make_instruments("llm", metrics_port=1).meter.registry is not None
    UNMETERED.spoke("piper", "cpu", computed_s=1, sound_s=1)
    UNMETERED.cached()
