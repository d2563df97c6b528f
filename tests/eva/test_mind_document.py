"""docs/mind.md lists the mind's settings as the services have them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eva.config import effective

DOCUMENT = Path(__file__).parents[2] / "docs" / "mind.md"
OF_GATEWAY = re.compile(r"EVA_TURN_S|EVA_GATEWAY_(FILLER|APOLOG|TOOL)\w*")
"""Those of the gateway's settings that are about answers which take long."""
WIDEST = 60


def shown(default: str) -> str:
    """The default as the table has it: the beginning of a long one."""
    return default if len(default) <= WIDEST else f"{default[: WIDEST - 1].rstrip()}…"


def test_every_setting_of_the_mind_is_listed_with_its_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| (?:`(.*)`)? ?\|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    monkeypatch.chdir(tmp_path)
    wanted = {
        setting.name: shown(str(setting.default))
        for setting in effective()
        if setting.service == "llm" or OF_GATEWAY.fullmatch(setting.name)
    }
    assert dict(rows) == wanted
    assert [name for name, _ in rows] == list(wanted), "in the order of .env.example"
