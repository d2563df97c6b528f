from __future__ import annotations

import itertools

import pytest

from services.stt.turn_end import Completeness, Cue, Wait, leaning, wait

TEXTS: tuple[Completeness, ...] = ("complete", "unknown", "open")
PROBABILITIES = (0.95, None, 0.05)


def waited(text: Completeness, probability: float | None = None, *, pace_ms: float = 500) -> Wait:
    cue = Cue(pause=1, text=text, probability=probability)
    return wait(cue, pace_ms=pace_ms, shortest_ms=300, longest_ms=1200)


@pytest.mark.parametrize(
    ("probability", "leans"),
    [
        (None, "unsure"),
        (float("nan"), "unsure"),
        (0.5, "unsure"),
        (0.7, "over"),
        (1, "over"),
        (0.3, "going on"),
    ],
)
def test_a_model_has_an_opinion_only_where_it_is_sure(probability: float | None, leans: str) -> None:
    assert leaning(probability) == leans


def test_without_a_draft_the_longest_silence_is_waited_for() -> None:
    assert wait(None, pace_ms=300, shortest_ms=300, longest_ms=900) == Wait(silence_ms=900, by="limit")


def test_a_finished_sentence_in_a_finished_melody_waits_least_however_slow_the_person_is() -> None:
    assert waited("complete", 0.9, pace_ms=1200) == Wait(silence_ms=300, by="text")


def test_the_layer_that_decided_is_named() -> None:
    assert waited("complete").by == "text"
    assert waited("unknown", 0.9).by == "model"
    assert waited("unknown").by == "silence"
    assert waited("open").by == "limit"


def test_a_sentence_that_could_stop_here_waits_longer_when_the_voice_goes_on() -> None:
    assert waited("complete", 0.1).silence_ms > waited("complete").silence_ms


def test_better_words_never_wait_longer_nor_a_surer_model() -> None:
    for worse, better in itertools.pairwise(reversed(TEXTS)):
        for probability in PROBABILITIES:
            assert waited(better, probability).silence_ms <= waited(worse, probability).silence_ms
    for surer, less in itertools.pairwise(PROBABILITIES):
        for text in TEXTS:
            assert waited(text, surer).silence_ms <= waited(text, less).silence_ms


@pytest.mark.parametrize("pace_ms", [300, 500, 1200])
def test_every_wait_is_within_the_bounds(pace_ms: float) -> None:
    for text, probability in itertools.product(TEXTS, PROBABILITIES):
        assert 300 <= waited(text, probability, pace_ms=pace_ms).silence_ms <= 1200
