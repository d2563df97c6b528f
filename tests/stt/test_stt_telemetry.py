"""What the ears' worker counts of its utterances."""

from __future__ import annotations

import pytest

from shared.bus.memory import MemoryBroker
from shared.instruments import Instruments
from shared.messages import EarsFailed, Final
from shared.metrics import StageMetrics
from tests.fakes.transcribers import PitchTranscriber
from tests.shared.metrics_rules import families
from tests.stt.rig import HUM, person, serving, worker_of


def samples(metrics: StageMetrics, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for label, value in sorted(sample.labels.items()) if label != "le"): sample.value
        for family in families(metrics.page("")[0].decode()).values()
        for sample in family.samples
        if sample.name == name
    }


async def test_an_utterance_is_counted_with_its_endpoint_its_text_and_its_transcription(
    broker: MemoryBroker,
) -> None:
    metrics, engine = StageMetrics("stt"), PitchTranscriber(parallel=1)
    worker = worker_of(engine, instruments=Instruments(meter=metrics))
    async with serving(worker, broker.connect("stt")):
        metrics.watch(worker.facts)
        ann = person(broker)
        await ann.claim()
        engine.failures = 1
        await ann.say(HUM)
        failed = await ann.hears(EarsFailed)
        assert samples(metrics, "eva_stage_errors_total") == {(failed.code, "stt"): 1}
        assert samples(metrics, "eva_stage_duration_seconds_count")["failed", "stt"] >= 1
        assert samples(metrics, "eva_stage_first_output_seconds_count") == {("endpoint",): 0, ("stt",): 0}
        await ann.say(HUM)
        final = await ann.hears(Final)
        assert samples(metrics, "eva_stage_first_output_seconds_count") == {("endpoint",): 1, ("stt",): 1}
        waited_s = samples(metrics, "eva_stage_first_output_seconds_sum")["endpoint",]
        assert waited_s == pytest.approx(final.endpoint_ms / 1000)
        assert samples(metrics, "eva_stage_duration_seconds_count")["completed", "stt"] >= 1
        assert samples(metrics, "eva_stage_queue_wait_seconds_count")["stt",] >= 2
        assert samples(metrics, "eva_stage_inflight") == {("stt",): 1}
