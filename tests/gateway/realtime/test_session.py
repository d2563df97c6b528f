import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.chat_protocol import AudioIn, AudioOut, BargeIn, Tool, TurnTaking
from services.gateway.realtime.checks import MAX_INSTRUCTIONS_BYTES, MAX_TOOLS, MAX_TOOLS_BYTES
from services.gateway.realtime.events import (
    ErrorEvent,
    RealtimeError,
    ResponseCreate,
    SessionCreated,
    SessionUpdated,
    encode,
    parse,
)
from services.gateway.realtime.mapping import answers_by_itself, to_start, to_wish
from services.gateway.realtime.names import BadTable, Names, read_table
from services.gateway.realtime.session import MAX_DEPTH, as_wire, initial, overridden, update
from services.gateway.realtime.session_types import SessionConfig
from tests.gateway.realtime.strict import judged

FRESH = initial("sess_1", model="gpt-realtime", expires_at=1_800_000_000)
FUNCTION = {"type": "function", "name": "weather", "description": "Says it.", "parameters": {"a": None}}
VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": True,
    "interrupt_response": True,
}
SEMANTIC = {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True}


def told(config: SessionConfig) -> dict[str, Any]:
    """The session as a client reads it, out of a frame that a strict client takes."""
    session: dict[str, Any] = judged(encode(SessionUpdated(session=as_wire(config))))["session"]
    return session


def listening(**given: Any) -> dict[str, Any]:
    return {"audio": {"input": given}}


def speaking(**given: Any) -> dict[str, Any]:
    return {"audio": {"output": given}}


def at(session: dict[str, Any], path: str) -> Any:
    value: Any = session
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def test_a_fresh_session_is_told_whole() -> None:
    session = judged(encode(SessionCreated(session=as_wire(FRESH))))["session"]
    assert session == {
        "object": "realtime.session",
        "type": "realtime",
        "id": "sess_1",
        "model": "gpt-realtime",
        "expires_at": 1_800_000_000,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": VAD},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "eva", "speed": 1.0},
        },
    }


def test_a_transcription_session_has_an_input_only() -> None:
    session = told(update(FRESH, {"type": "transcription"}))
    assert (session["object"], session["type"]) == ("realtime.transcription_session", "transcription")
    assert set(session["audio"]) == {"input"}
    assert initial("s", model="m", expires_at=1, kind="transcription").type == "transcription"


CHANGES: list[tuple[list[dict[str, Any]], str, Any]] = [
    ([{"instructions": "Be brief."}], "instructions", "Be brief."),
    ([{"instructions": "Be brief."}, {"tools": []}], "instructions", "Be brief."),
    ([{"instructions": "Be brief."}, {"instructions": None}], "instructions", ""),
    ([{"type": None, "model": None, "id": "mine", "expires_at": 3, "object": "x"}], "id", "sess_1"),
    ([{"model": "gpt-realtime-2.1"}], "model", "gpt-realtime-2.1"),
    ([{"output_modalities": ["text"]}], "output_modalities", ["text"]),
    ([{"output_modalities": ["text"]}, {"output_modalities": None}], "output_modalities", ["audio"]),
    ([{"tools": [FUNCTION]}], "tools", [FUNCTION]),
    (
        [{"tools": [{"name": "f", "description": None, "parameters": None}]}],
        "tools",
        [{"type": "function", "name": "f", "description": "", "parameters": {}}],
    ),
    ([{"tools": [FUNCTION]}, {"tools": None}], "tools", []),
    ([{"tool_choice": "none"}], "tool_choice", "none"),
    (
        [{"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "weather"}}],
        "tool_choice",
        {"type": "function", "name": "weather"},
    ),
    ([{"max_output_tokens": 100}], "max_output_tokens", 100),
    ([{"max_output_tokens": 100}, {"max_output_tokens": "inf"}], "max_output_tokens", "inf"),
    ([{"tracing": "auto"}], "tracing", "auto"),
    ([{"tracing": "auto"}, {"tracing": None}], "tracing", None),
    (
        [{"tracing": {"workflow_name": "w", "metadata": {"a": 1}}}],
        "tracing",
        {"workflow_name": "w", "metadata": {"a": 1}},
    ),
    (
        [{"truncation": {"type": "retention_ratio", "retention_ratio": 0.8}}],
        "truncation",
        {"type": "retention_ratio", "retention_ratio": 0.8},
    ),
    ([{"reasoning": {"effort": "low"}}], "reasoning", {"effort": "low"}),
    ([{"prompt": {"id": "p"}, "include": ["x"], "unknown": 1}], "prompt", None),
    ([listening(turn_detection=None)], "audio.input.turn_detection", None),
    ([listening(turn_detection={"threshold": 0.7})], "audio.input.turn_detection", {**VAD, "threshold": 0.7}),
    ([listening(turn_detection={"type": "semantic_vad"})], "audio.input.turn_detection", SEMANTIC),
    (
        [listening(turn_detection={"type": "semantic_vad"}), listening(turn_detection={"eagerness": "low"})],
        "audio.input.turn_detection",
        {**SEMANTIC, "eagerness": "low"},
    ),
    (
        [
            listening(turn_detection={"type": "server_vad", "silence_duration_ms": 900}),
            listening(turn_detection={"type": "semantic_vad", "create_response": None}),
            listening(turn_detection={"type": "server_vad"}),
        ],
        "audio.input.turn_detection",
        VAD,
    ),
    (
        [listening(turn_detection={"idle_timeout_ms": 6000}), listening(turn_detection={"type": None})],
        "audio.input.turn_detection",
        {**VAD, "idle_timeout_ms": 6000},
    ),
    (
        [listening(turn_detection=None), listening(turn_detection={"type": "server_vad"})],
        "audio.input.turn_detection",
        VAD,
    ),
    (
        [listening(transcription={"model": "whisper-1", "language": "en", "delay": "low", "prompt": None})],
        "audio.input.transcription",
        {"model": "whisper-1", "language": "en"},
    ),
    (
        [listening(transcription={"model": "whisper-1"}), listening(transcription={"language": "fr"})],
        "audio.input.transcription",
        {"model": "whisper-1", "language": "fr"},
    ),
    ([listening(transcription={}), listening(transcription=None)], "audio.input.transcription", None),
    (
        [listening(noise_reduction={"type": "near_field"})],
        "audio.input.noise_reduction",
        {"type": "near_field"},
    ),
    ([listening(format={"type": "audio/pcmu", "rate": None})], "audio.input.format", {"type": "audio/pcmu"}),
    (
        [listening(format={"type": "audio/pcma"}), listening(format={"rate": 24000})],
        "audio.input.format",
        {"type": "audio/pcm", "rate": 24000},
    ),
    ([speaking(voice="ash", speed=1.2)], "audio.output.voice", "ash"),
    ([speaking(voice={"id": "voice_1"})], "audio.output.voice", "voice_1"),
    ([speaking(voice="ash"), speaking(speed=1.2)], "audio.output.voice", "ash"),
    ([speaking(speed=1.2), speaking(speed=None)], "audio.output.speed", 1.0),
    ([{"audio": None}, {"audio": {"input": None, "output": None}}], "audio.output.speed", 1.0),
]


@pytest.mark.parametrize(("patches", "path", "expected"), CHANGES, ids=range(len(CHANGES)))
def test_what_a_client_changes_is_merged_and_the_rest_stays(
    patches: list[dict[str, Any]], path: str, expected: Any
) -> None:
    config = FRESH
    for patch in patches:
        config = update(config, patch)
        told(config)
    assert at(told(config), path) == expected


PARTIAL = "session.audio.input.turn_detection"
REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    (listening(turn_detection={"threshold": 1.5}), "decimal_above_max_value", f"{PARTIAL}.threshold"),
    (listening(turn_detection={"threshold": -0.5}), "decimal_below_min_value", f"{PARTIAL}.threshold"),
    (listening(turn_detection={"threshold": "x"}), "invalid_type", f"{PARTIAL}.threshold"),
    (
        listening(turn_detection={"idle_timeout_ms": 10}),
        "integer_below_min_value",
        f"{PARTIAL}.idle_timeout_ms",
    ),
    (
        listening(turn_detection={"silence_duration_ms": 10_001}),
        "integer_above_max_value",
        f"{PARTIAL}.silence_duration_ms",
    ),
    (listening(turn_detection={"type": "magic"}), "invalid_value", f"{PARTIAL}.type"),
    (listening(turn_detection=3), "invalid_type", PARTIAL),
    (listening(format="pcm16"), "invalid_type", "session.audio.input.format"),
    (
        listening(format={"type": "audio/pcm", "rate": 16000}),
        "invalid_value",
        "session.audio.input.format.rate",
    ),
    (speaking(speed=1.6), "decimal_above_max_value", "session.audio.output.speed"),
    (speaking(voice=7), "invalid_type", "session.audio.output.voice"),
    (speaking(voice="x" * 300), "string_above_max_length", "session.audio.output.voice"),
    ({"audio": 3}, "invalid_type", "session.audio"),
    ({"audio": {"input": []}}, "invalid_type", "session.audio.input"),
    ({"type": "other"}, "invalid_value", "session.type"),
    ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens"),
    ({"max_output_tokens": 5000}, "integer_above_max_value", "session.max_output_tokens"),
    ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
    ({"output_modalities": []}, "invalid_value", "session.output_modalities"),
    ({"instructions": 3}, "invalid_type", "session.instructions"),
    (
        {"instructions": "x" * (MAX_INSTRUCTIONS_BYTES + 1)},
        "string_above_max_length",
        "session.instructions",
    ),
    ({"tools": 3}, "invalid_type", "session.tools"),
    ({"tools": [3]}, "invalid_type", "session.tools[0]"),
    ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
    ({"tools": [{"type": "mcp", "server_label": "x"}]}, "invalid_value", "session.tools[0].type"),
    ({"tools": [{"name": "not so"}]}, "invalid_value", "session.tools[0].name"),
    ({"tools": [FUNCTION, FUNCTION]}, "invalid_value", "session.tools[1].name"),
    (
        {"tools": [{"name": f"f{n}"} for n in range(MAX_TOOLS + 1)]},
        "array_above_max_length",
        "session.tools",
    ),
    (
        {"tools": [{"name": "f", "description": "x" * MAX_TOOLS_BYTES}]},
        "array_above_max_length",
        "session.tools",
    ),
    ({"tool_choice": {"type": "function", "name": "gone"}}, "invalid_value", "session.tool_choice"),
    ({"modalities": ["text"]}, "unknown_parameter", "session.modalities"),
    ({"input_audio_format": "pcm16"}, "unknown_parameter", "session.input_audio_format"),
    ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
]


@pytest.mark.parametrize(("patch", "code", "param"), REFUSED, ids=range(len(REFUSED)))
def test_a_value_that_cannot_be_is_refused_with_its_path(
    patch: dict[str, Any], code: str, param: str | None
) -> None:
    with pytest.raises(RealtimeError) as raised:
        update(FRESH, patch)
    assert (raised.value.detail.code, raised.value.detail.param) == (code, param)


@pytest.mark.parametrize("given", [{"threshold": 0.7}, {"type": None}, {}])
def test_turn_detection_that_was_off_is_turned_on_by_its_type_only(given: dict[str, Any]) -> None:
    off = update(FRESH, listening(turn_detection=None))
    with pytest.raises(RealtimeError) as raised:
        update(off, listening(turn_detection=given))
    detail = raised.value.detail
    assert (detail.code, detail.param) == ("missing_required_parameter", f"{PARTIAL}.type")


def test_what_is_nested_too_deep_is_refused() -> None:
    deep: Any = {}
    for _ in range(MAX_DEPTH + 1):
        deep = {"a": [deep]}
    with pytest.raises(RealtimeError):
        update(FRESH, {"tools": [{"name": "f", "parameters": deep}]})


def test_a_name_of_the_beta_is_answered_with_todays() -> None:
    with pytest.raises(RealtimeError, match=r"send audio\.output\.voice"):
        update(FRESH, {"voice": "alloy"})
    assert update(FRESH, {"voice": None}) == FRESH


def test_the_voice_stays_once_it_was_heard() -> None:
    spoken = update(FRESH, speaking(voice="ash"))
    assert update(spoken, speaking(voice="ash", speed=1.1), has_spoken=True) != spoken
    with pytest.raises(RealtimeError) as raised:
        update(spoken, speaking(voice="marin"), has_spoken=True)
    assert raised.value.detail.code == "cannot_update_voice"


def response(**given: Any) -> Any:
    event = parse(json.dumps({"type": "response.create", "response": given}))
    assert isinstance(event, ResponseCreate)
    return event.response


def test_a_response_has_its_own_settings_for_itself() -> None:
    config = update(
        FRESH,
        {
            "tools": [FUNCTION],
            "tool_choice": {"type": "function", "name": "weather"},
            **speaking(voice="ash"),
        },
    )
    assert overridden(config, None) == config
    assert overridden(config, response(instructions=None)) == config
    changed = overridden(
        config,
        response(
            instructions="Sing.",
            output_modalities=["text"],
            max_output_tokens=50,
            tools=[{"name": "other", "description": None}],
            audio={"output": {"voice": {"id": "v"}, "format": {"type": "audio/pcmu"}}},
        ),
    )
    assert (changed.instructions, changed.output_modalities, changed.max_output_tokens) == (
        "Sing.",
        ("text",),
        50,
    )
    assert [tool.name for tool in changed.tools] == ["other"]
    assert changed.tool_choice == "auto"
    assert (changed.audio.output.voice, changed.audio.output.speed) == ("v", 1.0)
    chosen = overridden(config, response(tool_choice="required"))
    assert (chosen.tool_choice, chosen.tools) == ("required", config.tools)
    assert overridden(config, response(audio={"output": None})) == config


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"max_output_tokens": 0}, "response.max_output_tokens"),
        ({"tools": [{"name": ""}]}, "response.tools[0].name"),
        ({"tool_choice": "maybe"}, "response.tool_choice"),
        ({"audio": {"output": {"format": {"type": "audio/mp3"}}}}, "response.audio.output.format.type"),
    ],
)
def test_a_mistake_in_a_response_is_told_with_its_path(given: dict[str, Any], param: str) -> None:
    with pytest.raises(RealtimeError) as raised:
        overridden(FRESH, response(**given))
    assert raised.value.detail.param == param


TURNS: list[tuple[dict[str, Any], TurnTaking, str, int]] = [
    ({}, TurnTaking(mode="silence"), "immediate", 500),
    (
        listening(turn_detection={"threshold": 1.0, "silence_duration_ms": 20}),
        TurnTaking(mode="silence", threshold=0.95),
        "immediate",
        100,
    ),
    (
        listening(turn_detection={"create_response": False, "interrupt_response": False}),
        TurnTaking(mode="silence", answers=False),
        "off",
        500,
    ),
    (
        listening(turn_detection={"type": "semantic_vad"}),
        TurnTaking(min_silence_ms=300, max_silence_ms=4000),
        "judge",
        500,
    ),
    (
        listening(turn_detection={"type": "semantic_vad", "eagerness": "high"}),
        TurnTaking(min_silence_ms=200, max_silence_ms=2000),
        "judge",
        500,
    ),
    (
        listening(turn_detection={"type": "semantic_vad", "eagerness": "low"}),
        TurnTaking(min_silence_ms=500, max_silence_ms=5000),
        "judge",
        500,
    ),
    (listening(turn_detection=None), TurnTaking(mode="manual", answers=False), "off", 500),
    ({"type": "transcription"}, TurnTaking(mode="silence", answers=False), "off", 500),
]


@pytest.mark.parametrize(("patch", "turns", "barge_in", "silence_ms"), TURNS, ids=range(len(TURNS)))
def test_turn_detection_is_told_in_evas_terms(
    patch: dict[str, Any], turns: TurnTaking, barge_in: Any, silence_ms: int
) -> None:
    config = update(FRESH, patch)
    start = to_start(config, Names())
    assert (start.turn_taking, start.barge_in, start.end_silence_ms) == (
        turns,
        BargeIn(mode=barge_in),
        silence_ms,
    )
    assert answers_by_itself(config) == turns.answers


@pytest.mark.parametrize(
    ("kind", "rate_hz", "out"),
    [
        ("audio/pcm", 24000, AudioOut(format="pcm", rate_hz=24000)),
        ("audio/pcmu", 8000, AudioOut(format="mulaw", rate_hz=8000)),
        ("audio/pcma", 8000, AudioOut(format="alaw", rate_hz=8000)),
    ],
)
def test_sound_formats_are_told_in_evas_terms(kind: str, rate_hz: Any, out: AudioOut) -> None:
    wanted = {"audio": {"input": {"format": {"type": kind}}, "output": {"format": {"type": kind}}}}
    start = to_start(update(FRESH, wanted), Names())
    assert (start.audio_in, start.audio_out) == (AudioIn(rate_hz=rate_hz), out)
    silent = update(FRESH, {**wanted, "output_modalities": ["text"]})
    assert to_start(silent, Names()).audio_out is None
    assert to_start(update(FRESH, {"type": "transcription"}), Names()).audio_out is None


@pytest.mark.parametrize(("told", "meant"), [("fr", "fr"), ("en-US", "en"), ("", ""), ("!", ""), (None, "")])
def test_the_language_is_the_transcriptions(told: str | None, meant: str) -> None:
    config = update(FRESH, listening(transcription={"language": told}))
    assert to_start(config, Names()).language == meant
    assert to_start(FRESH, Names()).language == ""


def test_instructions_and_functions_are_each_answers() -> None:
    config = update(FRESH, {"instructions": "Sing.", "tools": [FUNCTION], "max_output_tokens": 10})
    wish = to_wish(config, Names())
    assert (wish.persona, wish.max_tokens, wish.tool_choice, wish.hands_over) == ("Sing.", 10, "auto", True)
    assert wish.tools == (Tool(name="weather", description="Says it.", parameters={"a": None}),)
    forced = to_wish(update(config, {"tool_choice": {"type": "function", "name": "weather"}}), Names())
    assert forced.tool_choice == "weather"
    assert (to_wish(FRESH, Names()).persona, to_wish(FRESH, Names()).max_tokens) == (None, 0)


def test_the_speed_of_the_voice_is_each_answers_from_the_next_one_on() -> None:
    config = update(FRESH, speaking(speed=1.5))
    assert (to_wish(FRESH, Names()).speed, to_wish(config, Names()).speed) == (1.0, 1.5)
    assert to_wish(overridden(config, response(audio={"output": {"voice": "ash"}})), Names()).speed == 1.5
    assert to_start(config, Names()) == to_start(FRESH, Names())


def test_any_name_means_something() -> None:
    names = Names(
        voices=read_table("Alloy = siwis, mine=ryan,"), models=read_table("gpt-realtime=groq:fast, mini=EVA")
    )
    assert [
        names.voice(name) for name in ("alloy", "MINE ", "ash", "Marin", "siwis", "", "x" * 65, "a\nb")
    ] == [
        "siwis",
        "ryan",
        "",
        "",
        "siwis",
        "",
        "",
        "",
    ]
    assert [names.model(name) for name in ("gpt-realtime", "gpt-99", "mini")] == ["groq:fast", "", ""]
    assert to_wish(update(FRESH, {"model": "GPT-Realtime"}), names).model == "groq:fast"
    assert to_start(update(FRESH, speaking(voice="alloy")), names).voice == "siwis"


@pytest.mark.parametrize("table", ["alloy", "=eva", "alloy=", "a=b, A=c"])
def test_a_table_of_names_that_cannot_be_read_is_refused(table: str) -> None:
    with pytest.raises(BadTable):
        read_table(table)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
NAMES = sorted({"type", "audio", "voice", "id", *(name for name in as_wire(FRESH)), "reasoning", "tracing"})
INNER = sorted({*at(told(FRESH), "audio.input"), *at(told(FRESH), "audio.output"), "transcription"})
DETECTION = sorted({*VAD, "eagerness", "idle_timeout_ms", "rate"})
SIDES = st.dictionaries(
    st.sampled_from(INNER), JSON | st.dictionaries(st.sampled_from(DETECTION), JSON, max_size=4), max_size=4
)
PATCHES = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4) | st.fixed_dictionaries(
    {"audio": st.fixed_dictionaries({"input": SIDES, "output": SIDES})}
)
RIGHT = st.lists(st.sampled_from([patch for patches, _, _ in CHANGES for patch in patches]), max_size=6)


@given(PATCHES)
def test_no_patch_does_more_than_be_taken_or_refused(patch: dict[str, Any]) -> None:
    try:
        config = update(FRESH, patch)
    except RealtimeError as error:
        judged(encode(ErrorEvent(error=error.detail)))
    else:
        told(config)
        to_start(config, Names())
        to_wish(config, Names())


@given(RIGHT)
def test_any_session_that_patches_lead_to_is_one_of_the_openai_package(patches: list[dict[str, Any]]) -> None:
    config = FRESH
    for patch in patches:
        try:
            config = update(config, {key: value for key, value in patch.items() if key != "tool_choice"})
        except RealtimeError as error:
            assert config.audio.input.turn_detection is None
            assert error.detail.param == f"{PARTIAL}.type"  # noqa: PT017 - only then may it be refused
    told(config)
    assert update(config, {}) == config
