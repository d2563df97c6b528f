"""Runs the tests that show what clients can do, keeps what came of it, and writes ``docs/compatibility.md``.

``python -m tests.clients.table`` runs them all; arguments are pytest's, so that files can be run one by one.
``--list`` runs none and prints, in JSON, which test shows which cells. A test that was skipped leaves
what was known of it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.clients import node
from tests.clients.compatibility import CLIENTS, Outcome, Shown, render

PAGE = node.ROOT / "docs" / "compatibility.md"
KEPT = Path(__file__).parent / "outcomes.json"
PLACES = (Path(__file__).parent, node.ROOT / "tests" / "e2e")


@dataclass(eq=False)
class Recorder:
    """A plugin of pytest: which cells each test shows, and how it ended."""

    shown: dict[tuple[str, str], Shown] = field(default_factory=dict)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Reads the marks."""
        for item in items:
            for mark in item.iter_markers("compatible"):
                client, *features = mark.args
                self.shown[item.nodeid, client] = Shown(item.nodeid, client, tuple(features))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps the outcome: of the test itself, or of what failed around it."""
        if report.when == "call" or report.outcome != "passed":
            for key, each in self.shown.items():
                if key[0] == report.nodeid and each.outcome != "failed":
                    self.shown[key] = replace(each, outcome=report.outcome)


def marked() -> list[str]:
    """Returns the files in which a test may carry the mark: only they need be read."""
    files = (file for place in PLACES for file in sorted(place.glob("test_*.py")))
    return [str(file.relative_to(node.ROOT)) for file in files if "mark.compatible(" in file.read_text()]


def kept() -> dict[str, Any]:
    """Returns what is known from earlier runs."""
    if not KEPT.exists():
        return {"date": "", "versions": {}, "frameworks": {}, "shown": []}
    known: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return known


def known_shown(known: dict[str, Any]) -> list[Shown]:
    """Returns the tests of what is known."""
    return [Shown(**{**each, "features": tuple(each["features"])}) for each in known["shown"]]


def page(known: dict[str, Any]) -> str:
    """Returns ``docs/compatibility.md``."""
    return render(known_shown(known), known["versions"], known["frameworks"], known["date"])


def collected() -> list[Shown]:
    """Returns the marks of all tests; none of them is run."""
    recorder = Recorder()
    with Path(os.devnull).open("w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):
        pytest.main(["-q", "--no-cov", "--collect-only", "-m", "compatible", *marked()], plugins=[recorder])
    return list(recorder.shown.values())


def merged(known: dict[str, Any], ran: list[Shown], marks: list[Shown]) -> list[Shown]:
    """Returns the marks as they are now, with the newest outcome of each; a skipped one tells nothing."""
    outcomes: dict[tuple[str, str], Outcome] = {}
    for each in [*known_shown(known), *ran]:
        if each.outcome != "skipped":
            outcomes[each.test, each.client] = each.outcome
    return sorted(
        (replace(each, outcome=outcomes.get((each.test, each.client), "skipped")) for each in marks),
        key=lambda each: (each.test, each.client),
    )


def versions() -> dict[str, str]:
    """Returns what is installed here of the clients."""
    wanted = json.loads((node.SNIPPETS / "javascript" / "package.json").read_text())["dependencies"]
    of = importlib.metadata.version
    found = {
        "openai-python": of("openai"), "openai-agents": of("openai-agents"),
        "openai-node": wanted["openai"], "@openai/agents-realtime": wanted["@openai/agents-realtime"],
        "websockets": of("websockets"), "plain JavaScript": f"(Node {node.version()})",
    }  # fmt: skip
    if curl := shutil.which("curl"):
        told = subprocess.run([curl, "--version"], capture_output=True, text=True, check=True, timeout=60)
        found["curl"] = told.stdout.split()[1]
    return {name: found[name] for name in CLIENTS if name in found}


def write(known: dict[str, Any]) -> None:
    """Keeps what is known, and writes the page."""
    KEPT.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(known), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Runs tests and writes the page; returns pytest's exit status."""
    if arguments == ["--list"]:
        sys.stdout.write(json.dumps([asdict(each) for each in collected()]))
        return 0
    recorder = Recorder()
    status = pytest.main(["-q", "--no-cov", "-m", "compatible", *(arguments or marked())], plugins=[recorder])
    listed = subprocess.run(
        [sys.executable, "-m", "tests.clients.table", "--list"],
        cwd=node.ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    marks = [Shown(**{**each, "features": tuple(each["features"])}) for each in json.loads(listed.stdout)]
    known = kept()
    shown = merged(known, list(recorder.shown.values()), marks)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    write({**known, "date": today, "versions": versions(), "shown": [asdict(each) for each in shown]})
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
