"""What the operator sees: results on stdout, progress and complaints on stderr, one line for an error."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def is_plain(stream: Any) -> bool:
    """Whether colours and live displays are unwanted: no terminal, or ``NO_COLOR`` is set."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb" or not stream.isatty()


def result(text: str, *, end: str = "\n") -> None:
    """Writes a result to stdout."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def result_json(value: Any) -> None:
    """Writes a result to stdout as one line of JSON."""
    result(json.dumps(value, ensure_ascii=False, default=str))


def progress(text: str) -> None:
    """Writes a line of progress to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def complain(text: str, *, hint: str = "") -> None:
    """Writes an error to stderr: one line, and one with what mends it."""
    progress(f"eva: {text}")
    if hint:
        progress(f"     {hint}")


def columns(rows: list[list[str]]) -> list[str]:
    """Returns rows as lines with aligned columns."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
