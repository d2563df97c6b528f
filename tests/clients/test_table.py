"""The table says what the tests say: each cell has a test that ran, and the page is what came of them."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.clients import node, table
from tests.clients.compatibility import CLIENTS, FEATURES, NOT_OFFERED, Shown, outcome_of, problems


def test_the_page_is_what_the_last_run_said_and_its_tests_are_those_that_carry_the_marks() -> None:
    known = table.kept()
    assert table.PAGE.read_text(encoding="utf-8") == table.page(known), "python -m tests.clients.table"
    listed = subprocess.run(
        [sys.executable, "-m", "tests.clients.table", "--list"],
        cwd=node.ROOT, check=True, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    marks = {(each["test"], each["client"], tuple(each["features"])) for each in json.loads(listed.stdout)}
    kept = {(each.test, each.client, each.features) for each in table.known_shown(known)}
    assert marks == kept, "marks have changed: python -m tests.clients.table FILES"
    assert problems(table.known_shown(known)) == []


def whole() -> list[Shown]:
    cells = [(client, name) for client in CLIENTS for name in FEATURES if (client, name) not in NOT_OFFERED]
    return [Shown("test", client, (name,), "passed") for client, name in cells]


def test_a_cell_that_nothing_shows_or_that_cannot_be_is_a_problem() -> None:
    assert problems(whole()) == []
    assert problems(whole()[1:]) == [f"{('openai-python', 'typed turn')}: no test shows it"]
    wrong = [Shown("a", "curl", ("pcmu",)), Shown("b", "nobody", ("chat",)), Shown("c", "curl", ("dance",))]
    assert problems([*whole(), *wrong]) == [
        "b: no client nobody", "c: no feature dance",
        f"{('curl', 'pcmu')}: shown, and said to be not offered",
    ]  # fmt: skip


def test_a_cell_is_as_good_as_the_worst_of_its_tests() -> None:
    assert outcome_of(["passed", "passed"]) == "passed"
    assert outcome_of(["passed", "skipped"]) == "skipped"
    assert outcome_of(["skipped", "failed", "passed"]) == "failed"
    assert outcome_of([]) == "skipped"


def test_a_run_of_some_tests_leaves_what_was_known_of_the_others_and_forgets_tests_that_are_gone() -> None:
    known = {"shown": [
        {"test": "old", "client": "curl", "features": ["chat"], "outcome": "passed"},
        {"test": "gone", "client": "curl", "features": ["chat"], "outcome": "passed"},
        {"test": "again", "client": "curl", "features": ["chat"], "outcome": "passed"},
        {"test": "skipped", "client": "curl", "features": ["chat"], "outcome": "passed"},
    ]}  # fmt: skip
    marks = [Shown(name, "curl", ("speech",)) for name in ("old", "again", "skipped", "new")]
    ran = [Shown("again", "curl", ("speech",), "failed"), Shown("skipped", "curl", ("speech",), "skipped")]
    assert [(each.test, each.outcome, each.features) for each in table.merged(known, ran, marks)] == [
        ("again", "failed", ("speech",)), ("new", "skipped", ("speech",)), ("old", "passed", ("speech",)),
        ("skipped", "passed", ("speech",)),
    ]  # fmt: skip
