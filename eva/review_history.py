"""Where reviews are kept: a JSON and a Markdown file each, named by the time, in one folder."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from eva.review_card import Review
from eva.review_report import as_json, markdown
from shared.errors import BadInput


def last_review(folder: Path, url: str) -> Review | None:
    """Returns the newest review of the same EVA; files that are none, or of another EVA, are passed over."""
    for file in sorted(folder.glob("*.json"), reverse=True):
        try:
            review = msgspec.json.decode(file.read_bytes(), type=Review)
        except (OSError, msgspec.DecodeError):
            continue
        if review.url == url:
            return review
    return None


def keep(folder: Path, review: Review) -> Path:
    """Writes the review; returns the Markdown's path. Raises ``BadInput``: the folder cannot be written."""
    name = review.at.replace(":", "-")
    page = folder / f"{name}.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(as_json(review), ensure_ascii=False, indent=1)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        page.write_text(markdown(review), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{folder} cannot be written: {error.strerror or error}", param="out") from error
    return page
