"""What is raised inside ``except*`` comes out in a group on Python 3.11.0 to 3.11.3 (Debian 12 has 3.11.2).

https://github.com/python/cpython/issues/103590: a plain ``except`` further out never sees it.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for top in ("services", "shared", "eva", "benchmarks") for path in (ROOT / top).rglob("*.py")]


def raised_anew(source: str) -> list[int]:
    """Returns the lines of what is raised in handlers of groups; a bare ``raise`` stays what it is."""
    handlers = [
        handler
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.TryStar)
        for handler in node.handlers
    ]
    return [
        node.lineno
        for handler in handlers
        for node in ast.walk(handler)
        if isinstance(node, ast.Raise) and node.exc is not None
    ]


@pytest.mark.parametrize(
    ("body", "lines"), [("raise KeyError from group", [4]), ("raise", []), ("found = group", [])]
)
def test_it_is_found(body: str, lines: list[int]) -> None:
    assert raised_anew(f"try:\n    pass\nexcept* ValueError as group:\n    {body}\n") == lines


def test_nothing_is_raised_anew_where_a_group_was_caught() -> None:
    found = {str(path.relative_to(ROOT)): raised_anew(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert len(found) > 300
    assert {path: lines for path, lines in found.items() if lines} == {}
