"""The judgement of EVA's health: pure, on a clock of the test's own."""

import itertools

import pytest

from services.gateway.board import LOST_S, SILENT_S, Board, prove
from services.gateway.chat_protocol import EngineReport, Timeline
from services.gateway.health import Health
from services.gateway.turn_io import TurnReport
from shared.messages import EngineFact, Facts, Stage, State

ENGINES: dict[Stage, EngineFact] = {
    "stt": EngineFact(name="whisper", state="serving", device="cuda:0", model="base", model_sha256="ab"),
    "llm": EngineFact(name="groq", state="serving", model="fast"),
    "tts": EngineFact(name="piper", state="serving", device="cuda:0", model="voice"),
}


def facts(stage: Stage, state: State = "ready", worker: str = "one", **more: object) -> Facts:
    defaults = {"engines": [ENGINES[stage]], "slots": 4, "busy": 1, "last_success_s": 2.0}
    return Facts(stage=stage, worker=worker, state=state, pid=1, **{**defaults, **more})


def report(
    outcome: str = "completed", *, code: str = "", audio: bool = True, wanted: bool = True, mind: bool = True
) -> TurnReport:
    return TurnReport(
        outcome=outcome, code=code, is_spoken=False, is_canary=False, wanted_audio=wanted, has_audio=audio,
        timeline=Timeline(), engines={"llm": EngineReport(engine="groq")} if mind else {},
    )  # fmt: skip


class Observed:
    """A board at a time that moves on, with workers that go on telling."""

    def __init__(self) -> None:
        self.now = 100.0
        self.board = Board(version="1")
        self.board.is_broker_up = True
        self.told: dict[Stage, Facts] = {}

    def tell(self, *told: Facts) -> None:
        self.told.update({one.stage: one for one in told})
        self.pass_s(0)

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        for one in self.told.values():
            self.board.hear(one, self.now)
        self.board.database_answered(is_answered=True, now=self.now)

    def turn(self, *args: str, **more: object) -> None:
        self.board.turn_over(report(*args, **more), self.now)

    @property
    def health(self) -> Health:
        return self.board.report(self.now)


@pytest.fixture
def eva() -> Observed:
    observed = Observed()
    observed.tell(facts("stt"), facts("llm"), facts("tts"))
    observed.turn()
    return observed


def test_it_is_healthy_when_all_stages_are_ready_and_a_turn_was_audible(eva: Observed) -> None:
    health = eva.health
    assert (health.status, health.reasons) == ("healthy", [])
    assert (health.groq, health.whisper, health.tts, health.database, health.broker, health.gpu) == (
        True,
    ) * 6
    assert health.version == "1"
    stage = health.stages["stt"]
    assert (stage.engine, stage.device, stage.model, stage.model_sha256) == (
        "whisper",
        "cuda:0",
        "base",
        "ab",
    )
    assert (stage.workers, stage.slots, stage.busy, stage.last_success_age_s) == (1, 4, 1, 2.0)


def test_it_is_unhealthy_before_any_turn_was_audible() -> None:
    eva = Observed()
    eva.tell(facts("stt"), facts("llm"), facts("tts"))
    assert eva.health.status == "unhealthy"
    assert eva.health.reasons == ["No turn has been audible yet."]
    assert not eva.health.tts
    assert eva.board.idle_s(eva.now) == float("inf")


@pytest.mark.parametrize("stage", ["stt", "llm", "tts"])
def test_a_stage_whose_worker_falls_silent_makes_it_unhealthy_within_5_s(eva: Observed, stage: Stage) -> None:
    del eva.told[stage]
    eva.pass_s(SILENT_S - 0.1)
    assert eva.health.status == "healthy"
    eva.pass_s(0.2)
    assert eva.health.status == "unhealthy"
    assert f"({stage})" in eva.health.reasons[0]
    assert eva.health.stages[stage].state == "absent"
    assert not eva.board.is_up(stage, eva.now)


@pytest.mark.parametrize("state", ["starting", "failed", "draining"])
def test_a_worker_that_cannot_serve_counts_as_none(eva: Observed, state: State) -> None:
    broken = EngineFact(name="piper", state="failed", detail="no graph in voice.onnx")
    eva.tell(facts("tts", state, engines=[broken]))
    health = eva.health
    assert health.status == "unhealthy"
    assert (health.stages["tts"].workers, health.stages["tts"].state, health.tts) == (0, state, False)
    assert ("voice.onnx" in health.reasons[0]) == (state == "failed")


def test_a_failure_without_a_reason_is_reported_all_the_same(eva: Observed) -> None:
    eva.tell(facts("tts", "failed", engines=[]))
    assert eva.health.reasons[0] == "No worker for the voice (tts) is ready: it failed."


def test_a_broker_that_is_lost_is_the_one_reason_given(eva: Observed) -> None:
    eva.board.is_broker_up = False
    eva.told.clear()
    eva.now += 60
    assert eva.health.status == "unhealthy"
    assert eva.health.reasons == ["The broker is not reachable."]
    assert not eva.health.broker


def test_two_mute_turns_in_a_row_make_it_unhealthy_and_one_audible_turn_mends_it(eva: Observed) -> None:
    eva.turn("failed", code="no_audio", audio=False)
    assert eva.health.status == "degraded"
    assert not eva.board.was_audible
    eva.turn("failed", code="no_audio", audio=False)
    assert eva.health.status == "unhealthy"
    assert eva.health.reasons[0] == "The last 2 turns were mute (failed: no_audio)."
    eva.turn()
    assert eva.health.status == "degraded"
    eva.pass_s(61)
    assert eva.health.status == "healthy"


def test_a_canary_that_did_not_end_counts_as_mute(eva: Observed) -> None:
    eva.board.canary_failed("the self-test did not end", eva.now)
    eva.board.canary_failed("the self-test did not end", eva.now)
    assert eva.health.status == "unhealthy"
    assert eva.health.turn.last_outcome == "failed: the self-test did not end"


def test_turns_without_sound_and_interrupted_ones_prove_nothing(eva: Observed) -> None:
    eva.turn(audio=False, wanted=False)
    eva.turn("interrupted", code="message", audio=False)
    assert eva.health.status == "healthy"
    assert (eva.health.turn.recent.accepted, eva.health.turn.recent.audible) == (1, 1)


def test_a_spoken_apology_is_a_failure_and_no_proof(eva: Observed) -> None:
    eva.pass_s(10)
    eva.turn("failed", code="llm_failed")
    health = eva.health
    assert health.status == "degraded"
    assert health.reasons == ["1 of 2 turns failed in the last minute."]
    assert health.turn.last_audible_age_s == 10.0


@pytest.mark.parametrize(
    ("ended", "proof"),
    [
        (report(), "audible"),
        (report(mind=False), "none"),
        (report("failed"), "none"),
        (report("failed", audio=False), "mute"),
    ],
)
def test_what_a_turn_proves(ended: TurnReport, proof: str) -> None:
    assert prove(ended) == proof


def test_a_lesser_engine_degrades_it_and_the_way_to_a_better_one_is_said(eva: Observed) -> None:
    chain = [
        EngineFact(name="piper", state="absent", hint="eva models pull"),
        EngineFact(name="espeak", state="serving", device="cpu"),
    ]
    eva.tell(facts("tts", "degraded", engines=chain))
    health = eva.health
    assert health.status == "degraded"
    assert health.reasons == [
        "The voice (tts) is served by a lesser engine: espeak. To better it: eva models pull"
    ]
    assert health.stages["tts"].is_degraded
    eva.tell(facts("tts", "degraded", engines=chain[1:]))
    assert eva.health.reasons == ["The voice (tts) is served by a lesser engine: espeak."]


def test_a_device_that_was_asked_for_and_is_not_in_use_degrades_it(eva: Observed) -> None:
    on_cpu = EngineFact(name="piper", state="serving", device="cpu")
    eva.tell(facts("tts", device_wanted="cuda", engines=[on_cpu]))
    assert eva.health.reasons == ["The voice (tts) was to run on cuda and runs on cpu."]
    eva.tell(facts("tts", device_wanted="cuda"))
    assert eva.health.status == "healthy"


def test_a_worker_that_vanished_is_reported_for_a_while_and_then_forgotten(eva: Observed) -> None:
    eva.board.hear(facts("tts", worker="two"), eva.now)
    eva.pass_s(SILENT_S + 1)
    assert eva.health.status == "degraded"
    assert eva.health.reasons == ["A worker for the voice (tts) was lost 4 s ago: two."]
    eva.pass_s(LOST_S)
    assert eva.health.status == "healthy"


def test_a_worker_that_said_farewell_is_not_reported(eva: Observed) -> None:
    eva.board.hear(facts("tts", "draining", worker="two"), eva.now)
    eva.pass_s(SILENT_S + 1)
    assert eva.health.status == "healthy"


def test_of_several_workers_the_best_is_shown_and_slots_are_added(eva: Observed) -> None:
    eva.board.hear(facts("tts", "starting", worker="two", last_success_s=None, slots=9), eva.now)
    eva.board.hear(facts("tts", worker="three", last_success_s=0.5), eva.now)
    stage = eva.health.stages["tts"]
    assert (stage.state, stage.workers, stage.slots, stage.last_success_age_s) == ("ready", 2, 8, 0.5)


def test_a_worker_that_never_succeeded_has_no_age(eva: Observed) -> None:
    eva.tell(facts("tts", last_success_s=None, engines=[]))
    stage = eva.health.stages["tts"]
    assert (stage.last_success_age_s, stage.engine) == (None, "")


@pytest.mark.parametrize(("is_answered", "wait_s"), [(False, 0.0), (True, 11.0)])
def test_a_store_that_does_not_answer_degrades_it(eva: Observed, is_answered: bool, wait_s: float) -> None:
    eva.board.database_answered(is_answered=is_answered, now=eva.now)
    for one in eva.told.values():
        eva.board.hear(one, eva.now + wait_s)
    health = eva.board.report(eva.now + wait_s)
    assert (health.status, health.database) == ("degraded", False)


def test_turns_of_more_than_a_minute_ago_are_not_recent(eva: Observed) -> None:
    for _ in itertools.repeat(None, 3):
        eva.turn()
    eva.pass_s(61)
    assert eva.health.turn.recent.accepted == 0
    assert eva.board.idle_s(eva.now) == 61


def test_why_nobody_takes_a_session_is_told_as_far_as_it_is_known() -> None:
    observed = Observed()
    assert observed.board.outlook("stt", observed.now) == "gone"
    observed.tell(facts("stt", "starting", slots=0, busy=0))
    assert observed.board.outlook("stt", observed.now) == "starting"
    observed.tell(facts("stt", "failed"))
    assert observed.board.outlook("stt", observed.now) == "gone"
    observed.tell(facts("stt", slots=4, busy=4))
    assert observed.board.outlook("stt", observed.now) == "busy"
    observed.tell(facts("stt", slots=4, busy=3))
    assert observed.board.outlook("stt", observed.now) == "unknown"


def test_a_route_that_is_open_degrades_it_and_the_one_that_answers_is_named(eva: Observed) -> None:
    big = EngineFact(
        name="groq:big", state="standby", breaker="open", detail="8 of 20 turns slower than 500 ms"
    )
    small = EngineFact(name="groq:small", state="serving", breaker="closed", model="small")
    eva.tell(facts("llm", engines=[big, small]))
    health = eva.health
    assert health.status == "degraded"
    assert health.reasons == ["groq:big is open: 8 of 20 turns slower than 500 ms; groq:small answers."]
    mind = health.stages["llm"]
    assert (mind.engine, mind.model) == ("groq:small", "small")
    assert [(route.route, route.breaker) for route in mind.routes] == [
        ("groq:big", "open"),
        ("groq:small", "closed"),
    ]
    assert health.stages["tts"].routes == []
    assert health.groq


def test_groq_is_named_only_where_it_answers(eva: Observed) -> None:
    eva.tell(facts("llm", engines=[EngineFact(name="openai:http://groq.test/v1:big", state="serving")]))
    assert not eva.health.groq
    eva.tell(facts("llm", engines=[EngineFact(name="groq:big", state="serving")]))
    assert eva.health.groq


def test_the_routes_of_a_worker_that_is_gone_are_forgotten(eva: Observed) -> None:
    eva.tell(facts("llm", engines=[EngineFact(name="groq:big", state="serving", breaker="closed")]))
    assert [route.route for route in eva.board.routes(eva.now)] == ["groq:big"]
    del eva.told["llm"]
    eva.pass_s(SILENT_S + 0.1)
    assert eva.board.routes(eva.now) == []
    assert eva.health.reasons[0].startswith("No worker for the mind (llm) is ready")


def test_while_no_worker_of_the_mind_serves_nobody_is_said_to_answer(eva: Observed) -> None:
    big = EngineFact(name="groq:big", state="failed", breaker="open", detail="wrong key")
    small = EngineFact(name="groq:small", state="serving", breaker="closed")
    eva.tell(facts("llm", "starting", engines=[big, small]))
    assert "groq:big is open: wrong key." in eva.health.reasons
