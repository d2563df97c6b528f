"""docs/metrics.md and what the services show are the same, names, kinds and labels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.gateway.broker_metrics import read
from services.gateway.chat_protocol import Timeline
from services.gateway.health import RouteHealth
from services.gateway.metrics import Metrics
from services.gateway.turn_io import CutIn, Judged, Note, Paused, Speculated, TurnReport
from shared.gpu_metrics import Card
from shared.messages import RouteReport
from tests.shared.metrics_rules import check, check_by_promtool, families
from tests.shared.test_metrics import STAGES, busy

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `((?:eva|process)_\w+)(?:\{([^}]*)\})?` \| (\w+) \|", re.MULTILINE)
NOTES: tuple[Note, ...] = (
    Paused(after_s=0.1),
    Judged(verdict="echo", after_s=0.5),
    CutIn(),
    Speculated(is_used=True),
)
JSZ = (
    b'{"account_details": [{"stream_detail": [{"name": "eva-llm", "state": {"messages": 1, "bytes": 9},'
    b' "consumer_detail": [{"num_pending": 1}]}]}]}'
)


def gateway() -> str:
    """The page of a gateway at which everything has happened."""
    metrics = Metrics()
    metrics.watch_sessions(lambda: 1)
    metrics.watch_stage("llm", lambda: True)
    card = Card(
        stage="tts", device="cuda:0", utilisation=0.5, memory_bytes=1, memory_total_bytes=2,
        process_memory_bytes=1, celsius=40,
    )  # fmt: skip
    metrics.watch_cards(lambda: [card])
    route = RouteHealth(
        route="groq:big", breaker="open", workers={"open": 1}, requests_left=0.5, tokens_left=0.5
    )
    metrics.watch_routes(lambda: [route])
    metrics.watch_broker(lambda: [read(b"{}", JSZ, at_s=0)])
    report = RouteReport(
        route="groq:big", is_hedged=True, retries=1, queue_ms=1, connect_ms=1,
        first_token_ms=1, first_segment_ms=1, input_tokens=1, output_tokens=1,
    )  # fmt: skip
    line = Timeline(llm_ms=100, response_ms=100, first_sound_ms=90, fillers=1)
    for is_canary in (True, False):
        metrics.turn_over(
            TurnReport(
                outcome="completed", code="", is_spoken=True, is_canary=is_canary, wanted_audio=True,
                has_audio=True, timeline=line, route=report, trace_id="ab" * 16,
            )
        )  # fmt: skip
    for note in NOTES:
        metrics.noted(note)
    metrics.error("busy")
    return metrics.render().decode()


def shown() -> dict[str, tuple[str, frozenset[str]]]:
    """Kind and labels of all families of all services."""
    seen: dict[str, tuple[str, frozenset[str]]] = {}
    for page in (gateway(), *(busy(stage) for stage in STAGES)):
        for name, family in families(page).items():
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            kind, before = seen.get(name, (family.type, frozenset[str]()))
            seen[name] = kind, before | labels
    return seen


def test_the_document_lists_every_metric_with_its_type_and_labels_and_no_other() -> None:
    rows = ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    listed = {name: (kind, frozenset(filter(None, labels.split(",")))) for name, labels, kind in rows}
    assert listed == shown()
    assert len(rows) == len(listed)


def test_the_gateway_keeps_to_the_rules_for_names_and_labels() -> None:
    check(gateway())


def test_promtool_has_nothing_to_say_about_the_gateway() -> None:
    check_by_promtool(gateway())


@pytest.mark.parametrize("name", ["eva_turn_response_seconds", "eva_stage_seconds"])
def test_a_rule_that_is_broken_is_noticed(name: str) -> None:
    page = gateway()
    for broken in (
        page.replace(f"{name}_bucket{{", f'{name}_bucket{{session="x",'),
        page.replace(name, name.replace("_seconds", "_ms")),
    ):
        with pytest.raises(AssertionError):
            check(broken)
