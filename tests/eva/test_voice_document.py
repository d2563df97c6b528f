"""docs/voice.md lists the voice's settings and moods as the service has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eva.config import effective
from services.tts.moods import BOUNDS, DEFAULT, described

DOCUMENT = Path(__file__).parents[2] / "docs" / "voice.md"


def test_every_setting_of_the_voice_is_listed_with_its_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*)`)? ?\|$", text, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    wanted = {setting.name: str(setting.default) for setting in effective() if setting.service == "tts"}
    assert dict(rows) == wanted
    assert [name for name, _ in rows] == list(wanted), "in the order of .env.example"


def test_every_mood_is_listed_with_what_it_does() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z]+) \| ([-0-9. |]+) \|$", text, re.MULTILINE)
    listed = {
        mood: dict(zip(BOUNDS, map(float, figures.split(" | ")), strict=True)) for mood, figures in rows
    }
    assert listed == described(DEFAULT)
