"""A finished review: score, verdict, what has changed, and how it is written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from eva.review_card import Machine, Review, changes, score
from eva.review_history import keep, last_review
from eva.review_report import as_json, change_lines, findings, markdown, rows, verdict_line
from eva.review_scale import Criterion
from shared.errors import BadInput

MACHINE = Machine(cpu="Quick | One", cores=2, load=0.5, system="Linux 6", python="3.11.2")
TTS = Criterion(
    name="tts", title="Voice", of=10, points=8, found="p50 100 ms", wanted="< 300 ms", n=12,
    figures={"tts_p50": 0.1, "tts_p95": 0.2},
)  # fmt: skip
MEMORY = Criterion(name="memory", title="Memory", of=5, points=5)
GPU = Criterion(name="gpu", title="GPU", of=5, state="n/a", found="no GPU was asked for")
REVIEW = Review(
    at="2026-01-02T03:04:05.678Z", url="http://127.0.0.1:8000", eva_version="1.2", machine=MACHINE,
    engines={"tts": "piper amy"}, rows=[TTS, MEMORY, GPU], took_s=33.3,
)  # fmt: skip
BLOCKED = replace(MEMORY, points=0, state="blocker", why="a name was forgotten")


def test_the_score_is_the_share_of_the_points_that_could_be_had() -> None:
    assert REVIEW.score == pytest.approx(100 * 13 / 15, abs=0.05)
    assert score([GPU]) == 0


def test_a_blocker_outweighs_any_score() -> None:
    assert REVIEW.verdict == "passed"
    assert replace(REVIEW, rows=[replace(TTS, points=5)]).verdict == "weak"
    blocked = replace(REVIEW, rows=[replace(TTS, of=100, points=100), BLOCKED])
    assert (blocked.verdict, [row.name for row in blocked.blockers]) == ("blocked", ["memory"])
    assert verdict_line(blocked).startswith("BLOCKED: memory · 95.2 of 100")


@pytest.mark.parametrize(
    ("now", "is_regression", "note"),
    [
        (TTS, False, ""),
        (replace(TTS, points=7.5), False, ""),
        (replace(TTS, points=6.5), True, ""),
        (replace(TTS, points=10), False, ""),
        (replace(TTS, state="blocker"), True, "ok → blocker"),
        (replace(TTS, state="short"), False, "ok → short"),
        (replace(TTS, figures={"tts_p50": 0.16, "tts_p95": 0.2}), True, "tts_p50 0.100 → 0.160 s"),
        (replace(TTS, figures={"tts_p50": 0.119, "tts_p95": 0.9}), False, ""),
        (replace(TTS, figures={}), False, ""),
    ],
)
def test_a_change_is_a_regression_where_points_or_time_are_clearly_lost(
    now: Criterion, note: str, *, is_regression: bool
) -> None:
    (change,) = changes([TTS, GPU], [now, GPU, MEMORY])
    assert (change.is_regression, change.note) == (is_regression, note)


def test_a_blocker_that_stays_is_no_new_regression_and_small_latencies_may_waver() -> None:
    (still,) = changes([BLOCKED], [BLOCKED])
    assert not still.is_regression
    before, now = (replace(TTS, figures={"tts_p50": value}) for value in (0.010, 0.059))
    assert not changes([before], [now])[0].is_regression


def test_regressions_are_named_before_everything_else() -> None:
    made = replace(REVIEW, changes=changes([TTS, MEMORY], [replace(TTS, points=9), BLOCKED]), since="then")
    assert change_lines(made) == ["regression: memory 5 → 0 (ok → blocker)", "better: tts 8 → 9"]
    assert [change.name for change in made.regressions] == ["memory"]
    same = replace(REVIEW, changes=changes([TTS, MEMORY], [replace(TTS, points=7.8), MEMORY]), since="then")
    assert change_lines(same) == ["a little worse: tts 8 → 7.8"]
    assert change_lines(same, is_whole=True)[1] == "same: memory 5 → 5"
    assert "- nothing has changed" in markdown(replace(REVIEW, since="then"))


def test_what_is_wrong_is_told_with_the_blockers_first() -> None:
    short = replace(TTS, state="short", why="2 of 12 came late")
    made = replace(REVIEW, rows=[short, BLOCKED], limits_broken=["score<80: it is 53.3"])
    assert findings(made) == [
        "BLOCKER: Memory: a name was forgotten", "short: Voice: 2 of 12 came late",
        "limit broken: score<80: it is 53.3",
    ]  # fmt: skip
    assert findings(made)[0] in markdown(made)


def test_a_row_shows_its_points_and_one_that_does_not_apply_none() -> None:
    assert rows(REVIEW)[0] == ["Voice", "8.0/10", "ok", "p50 100 ms", "< 300 ms", "12"]
    assert rows(REVIEW)[2][1:3] == ["-", "-"]


def test_the_markdown_opens_with_yaml_and_holds_a_table() -> None:
    made = replace(REVIEW, rows=[*REVIEW.rows, BLOCKED])
    _, front, body = markdown(made).split("---\n", 2)
    head = yaml.safe_load(front)
    assert head["verdict"] == "blocked"
    assert (head["blockers"], head["points"]["tts"], head["machine"]["cores"]) == (["memory"], 8, 2)
    assert head["figures"]["tts_p95"] == 0.2
    assert "| Voice | 8.0/10 | ok | p50 100 ms | < 300 ms | 12 |" in body
    assert "reviewed from: Quick | One, 2 cores" in body
    assert "## Since" not in body


def test_programs_get_what_follows_from_the_rows_too() -> None:
    shown = json.loads(json.dumps(as_json(REVIEW)))
    assert (shown["verdict"], shown["blockers"], shown["figures"]["score"]) == ("passed", [], 86.7)


def test_the_newest_review_of_the_same_eva_is_the_last_one(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reviews"
    assert last_review(folder, REVIEW.url) is None
    newer = replace(REVIEW, at="2026-01-02T03:05:00.000Z")
    for made in (REVIEW, newer, replace(REVIEW, at="2026-02-01T00:00:00.000Z", url="http://other:1")):
        page = keep(folder, made)
        assert page.read_text().startswith("---\nat:")
    (folder / "2027-broken.json").write_text("{")
    assert last_review(folder, REVIEW.url) == newer


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        keep(tmp_path / "file", REVIEW)
