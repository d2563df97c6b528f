"""What providers say besides the text: rate limits, when to come back, pieces of calls, endless events."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from services.llm.engine import Limits
from services.llm.event_bound import EventBound
from services.llm.rate_limits import limits_of, retry_after_s, span_s
from services.llm.tool_deltas import MAX_ARGUMENT_CHARS, MAX_CALLS, BadCall, ToolDeltas
from shared.messages import ToolUse

NOW = datetime(2026, 10, 21, 7, 27, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2m59.56s", 179.56),
        ("7.66s", 7.66),
        ("120ms", 0.12),
        ("1h2m3s", 3723.0),
        ("1d", 86_400.0),
        ("250µs", 0.00025),
        (" 12 ", 12.0),
        ("-3", 0.0),
        ("", None),
        ("soon", None),
        ("3 weeks", None),
        ("inf", None),
    ],
)
def test_spans_are_read_as_providers_write_them(text: str, seconds: float | None) -> None:
    assert span_s(text) == (None if seconds is None else pytest.approx(seconds))


def rate_headers(of: str, limit: str, remaining: str, reset: str = "") -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{of}": limit,
        f"x-ratelimit-remaining-{of}": remaining,
        f"x-ratelimit-reset-{of}": reset,
    }


def test_the_scarcer_limit_says_when_it_is_whole_again() -> None:
    requests = rate_headers("requests", "1000", "900", "2m59.56s")
    tokens = rate_headers("tokens", "6000", "600", "7.66s")
    assert limits_of(requests | tokens) == Limits(requests=0.9, tokens=0.1, resets_s=7.66)
    assert limits_of(requests) == Limits(requests=0.9, tokens=None, resets_s=179.56)
    assert limits_of(tokens) == Limits(requests=None, tokens=0.1, resets_s=7.66)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        rate_headers("tokens", "0", "0"),
        rate_headers("tokens", "many", "9"),
        {"x-ratelimit-limit-tokens": "9"},
    ],
)
def test_headers_that_say_nothing_are_no_limits(headers: dict[str, str]) -> None:
    assert limits_of(headers) is None


def test_more_than_all_is_all() -> None:
    assert limits_of(rate_headers("tokens", "10", "20", "soon")) == Limits(tokens=1.0)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:28:00 -0000", 30.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_when_to_come_back_is_a_number_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": header}, NOW) == seconds


def delta(
    index: int | None = 0, call: str | None = None, name: str | None = None, arguments: object = None
) -> object:
    function = SimpleNamespace(name=name, arguments=arguments)
    return SimpleNamespace(index=index, id=call, function=function)


def gathered(*deltas: object) -> list[ToolUse]:
    """Fed one by one, as they stream."""
    made = iter(f"made{count}" for count in range(99))
    tools = ToolDeltas(lambda: next(made))
    return [*(use for one in deltas for use in tools.feed([one])), *tools.finish()]


def test_a_call_in_pieces_is_one_call() -> None:
    assert gathered(
        delta(call="a", name="look", arguments=""), delta(arguments='{"x"'), delta(arguments=":1}")
    ) == [ToolUse(id="a", name="look", arguments='{"x":1}')]


def test_a_call_is_whole_when_the_next_begins() -> None:
    tools = ToolDeltas(lambda: "made")
    assert tools.feed([delta(0, "a", "look", "{}")]) == []
    assert tools.is_open
    assert tools.feed([delta(1, "b", "listen", "{")]) == [ToolUse(id="a", name="look")]
    assert tools.feed([delta(1, arguments="}")]) == []
    assert tools.finish() == [ToolUse(id="b", name="listen")]
    assert tools.finish() == []
    assert not tools.is_open


def test_a_missing_id_is_made_and_missing_arguments_are_none() -> None:
    assert gathered(delta(name="look"), delta(1, name="listen", arguments={"x": 1})) == [
        ToolUse(id="made0", name="look", arguments="{}"),
        ToolUse(id="made1", name="listen", arguments='{"x": 1}'),
    ]


@pytest.mark.parametrize("index", [0, None])
def test_servers_that_do_not_count_their_calls_are_understood(index: int | None) -> None:
    assert gathered(
        delta(index, "a", "look", '{"x":'), delta(index, arguments="1}"), delta(index, "b", "listen", "{}")
    ) == [ToolUse(id="a", name="look", arguments='{"x":1}'), ToolUse(id="b", name="listen")]


def test_calls_with_neither_index_nor_id_are_told_apart_by_their_names() -> None:
    assert gathered(delta(None, name="look"), delta(None, name="listen")) == [
        ToolUse(id="made0", name="look"),
        ToolUse(id="made1", name="listen"),
    ]


@pytest.mark.parametrize(
    "deltas",
    [
        (delta(0, "a", "look"), delta(1, "b", "listen"), delta(0, arguments="{}")),
        (delta(0, "a"),),
        (delta(0, "a", "look", "x" * (MAX_ARGUMENT_CHARS + 1)),),
        tuple(delta(count, name="look") for count in range(MAX_CALLS + 1)),
    ],
)
def test_pieces_that_make_no_calls_are_refused(deltas: tuple[object, ...]) -> None:
    with pytest.raises(BadCall):
        gathered(*deltas)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_events_that_end_may_be_many(end: bytes, size: int) -> None:
    bound = EventBound(max_bytes=40)
    stream = (b"data: " + b"x" * 20 + end) * 50
    assert all(bound.feed(stream[at : at + size]) for at in range(0, len(stream), size))


def test_an_event_without_end_is_too_long() -> None:
    bound = EventBound(max_bytes=40)
    assert bound.feed(b"data: short\n\n")
    assert bound.feed(b"x" * 40)
    assert not bound.feed(b"x")
    lines = EventBound(max_bytes=40)
    assert not all(lines.feed(b"data: x\n") for _ in range(20)), "lines without an empty one are one event"


@pytest.mark.parametrize("size", [1, 5, 100])
def test_the_mark_of_the_end_is_seen_in_pieces(size: int) -> None:
    bound = EventBound()
    stream = b"data: {}\n\ndata: [DONE]\n\n"
    for at in range(0, len(stream), size):
        bound.feed(stream[at : at + size])
    assert bound.is_done
