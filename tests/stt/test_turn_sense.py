from __future__ import annotations

import math

import numpy as np
import pytest

from services.stt import turn_sense
from services.stt.engine import RATE_HZ, EngineInfo, Pcm
from services.stt.turn_sense import HEARD, MAX_FAILURES, TurnSense
from shared.errors import EngineFailed

TALK = np.zeros(10 * RATE_HZ, np.float32)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still is no failure of the model."""
    monkeypatch.setattr(turn_sense, "TIMEOUT_S", 60.0)


class Opinion:
    """A turn model that says 0.9, or fails."""

    info = EngineInfo(name="opinion", model="ideal", device="cpu")

    def __init__(self, *, failures: int = 0) -> None:
        self.failures = failures
        self.heard: list[int] = []

    def probability(self, pcm: Pcm) -> float:
        self.heard.append(len(pcm))
        if self.failures:
            self.failures -= 1
            raise EngineFailed("opinion", "out of memory")
        return 0.9


async def test_the_model_hears_the_last_seconds_and_says_how_likely_the_person_is_done() -> None:
    model = Opinion()
    sense = TurnSense(model)
    assert await sense.probability(TALK) == 0.9
    assert model.heard == [HEARD]
    assert (sense.fact.name, sense.fact.state) == ("opinion", "serving")
    sense.close()


async def test_a_failure_is_no_opinion_and_the_next_answer_forgives_it() -> None:
    model = Opinion(failures=MAX_FAILURES - 1)
    sense = TurnSense(model, rest_s=math.inf)
    answers = [await sense.probability(TALK) for _ in range(MAX_FAILURES + 1)]
    assert answers == [None] * (MAX_FAILURES - 1) + [0.9, 0.9]
    sense.close()


async def test_a_model_that_keeps_failing_has_a_rest_and_says_so() -> None:
    model = Opinion(failures=99)
    sense = TurnSense(model, rest_s=math.inf)
    assert [await sense.probability(TALK) for _ in range(MAX_FAILURES + 5)] == [None] * (MAX_FAILURES + 5)
    assert len(model.heard) == MAX_FAILURES
    assert sense.fact.state == "failed"
    sense.close()


async def test_behind_its_rest_the_model_is_asked_again() -> None:
    sense = TurnSense(Opinion(failures=MAX_FAILURES), rest_s=0.0)
    assert [await sense.probability(TALK) for _ in range(MAX_FAILURES + 1)] == [None] * MAX_FAILURES + [0.9]
    assert sense.fact.state == "serving"
    sense.close()
