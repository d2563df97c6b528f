"""How a review counts."""

from __future__ import annotations

import pytest

from eva.review_level import answer_of, first_audible, loudest_dbfs, stopped_s, voiced_from_s, voiced_until_s
from eva.review_limits import Limit, broken, parse_limit, parse_span
from eva.review_scale import (
    Criterion,
    latency,
    percentile,
    percentiles,
    ramp,
    word_errors,
    words_of,
)
from eva.wav import Sound
from services.gateway.chat_protocol import (
    Flush,
    Interrupted,
    Pause,
    Pong,
    Resume,
    ServerEvent,
    Timeline,
)
from shared.errors import BadInput

ROW = Criterion(name="tts", title="Voice", of=10)
LOUD, SILENT = b"\x00\x40" * 320, bytes(640)
"""20 ms each at 16 kHz."""


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1), (0.5, 5), (0.51, 6), (0.95, 10), (1.0, 10)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == expected


def test_a_99th_percentile_needs_a_hundred_values() -> None:
    assert percentiles([]) == {}
    assert percentiles([1.0] * 99) == {"p50": 1.0, "p95": 1.0}
    assert percentiles([float(value) for value in range(1, 101)]) == {"p50": 50, "p95": 95, "p99": 99}


@pytest.mark.parametrize(("value", "expected"), [(0, 1), (100, 1), (150, 0.5), (200, 0), (900, 0)])
def test_points_fall_on_a_line_from_whole_to_nothing(value: float, expected: float) -> None:
    assert ramp(value, 100, 200) == expected


@pytest.mark.parametrize(
    ("values_ms", "aim_ms", "points", "state", "why"),
    [
        ([200.0] * 20, None, 10, "ok", ""),
        ([300.0], None, 10, "ok", ""),
        ([200.0] * 18 + [450.0] * 2, None, 7.5, "short", "2 of 20 came later than 300 ms"),
        ([450.0], None, 5, "short", "1 of 1 came later than 300 ms"),
        ([600.0], None, 0, "short", "1 of 1 came later than 300 ms"),
        ([601.0], None, 0, "blocker", "the median of 601 ms is more than twice the objective"),
        ([150.0], 100.0, 9.5, "short", "above the aim"),
        ([100.0], 100.0, 10, "ok", ""),
        ([], None, 0, "blocker", "not one turn has shown it"),
    ],
)
def test_a_latency_is_held_against_its_objective(
    values_ms: list[float], aim_ms: float | None, points: float, state: str, why: str
) -> None:
    row = latency(ROW, values_ms, objective_ms=300, aim_ms=aim_ms)
    assert row.points == pytest.approx(points)
    assert (row.state, row.why) == (state, why)
    assert row.n == len(values_ms)


def test_figures_are_in_seconds_and_named_as_limits_name_them() -> None:
    row = latency(ROW, [100.0, 250.0], objective_ms=300)
    assert row.figures == {"tts_p50": 0.1, "tts_p95": 0.25}
    assert (row.found, row.wanted) == ("p50 100 · p95 250 ms", "< 300 ms")
    assert latency(ROW, [1.0], objective_ms=500, aim_ms=300).wanted == "< 500 ms, aim 300"


@pytest.mark.parametrize(
    ("reference", "heard", "expected"),
    [
        ("Hello, how are you?", "hello how are you", 0),
        ("It’s fine.", "it's fine", 0),
        ("one two three four", "one too three four", 0.25),
        ("one two three four", "one three four", 0.25),
        ("one two", "one and two", 0.5),
        ("one", "quite another thing", 3),
        ("one two", "", 1),
        ("", "word", 1),
        ("", "", 0),
    ],
)
def test_word_errors_are_swaps_losses_and_additions(reference: str, heard: str, expected: float) -> None:
    assert word_errors(reference, heard) == expected


def test_words_are_compared_without_case_and_signs() -> None:
    assert words_of("Ça va, d'accord? 12_a") == ["ça", "va", "d'accord", "12", "a"]


def test_a_voice_is_found_between_its_silences() -> None:
    sound = Sound(rate_hz=16000, pcm=SILENT * 3 + LOUD * 2 + SILENT * 5 + LOUD[:100])
    assert (voiced_from_s(sound), round(voiced_until_s(sound), 4)) == (0.06, round(sound.duration_s, 4))
    assert voiced_until_s(Sound(rate_hz=16000, pcm=SILENT + LOUD + SILENT)) == 0.04
    quiet = Sound(rate_hz=16000, pcm=SILENT)
    nothing = Sound(rate_hz=16000, pcm=b"")
    assert [voiced_from_s(quiet), voiced_until_s(quiet), loudest_dbfs(quiet)] == [0, 0, -120]
    assert [voiced_from_s(nothing), voiced_until_s(nothing), loudest_dbfs(nothing)] == [0, 0, None]
    assert loudest_dbfs(sound) == pytest.approx(-6.0, abs=0.1)


def test_an_answer_is_heard_from_its_first_audible_piece_on() -> None:
    assert first_audible([(1.0, SILENT), (2.0, LOUD), (3.0, LOUD)], 16000) == 2.0
    halves = [(1.0, SILENT + LOUD[:320]), (2.0, LOUD[:320])]
    assert first_audible(halves, 16000) == 2.0, "two pieces of 10 ms are 20 ms"
    assert first_audible([(1.0, SILENT)], 16000) is None
    assert answer_of(halves, 16000).pcm == SILENT + LOUD


HELD, DROPPED, GOES_ON = Pause(turn_id="t"), Flush(turn_id="t"), Resume(turn_id="t", verdict="noise")
ENDED = Interrupted(turn_id="t", reason="speech", heard="", timeline=Timeline())


@pytest.mark.parametrize(
    ("events", "quiet_s", "ended_s"),
    [
        ([HELD, Pong(), DROPPED], 1, 3),
        ([DROPPED, HELD], 1, 1),
        ([HELD, HELD, ENDED], 1, 3),
        ([HELD, GOES_ON, DROPPED], 3, 3),
        ([HELD, GOES_ON, HELD, DROPPED], 3, 4),
        ([HELD, GOES_ON], None, None),
        ([HELD], 1, None),
        ([], None, None),
    ],
)
def test_an_answer_is_quiet_where_it_was_held_and_not_resumed(
    events: list[ServerEvent], quiet_s: float | None, ended_s: float | None
) -> None:
    assert stopped_s(enumerate(events, 1)) == (quiet_s, ended_s)


@pytest.mark.parametrize(
    ("text", "figure", "sign", "bound"),
    [
        ("response_p95>0.5", "response_p95", ">", 0.5),
        (" tts_p50 >= 250ms ", "tts_p50", ">=", 0.25),
        ("mute_share>1%", "mute_share", ">", 0.01),
        ("score<80", "score", "<", 80),
        ("barge_in > .2 s", "barge_in", ">", 0.2),
        ("gpu_idle<=0.5", "gpu_idle", "<=", 0.5),
    ],
)
def test_a_limit_is_a_figure_a_comparison_and_a_bound(
    text: str, figure: str, sign: str, bound: float
) -> None:
    limit = parse_limit(text)
    assert (limit.figure, limit.sign) == (figure, sign)
    assert limit.bound == pytest.approx(bound)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("response_p95", "is no limit"),
        ("response_p95>", "is no limit"),
        ("response_p95=0.5", "is no limit"),
        ("response_p95>0.5kg", "is no limit"),
        ("", "is no limit"),
        ("respnse_p95>0.5", "no review has a figure 'respnse_p95'"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        parse_limit(text)


def test_limits_are_broken_by_what_was_measured_and_by_what_was_not() -> None:
    limits = [parse_limit(text) for text in ("response_p95>0.5", "score<80", "response_p99>1", "tts_p50>=1")]
    figures = {"response_p95": 0.5, "score": 79.5, "tts_p50": 1.0}
    assert broken(limits, figures) == [
        "score<80: it is 79.5", "response_p99>1: response_p99 was not measured", "tts_p50>=1: it is 1",
    ]  # fmt: skip
    assert Limit(figure="score", sign="<=", bound=80, text="score<=80").broken_by({"score": 81}) == ""


@pytest.mark.parametrize(("text", "span_s"), [("10s", 10), ("10m", 600), ("1.5h", 5400), (" 30s ", 30)])
def test_a_span_is_read(text: str, span_s: float) -> None:
    assert parse_span(text) == span_s


@pytest.mark.parametrize("text", ["10", "m", "9s", "-10m", "1d", ""])
def test_what_is_no_span_of_ten_seconds_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is no span"):
        parse_span(text)
