"""What the voice's worker counts of its segments, and the spans that it tells of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from services.tts.speech_metrics import SpeechMetrics
from shared.audio import Samples
from shared.instruments import Instruments
from shared.messages import AudioChunk, Failed, SegmentDone
from shared.metrics import StageMetrics
from shared.trace import TraceContext, within
from tests.fakes.tracer import Kept
from tests.fakes.voices import engine, raising, tone
from tests.shared.metrics_rules import families
from tests.tts.test_tts_worker import serving, spin_until

HERE = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", is_sampled=True)
WAIT_S = 60.0


class Figures:
    """All that a worker measures with."""

    def __init__(self) -> None:
        self.metrics, self.kept = StageMetrics("tts"), Kept()
        assert self.metrics.registry is not None
        self.measured: dict[str, Any] = {
            "instruments": Instruments(meter=self.metrics, tracer=self.kept),
            "speech": SpeechMetrics(self.metrics.registry),
        }

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """By the values of their labels but the stage."""
        return {
            tuple(value for label, value in sorted(sample.labels.items()) if label not in {"stage", "le"}): (
                sample.value
            )
            for family in families(self.metrics.page("")[0].decode()).values()
            for sample in family.samples
            if sample.name == name
        }

    def ended(self) -> dict[str, float]:
        return {key[0]: value for key, value in self.samples("eva_stage_duration_seconds_count").items()}


@pytest.fixture
def figures() -> Figures:
    return Figures()


async def test_a_segment_is_counted_with_its_computing_and_its_sound(figures: Figures) -> None:
    async with serving(engine("piper", device="cuda:0"), measured=figures.measured) as desk:
        with within(HERE):
            await desk.ask("one two three four five.", segment=4)
        await desk.until(lambda: desk.all(SegmentDone))
        await spin_until(lambda: figures.kept.spans)
    assert figures.ended() == {"completed": 1, "failed": 0, "cancelled": 0}
    assert figures.samples("eva_tts_audio_seconds_total") == {("cuda:0", "piper"): pytest.approx(0.5)}
    (computed_s,) = figures.samples("eva_tts_synthesis_seconds_total").values()
    assert 0 < computed_s < WAIT_S
    assert figures.samples("eva_stage_first_output_seconds_count") == {(): 1}
    assert figures.samples("eva_stage_queue_wait_seconds_count") == {(): 1}
    (span,) = figures.kept.spans
    assert (span.name, span.parent_id, span.error) == ("tts", HERE.span_id, "")
    attributes = {name: span.attributes[f"eva.{name}"] for name in ("segment", "engine", "device", "outcome")}
    assert attributes == {"segment": 4, "engine": "piper", "device": "cuda:0", "outcome": "completed"}
    assert span.attributes["eva.audio_ms"] == pytest.approx(500)


async def test_a_phrase_that_was_made_before_is_counted_as_cached(figures: Figures) -> None:
    async with serving(engine("piper"), measured=figures.measured) as desk:
        for number in range(3):
            await desk.ask("one moment.", segment=number, reuse="will")
            await desk.until(lambda number=number: len(desk.all(SegmentDone)) > number)  # type: ignore[misc]
        assert figures.samples("eva_tts_cached_segments_total") == {(): 2}
        await spin_until(lambda: figures.ended()["completed"] == 3)


async def test_a_failure_is_counted_by_its_code_and_told_in_its_span(figures: Figures) -> None:
    async with serving(engine("piper", raising), measured=figures.measured) as desk:
        with within(HERE):
            await desk.ask("one two three.")
        await desk.until(lambda: desk.all(Failed))
        await spin_until(lambda: figures.kept.spans)
    assert figures.ended() == {"completed": 0, "failed": 1, "cancelled": 0}
    (failed,) = desk.all(Failed)
    assert figures.samples("eva_stage_errors_total") == {(failed.code,): 1}
    assert [span.error for span in figures.kept.spans] == [failed.code]
    assert figures.samples("eva_tts_audio_seconds_total") == {}


async def test_a_segment_that_is_cancelled_counts_as_such(figures: Figures) -> None:
    release = threading.Event()

    def held(_: str) -> Iterator[Samples]:
        yield tone(0.5)
        release.wait(WAIT_S)

    async with serving(engine("piper", held), measured=figures.measured) as desk:
        await desk.ask("one two three.")
        await desk.until(lambda: desk.all(AudioChunk))
        await desk.cancel()
        async with asyncio.timeout(WAIT_S):
            await spin_until(lambda: figures.ended()["cancelled"] == 1)
        release.set()
    assert figures.ended() == {"completed": 0, "failed": 0, "cancelled": 1}
