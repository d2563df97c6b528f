"""docs/traces.md names the spans and attributes that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "traces.md").read_text(encoding="utf-8")
TELLING = (
    "services/gateway/turn_spans.py", "services/llm/request_spans.py", "shared/stage_span.py",
    "services/tts/report.py", "services/llm/worker.py",
)  # fmt: skip


def test_every_attribute_of_a_convention_is_listed_and_those_of_our_own_have_our_name() -> None:
    code = "".join((ROOT / path).read_text(encoding="utf-8") for path in TELLING)
    told = set(re.findall(r'"((?:gen_ai|messaging|eva)\.[a-z_.]+)"', code))
    assert len(told) > 30
    listed = set(re.findall(r"`((?:gen_ai|messaging|eva)\.[a-z_.]+)`", DOCUMENT)) - {"eva.env"}
    assert {name for name in told if not name.startswith("eva.")} == {
        name for name in listed if not name.startswith("eva.")
    }
    assert {name for name in listed if name.startswith("eva.")} <= told


def test_every_span_is_listed() -> None:
    rows = re.findall(r"^\| `(\w+)[^`]*` \| `eva-\w+` \|", DOCUMENT, re.MULTILINE)
    assert rows == ["turn", "endpoint", "stt", "llm", "chat", "tts", "send"]
