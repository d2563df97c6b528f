"""The dashboards: committed as they are generated, and each panel says what it shows, in which unit."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.generate import DASHBOARDS, PLACE, text_of
from deploy.grafana.panels import AIM_S, BOUND_S, UNSUMMED, Query, dashboard, lines, row
from tests.deploy.prometheus import needs_prometheus
from tests.deploy.promql import documented, metrics_of, unknown

ROOT = Path(__file__).resolve().parents[2]
PANELS = [(name, panel) for name, board in DASHBOARDS.items() for panel in board["panels"]]
SHOWN = [pytest.param(panel, id=f"{name}: {panel['title']}") for name, panel in PANELS if "targets" in panel]
EXPRESSIONS = [target["expr"] for _, panel in PANELS for target in panel.get("targets", ())]


def test_the_committed_dashboards_are_the_generated_ones() -> None:
    committed = {file.stem: file.read_text(encoding="utf-8") for file in PLACE.iterdir()}
    assert committed == {name: text_of(board) for name, board in DASHBOARDS.items()}, (
        "run: python -m deploy.grafana.generate"
    )


def test_names_by_which_links_and_panels_are_found_are_there_once() -> None:
    uids = [board["uid"] for board in DASHBOARDS.values()]
    assert len(set(uids)) == len(uids)
    for board in DASHBOARDS.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        titles = [panel["title"] for panel in board["panels"]]
        assert len(set(titles)) == len(titles)
        for panel in board["panels"]:
            refs = [target["refId"] for target in panel.get("targets", ())]
            assert len(set(refs)) == len(refs)


@pytest.mark.parametrize("board", [pytest.param(board, id=name) for name, board in DASHBOARDS.items()])
def test_no_panel_lies_on_another_or_beside_the_page(board: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_below, (one, other)


@pytest.mark.parametrize("panel", SHOWN)
def test_a_panel_says_what_it_shows_in_which_unit_and_asks_the_provisioned_source(
    panel: dict[str, Any],
) -> None:
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    asked = {"type": "prometheus", "uid": source["datasources"][0]["uid"]}
    assert panel["datasource"] == asked
    assert len(panel["description"].split()) > 2
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == asked
        assert target["legendFormat"]
        legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        told = set().union(*(documented()[metric] for metric in metrics_of(target["expr"])))
        assert legend <= told | {"instance", "job"}


@pytest.mark.parametrize("expr", sorted(set(EXPRESSIONS)))
def test_a_query_names_only_what_is_told_and_heeds_the_readers_choice_of_processes(expr: str) -> None:
    assert unknown(expr) == set()
    asks_of_eva = metrics_of(expr) - {"eva_build_info"}
    assert ('instance=~"$instance"' in expr) or not asks_of_eva


def test_what_nothing_tells_would_be_found() -> None:
    assert unknown("sum by (stage) (eva_stage_ready)") == set()
    assert unknown("sum by (stag) (eva_stage_ready)") == {"stag"}
    assert unknown('eva_stage_reddy{stage="tts"}') == {"eva_stage_reddy", "stage"}
    assert unknown("eva_stage_seconds") == {"eva_stage_seconds"}  # a histogram has no series of its own name


def test_percentiles_that_are_stacked_are_said_not_to_sum() -> None:
    stacked = [
        panel
        for _, panel in PANELS
        if panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {}).get("stacking", {}).get("mode")
        == "normal"
        and any("histogram_quantile" in target["expr"] for target in panel["targets"])
    ]
    assert stacked
    assert all(UNSUMMED in panel["description"] for panel in stacked)


def test_the_response_is_shown_against_its_objective() -> None:
    panel = next(panel for name, panel in PANELS if (name, panel["title"]) == ("conversations", "Response"))
    drawn = {step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}
    assert (AIM_S, BOUND_S) == (0.3, 0.5)
    assert {AIM_S, BOUND_S} <= drawn
    assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] == {"mode": "line"}
    shares = re.findall(r"histogram_quantile\(([\d.]+),", json.dumps(panel))
    assert shares == ["0.5", "0.95", "0.99"]


def test_panels_that_do_not_fit_beside_one_another_begin_a_new_line() -> None:
    some = [lines(f"{n}", "About.", "s", [Query("up", "u")], width=10) for n in range(3)]
    board = dashboard("u", "t", "a", row("first", *some), row("second"))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert places == [(0, 0), (0, 1), (10, 1), (0, 9), (0, 17)]


def test_what_is_provisioned_lies_where_compose_mounts_it() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    provider = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/eva.yml").read_text())
    assert mounts["./deploy/grafana/dashboards"] == provider["providers"][0]["options"]["path"]
    place = services["grafana"]["environment"]["GF_PATHS_PROVISIONING"]
    assert mounts["./deploy/grafana/provisioning"] == place
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    assert services["prometheus"]["ports"][0].endswith(":9090")
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["global"]
    assert source["datasources"][0]["jsonData"]["timeInterval"] == scraped["scrape_interval"]


def test_each_dashboard_has_a_picture_that_is_soon_loaded() -> None:
    pictures = {file.stem: file.stat().st_size for file in (ROOT / "docs" / "dashboards").glob("*.png")}
    assert pictures.keys() == DASHBOARDS.keys()
    assert max(pictures.values()) < 150_000
    told = (ROOT / "docs" / "dashboards" / "README.md").read_text()
    assert all(f"({name}.png)" in told for name in DASHBOARDS)


@needs_prometheus
def test_prometheus_reads_every_query(tmp_path: Path) -> None:
    read = [
        {"record": f"query{n}", "expr": expr.replace("$__rate_interval", "1m").replace("$instance", ".*")}
        for n, expr in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": read}]}))
    words = ["promtool", "check", "rules", str(file)]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    file.write_text(file.read_text().replace("sum", "some"))
    assert subprocess.run(words, capture_output=True, check=False).returncode != 0
