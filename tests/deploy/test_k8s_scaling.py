"""What the scalers ask Prometheus for is what EVA measures, and makes as many workers as it should."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from eva.sizing import FULL, SLOTS, WORKER_CORES, Habits, plan
from eva.sizing_figures import VOICE
from tests.deploy.k8s import ROOT, of_kind, own, pods, rendered

METRICS = (ROOT / "docs" / "metrics.md").read_text()


def trigger(name: str) -> dict[str, str]:
    """Returns the metadata of a stage's trigger."""
    (found,) = of_kind(rendered("cpu"), "ScaledObject")[name]["spec"]["triggers"]
    metadata: dict[str, str] = found["metadata"]
    return metadata


@pytest.mark.parametrize("name", ["stt", "gateway"])
def test_what_is_asked_for_is_measured(name: str) -> None:
    names = re.findall(r"eva_[a-z_]+", trigger(name)["query"])
    assert names
    assert all(re.search(rf"`{metric}[`{{]", METRICS) for metric in names)


def as_prometheus_sees_it(folder: Path, query: str, series: dict[str, int], expected: float) -> None:
    """Fails if the query says anything else, of series that stay as they are."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here (Debian: prometheus)")
    rules = {"groups": [{"name": "scaling", "rules": [{"record": "asked", "expr": query}]}]}
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    test: dict[str, Any] = {
        "interval": "10s",
        "input_series": [{"series": name, "values": f"{value}+0x10"} for name, value in series.items()],
        "promql_expr_test": [
            {"expr": "asked", "eval_time": "1m", "exp_samples": [{"labels": "asked", "value": expected}]}
        ],
    }
    told = {"rule_files": ["rules.yml"], "evaluation_interval": "10s", "tests": [test]}
    (folder / "test.yml").write_text(json.dumps(told))
    done = subprocess.run(
        [promtool, "test", "rules", folder / "test.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("busy", "workers"), [((20, 20), 3), ((24, 24), 3), ((3, 2), 1), ((14, 14), 2)])
def test_ears_are_as_many_as_keep_seven_tenths_of_their_slots_in_use(
    tmp_path: Path, busy: tuple[int, int], workers: int
) -> None:
    """Two workers of 24 slots; a third one that is starting has none yet."""
    series = {
        **{f'eva_stage_slots{{stage="stt", instance="{n}"}}': 24 for n in range(2)},
        'eva_stage_slots{stage="stt", instance="starting"}': 0,
        **{f'eva_stage_inflight{{stage="stt", instance="{n}"}}': number for n, number in enumerate(busy)},
        'eva_stage_inflight{stage="llm", instance="mind"}': 16,
    }
    used = sum(busy) / 24
    as_prometheus_sees_it(tmp_path, trigger("stt")["query"], series, used)
    assert math.ceil(used / float(trigger("stt")["threshold"])) == workers


def test_gateways_are_counted_by_everybody_who_is_connected(tmp_path: Path) -> None:
    series = {f'eva_sessions_active{{instance="{n}"}}': 150 for n in range(3)}
    as_prometheus_sees_it(tmp_path, trigger("gateway")["query"], series, 450)


def test_load_for_each_worker_is_what_sizing_reckons_with() -> None:
    gateway = plan(Habits(people=3000)).needs[0]
    assert math.ceil(3000 / float(trigger("gateway")["threshold"])) == gateway.copies
    assert int(trigger("tts")["lagThreshold"]) == math.floor(FULL * VOICE.value)
    assert int(trigger("llm")["lagThreshold"]) <= FULL * SLOTS
    assert float(trigger("stt")["threshold"]) == FULL
    for name in ("stt", "tts"):
        assert own(pods(rendered("cpu"))[name])["resources"]["requests"]["cpu"] == str(WORKER_CORES)


def test_a_cell_fits_into_what_the_scalers_may_start() -> None:
    largest = plan(Habits(people=plan(Habits(people=1)).bounds[0].people))
    assert largest.cells == 1
    scaled = of_kind(rendered("cpu"), "ScaledObject")
    for need in largest.needs:
        if need.part != "nats":
            assert need.copies <= scaled[need.part]["spec"]["maxReplicaCount"]
