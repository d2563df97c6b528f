"""What a review makes of what it has seen."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from eva.review_facts import BreakSeen, CardSeen, InterruptionSeen, MemorySeen, Seen, TurnSeen
from eva.review_judge import judge
from eva.review_scale import Criterion
from services.gateway.chat_protocol import EngineReport, Timeline
from services.gateway.health import Health, StageHealth, Status, TurnHealth

TEXT = "I'm very well, thank you. How are you?"
FAST = Timeline(llm_ms=90, first_token_ms=60, tts_ms=80, response_ms=200)
ENGINES = {"stt": EngineReport(engine="whisper"), "tts": EngineReport(engine="piper")}
TYPED = TurnSeen(
    kind="typed", said="Hello!", heard="Hello!", text=TEXT, outcome="done", loudest_dbfs=-12, audio_s=2.5,
    response_ms=210, timeline=FAST, engines=ENGINES, back=TEXT,
)  # fmt: skip
SPOKEN = replace(TYPED, kind="spoken", said="Who are you?", heard="who are you", response_ms=290, back=None)
MUTE = replace(TYPED, loudest_dbfs=-70.0, response_ms=None, back=None)
LOST = TurnSeen(kind="typed", said="Hello!", error="nobody speaks")


UNHEARD = "not heard in the turn of the loss: llm"


def health(status: Status = "healthy", **stages: StageHealth) -> Health:
    ready = {name: StageHealth(state="ready", device="cpu") for name in ("stt", "llm", "tts")}
    return Health(
        status=status, groq=False, whisper=True, tts=True, database=True, broker=True, gpu=False,
        stages=ready | stages, turn=TurnHealth(), reasons=[] if status == "healthy" else ["it says so"],
    )  # fmt: skip


def seen(**others: Any) -> Seen:
    """A flawless EVA, but for what is told."""
    base = Seen(
        before=health(), after=health(), is_ready=True, connects_ms=[8.0] * 10,
        turns=[TYPED] * 8 + [SPOKEN] * 4,
        interruption=InterruptionSeen(
            stopped_ms=90, ended_ms=420, is_kept_told=True, kept="I'm very well,", text=TEXT
        ),
        memory=MemorySeen(is_known=True, is_resumed=True, is_known_after=True),
        breaks=[BreakSeen(stage="tts", outcome="done", is_audible=True, back_s=4.0)],
    )  # fmt: skip
    return replace(base, **others)


def row(saw: Seen, name: str) -> Criterion:
    (found,) = [one for one in judge(saw) if one.name == name]
    return found


def test_a_flawless_eva_has_all_points_of_a_hundred() -> None:
    rows = judge(seen())
    assert [one.name for one in rows] == [
        "health", "connect", "llm", "llm_spread", "first_token", "tts", "typed_response", "response",
        "audible", "said_back", "understood", "gpu", "interruption", "fallback", "memory",
    ]  # fmt: skip
    assert sum(one.of for one in rows) == 100
    assert {one.name: one.state for one in rows if one.state != "ok"} == {"gpu": "n/a"}
    assert [one.name for one in rows if one.points != one.of] == ["gpu"]


def timed(**parts: float) -> list[TurnSeen]:
    return [replace(TYPED, timeline=replace(Timeline(), **parts))]


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("llm", timed(llm_ms=1100)),
        ("first_token", timed(first_token_ms=1100)),
        ("tts", timed(tts_ms=700)),
        ("typed_response", [replace(TYPED, response_ms=1100)]),
        ("response", [replace(SPOKEN, response_ms=1100)]),
    ],
)
def test_a_stage_of_which_most_turns_take_twice_the_objective_is_a_blocker(
    name: str, turns: list[TurnSeen]
) -> None:
    found = row(seen(turns=turns), name)
    assert (found.state, found.points) == ("blocker", 0)
    assert "twice the objective" in found.why


def test_what_was_begun_ahead_of_time_says_nothing_of_the_mind_and_the_voice() -> None:
    ahead = replace(SPOKEN, timeline=Timeline(is_speculative=True))
    assert [row(seen(turns=[ahead, TYPED]), name).n for name in ("llm", "first_token", "tts")] == [1, 1, 1]


def test_a_mind_whose_slow_turns_are_far_from_its_usual_ones_loses_points() -> None:
    slow = timed(llm_ms=90 + 625)
    found = row(seen(turns=[TYPED] * 9 + slow), "llm_spread")
    assert (found.state, found.points) == ("short", 2.5)
    assert row(seen(turns=[LOST]), "llm_spread").state == "blocker"


def test_a_conversation_that_does_not_open_is_a_blocker() -> None:
    assert row(seen(connects_failed=1), "connect").why == "1 did not open"
    assert row(seen(connects_failed=1), "connect").state == "blocker"


@pytest.mark.parametrize(
    "bad", [MUTE, LOST, replace(TYPED, outcome="open"), replace(TYPED, loudest_dbfs=None)]
)
def test_one_answer_that_cannot_be_heard_is_a_blocker(bad: TurnSeen) -> None:
    found = row(seen(turns=[TYPED, TYPED, TYPED, bad]), "audible")
    assert (found.state, found.points, found.figures) == ("blocker", 7.5, {"mute_share": 0.25})
    assert "1 of 4 answers could not be heard" in found.why
    assert row(seen(turns=[]), "audible").state == "blocker"


@pytest.mark.parametrize(
    ("text", "audio_s", "fits"),
    [
        (TEXT, 2.5, True), (TEXT, 0.5, False), (TEXT, 30.0, False), (TEXT, 0.0, False),
        ("Hi.", 0.1, True), ("Hi.", 0.0, False),
    ],
)  # fmt: skip
def test_sound_lasts_as_long_as_its_text(text: str, audio_s: float, *, fits: bool) -> None:
    found = row(seen(turns=[replace(TYPED, text=text, audio_s=audio_s)]), "audible")
    assert (found.state, found.points) == (("ok", 10) if fits else ("short", 0))


@pytest.mark.parametrize(
    ("back", "is_degraded", "state"),
    [
        (TEXT, False, "ok"),
        ("very well, thank you. How are you?", False, "ok"),
        ("very well thank you", False, "short"),
        ("hello this is a test", False, "blocker"),
        ("hello this is a test", True, "short"),
        (" ", True, "blocker"),
    ],
)
def test_what_was_said_is_read_back_and_compared(back: str, state: str, *, is_degraded: bool) -> None:
    engines = {"stt": EngineReport(engine="sphinx", is_degraded=is_degraded)}
    saw = seen(turns=[replace(TYPED, back=back, engines=engines)])
    assert row(saw, "said_back").state == state
    heard = seen(turns=[replace(SPOKEN, said=TEXT, heard=back, engines=engines)])
    assert row(heard, "understood").state == state


def test_nothing_to_read_back_is_a_blocker() -> None:
    assert row(seen(turns=[MUTE, LOST]), "said_back").state == "blocker"


@pytest.mark.parametrize(
    ("status", "is_ready", "turns", "state", "why"),
    [
        ("healthy", True, [TYPED], "ok", ""),
        ("degraded", True, [TYPED], "ok", ""),
        ("healthy", True, [TYPED] * 9 + [MUTE], "blocker", "healthy, but 1 of 10 turns were not heard"),
        ("degraded", True, [TYPED] * 9 + [MUTE], "ok", ""),
        ("degraded", False, [TYPED, LOST, LOST], "blocker", "degraded, but most turns were not heard"),
        ("unhealthy", False, [LOST], "ok", ""),
        ("unhealthy", True, [LOST], "blocker", "ready, but no turn was heard"),
        ("unhealthy", True, [TYPED], "short", "unhealthy, though every turn was heard"),
        ("healthy", False, [TYPED], "short", "not ready, though every turn was heard"),
    ],
)
def test_health_is_held_against_what_turns_show(
    status: Status, turns: list[TurnSeen], state: str, why: str, *, is_ready: bool
) -> None:
    found = row(seen(after=health(status), is_ready=is_ready, turns=turns), "health")
    assert (found.state, found.why) == (state, why)
    assert found.points == {"ok": 10, "short": 5, "blocker": 0}[state]


def test_no_status_stands_without_a_reason() -> None:
    silent = replace(health("degraded"), reasons=[])
    assert row(seen(after=silent), "health").why == "degraded, without a reason"


def test_a_makeshift_that_served_where_the_best_was_told_is_a_lie() -> None:
    turns = [replace(TYPED, engines={"tts": EngineReport(engine="espeak-ng", is_degraded=True)})]
    assert "a makeshift (espeak-ng) served" in row(seen(turns=turns), "health").why
    told = health("degraded", tts=StageHealth(state="ready", is_degraded=True))
    assert row(seen(turns=turns, before=told), "health").state == "ok", "it changed while turns ran"


CUDA = StageHealth(state="ready", device_wanted="cuda", device="cuda:0")
FELL_BACK = StageHealth(state="ready", device_wanted="cuda", device="cpu")
BUSY = CardSeen(stage="tts", device="cuda:0", utilisation=0.4, memory_bytes=2e9, process_bytes=9e8, samples=7)


@pytest.mark.parametrize(
    ("stage", "cards", "state", "why"),
    [
        (CUDA, [BUSY], "ok", ""),
        (CUDA, [replace(BUSY, memory_bytes=None, process_bytes=None)], "ok", ""),
        (FELL_BACK, [], "blocker", "tts was asked to use a GPU and does not"),
        (CUDA, [], "blocker", "no figure of one is told"),
        (CUDA, [replace(BUSY, utilisation=0.0)], "blocker", "computed nothing during the turns"),
        (CUDA, [replace(BUSY, utilisation=None)], "blocker", "computed nothing during the turns"),
        (CUDA, [replace(BUSY, process_bytes=1e6)], "blocker", "holds no memory of it"),
    ],
)
def test_a_gpu_that_was_asked_for_and_does_not_work_is_a_blocker(
    stage: StageHealth, cards: list[CardSeen], state: str, why: str
) -> None:
    found = row(seen(after=health(tts=stage), cards=cards), "gpu")
    assert found.state == state
    assert why in found.why
    assert found.n == max((card.samples for card in cards), default=0)


def test_a_gpu_whose_figures_cannot_be_read_proves_nothing() -> None:
    assert row(seen(after=health(tts=CUDA), has_metrics=False), "gpu").state == "blocker"
    assert row(seen(has_metrics=False), "gpu").state == "n/a"


@pytest.mark.parametrize(
    ("change", "state", "points"),
    [
        ({"stopped_ms": 600.0}, "short", 3.75),
        ({"ended_ms": 2500.0}, "short", 4.5),
        ({"kept": "something else"}, "short", 3.5),
        ({"is_kept_told": False, "kept": ""}, "ok", 5),
        ({"stopped_ms": None}, "blocker", 0),
        ({"ended_ms": None}, "blocker", 0),
    ],
)
def test_eva_stops_when_she_is_spoken_to_and_knows_what_was_heard(
    change: dict[str, Any], state: str, points: float
) -> None:
    found = row(seen(interruption=replace(seen().interruption, **change)), "interruption")
    assert found.state == state
    assert found.points == pytest.approx(points)


@pytest.mark.parametrize(
    ("breaks", "state", "why"),
    [
        (None, "n/a", ""),
        ([], "blocker", "nothing could be killed"),
        ([BreakSeen(stage="llm", outcome="failed", back_s=5.0)], "short", UNHEARD),
        ([BreakSeen(stage="llm", outcome="done", is_audible=True, back_s=40)], "short", "slow to return"),
        ([BreakSeen(stage="tts", back_s=5.0)], "blocker", "tts: the turn in flight had no end"),
        ([BreakSeen(stage="tts", outcome="done")], "blocker", "tts: no turn was audible again"),
        ([BreakSeen(stage="stt", error="no worker")], "blocker", "stt: no worker"),
    ],
)  # fmt: skip
def test_a_killed_worker_costs_no_turn_its_end(breaks: list[BreakSeen] | None, state: str, why: str) -> None:
    found = row(seen(breaks=breaks), "fallback")
    assert (found.state, found.why) == (state, why)


def test_a_name_that_is_forgotten_is_a_blocker() -> None:
    found = row(seen(memory=MemorySeen(is_known=True, is_resumed=True)), "memory")
    assert (found.state, found.points) == ("blocker", 3)
    assert found.why == "a name was forgotten on a new socket"
    assert row(seen(memory=MemorySeen(error="EVA closed")), "memory").why == "EVA closed"
