from eva.status import (
    ProcessState,
    announcement,
    as_json,
    engine_of,
    hint_of,
    is_whole,
    process_row,
    route_rows,
    stage_rows,
    why_not_ready,
)
from services.gateway.health import Health, ProcessHealth, ProcessStatus, RouteHealth, StageHealth, TurnHealth

VOICE = StageHealth(
    state="ready", engine="piper", device="cpu", model="amy", workers=1, is_degraded=False, hint=""
)
EARS = StageHealth(
    state="degraded", engine="sphinx", device="cpu", workers=1, is_degraded=True, hint="eva models pull"
)


def health(**changes: object) -> Health:
    fields: dict = {
        "status": "degraded", "groq": False, "whisper": False, "tts": True, "database": True, "broker": True,
        "gpu": False, "stages": {"stt": EARS, "llm": StageHealth(), "tts": VOICE}, "turn": TurnHealth(),
        "reasons": [],
    }  # fmt: skip
    return Health(**{**fields, **changes})


def process(**changes: object) -> ProcessState:
    fields: dict = {"name": "tts", "stage": "tts", "pid": 7, "state": "running", "restarts": 0, "reason": ""}
    return ProcessState(**{**fields, **changes})


def test_a_process_that_serves_shows_its_engine_and_device() -> None:
    assert process_row(process(), health()) == ["tts", "7", "ready", "piper amy on cpu", "0"]


def test_a_process_that_nobody_has_heard_of_yet_is_starting() -> None:
    assert process_row(process(), None) == ["tts", "7", "starting", "", "0"]
    assert process_row(process(stage="llm", name="llm"), health()) == ["llm", "7", "starting", "", "0"]


def test_the_gateway_has_no_engine() -> None:
    assert process_row(process(name="gateway", stage="gateway"), health()) == [
        "gateway",
        "7",
        "running",
        "",
        "0",
    ]


def test_a_process_that_died_shows_why() -> None:
    row = process_row(
        process(state="waiting", pid=None, restarts=2, reason="exit code 3: no voice"), health()
    )
    assert row == ["tts", "-", "waiting", "exit code 3: no voice", "2"]


def test_a_process_that_came_back_shows_its_engine_again() -> None:
    assert process_row(process(restarts=1, reason="killed by SIGKILL"), health())[3] == "piper amy on cpu"


def test_an_engine_without_a_device_is_named_alone() -> None:
    assert engine_of(StageHealth(engine="companion")) == "companion"
    assert engine_of(StageHealth()) == ""


def test_the_model_of_a_route_is_not_named_twice() -> None:
    assert engine_of(StageHealth(engine="groq:fast", model="fast", device="remote")) == "groq:fast on remote"
    assert engine_of(StageHealth(engine="groq:fast", model="slow")) == "groq:fast slow"


def test_the_table_says_what_serves_and_how_to_better_it() -> None:
    assert stage_rows(health()) == [
        ["stage", "engine", "device", "model", "to better it"],
        ["ears", "sphinx (degraded)", "cpu", "-", "eva models pull"],
        ["mind", "absent", "-", "-", "-"],
        ["voice", "piper", "cpu", "amy", "-"],
    ]
    assert stage_rows(health(stages={}))[3] == ["voice", "absent", "-", "-", "-"]


def test_a_makeshift_never_stands_without_a_hint() -> None:
    assert hint_of(StageHealth(is_degraded=True)) == "eva doctor"
    assert hint_of(VOICE) == ""


def test_the_announcement_holds_the_address_and_the_first_turn() -> None:
    assert announcement("http://x:1", health(), 41.6)[0] == (
        "EVA is ready at http://x:1 (degraded, first turn audible after 42 ms)"
    )
    assert announcement("http://x:1", health(), None)[0] == "EVA is ready at http://x:1 (degraded)"


def test_programs_get_the_same() -> None:
    said = as_json("http://x:1", health(), 41.6, [process()])
    assert said["url"] == "http://x:1"
    assert said["processes"] == {"tts": 7}
    assert said["stages"]["stt"]["hint"] == "eva models pull"


def test_what_is_not_ready_is_named_with_its_reason() -> None:
    dead = process(state="waiting", restarts=3, reason="exit code 3: no voice")
    assert why_not_ready([process(), dead], health(reasons=["No turn."])) == [
        "tts does not stay up (3 restarts): exit code 3: no voice",
        "No turn.",
    ]
    assert why_not_ready([], None) == ["The gateway does not answer."]
    assert why_not_ready([], health()) == ["No turn has been audible yet."]
    again = process(restarts=2, reason="exit code 1")
    assert why_not_ready([again], None)[0] == "tts does not stay up (2 restarts): exit code 1"


def test_the_table_of_routes_says_which_is_slow_and_what_is_left() -> None:
    sick = RouteHealth(
        route="groq:big", state="standby", breaker="half_open", workers={"closed": 2, "half_open": 1},
        first_token_p50_ms=97.6, first_token_p90_ms=1900, requests_left=0.5, tokens_left=0.196,
        detail="8 of 20 turns slower than 500 ms",
    )  # fmt: skip
    open_one = RouteHealth(route="groq:mid", state="standby", breaker="open", workers={"open": 1})
    absent = RouteHealth(route="openai:local", detail="no server found", hint="start Ollama")
    _, *rows = route_rows([sick, open_one, absent])
    assert rows == [
        ["groq:big", "standby", "half-open at 1 of 3", "98", "1900", "50 %", "20 %",
         "8 of 20 turns slower than 500 ms"],
        ["groq:mid", "standby", "open", "-", "-", "-", "-", "-"],
        ["openai:local", "absent", "-", "-", "-", "-", "-", "no server found → start Ollama"],
    ]  # fmt: skip


def test_eva_is_whole_when_she_is_ready_and_no_gateway_process_is_missing() -> None:
    def of(*statuses: ProcessStatus) -> Health:
        return health(
            processes={str(number): ProcessHealth(status=status) for number, status in enumerate(statuses)}
        )

    assert is_whole(of())
    assert is_whole(of("healthy", "degraded"))
    assert not is_whole(of("healthy", "unhealthy"))
    assert not is_whole(of("absent", "healthy"))
    assert not is_whole(health(status="unhealthy"))
