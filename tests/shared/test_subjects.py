"""The subjects of the bus fit together: what is published falls under what is subscribed."""

from __future__ import annotations

import re

import pytest

from shared import queues, subjects
from shared.bus.wire import matches
from shared.messages import Stage

GW, SID = "01JG", "01JS"


def test_subjects_are_what_they_always_were() -> None:
    assert subjects.mic("W", SID) == "eva.v1.mic.W.01JS"
    assert subjects.work("llm", GW, SID) == "eva.v1.work.llm.01JG.01JS"
    assert subjects.event(GW, SID, "tts") == "eva.v1.evt.01JG.01JS.tts"
    assert subjects.cancel(GW, SID) == "eva.v1.cancel.01JG.01JS"
    assert subjects.fact("stt", "W") == "eva.v1.fact.stt.W"
    assert subjects.STT_OPEN == "eva.v1.stt.open"


@pytest.mark.parametrize("stage", ["llm", "tts"])
def test_work_falls_under_its_stage_its_queue_and_its_gateway_alone(stage: Stage) -> None:
    work = subjects.work(stage, GW, SID)
    assert matches(subjects.work_of_stage(stage), work)
    assert matches(subjects.work_of_gateway(stage, GW), work)
    assert not matches(subjects.work_of_gateway(stage, "other"), work)
    holders = [q.name for q in (queues.LLM_WORK, queues.TTS_WORK) if matches(q.subject, work)]
    assert holders == [f"eva-{stage}"]


def test_events_cancels_and_facts_fall_under_what_is_subscribed() -> None:
    assert matches(subjects.events_of_gateway(GW), subjects.event(GW, SID, "stt"))
    assert not matches(subjects.events_of_gateway("other"), subjects.event(GW, SID, "stt"))
    assert matches(subjects.CANCEL_ALL, subjects.cancel(GW, SID))
    assert matches(subjects.FACTS_ALL, subjects.fact("tts", "W"))


def test_the_session_is_read_from_events_and_work() -> None:
    assert subjects.session_of(subjects.event(GW, SID, "llm")) == SID
    assert subjects.session_of(subjects.work("tts", GW, SID)) == SID


def test_tokens_are_ulids_that_differ_and_sort_by_time() -> None:
    tokens = [subjects.new_token() for _ in range(1000)]
    assert len(set(tokens)) == 1000
    assert all(re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", token) for token in tokens)
    moments = [token[:10] for token in tokens]
    assert moments == sorted(moments)
