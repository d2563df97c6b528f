"""What every page of figures keeps to: Prometheus's rules for names, and EVA's own."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

UNITS = (
    "_seconds", "_total", "_ratio", "_info", "_bytes", "_celsius",
    # numbers of things
    "_active", "_ready", "_state", "_up", "_slots", "_inflight", "_missing", "_connections", "_subscriptions",
    "_messages", "_pending", "_in_hand", "_redelivered", "_asks", "_fds",
)  # fmt: skip
NOT_BASE = re.compile(r"_(ms|milliseconds|us|ns|minutes|hours|kb|mb|percent|fahrenheit)(_|$)")
LABELS = {
    "code", "device", "direction", "kind", "le", "model", "outcome", "process", "provider", "queue", "reason",
    "route", "server", "stage", "state", "stream", "verdict", "version",
}  # fmt: skip
"""All of them have few values; no person, session or worker is among them."""


def families(page: str) -> dict[str, Metric]:
    """The families of a page, counters with their ``_total``."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(page)
        if not family.name.endswith("_created")
    }


def check(page: str) -> None:
    """Fails where a page breaks a rule."""
    found = families(page)
    assert found
    for name, family in found.items():
        assert re.fullmatch(r"(eva|process)_[a-z][a-z_]*[a-z]", name), name
        assert name.endswith(UNITS), name
        assert not NOT_BASE.search(name), name
        assert (family.type == "counter") == name.endswith("_total"), name
        assert family.type in {"counter", "gauge", "histogram"}, name
        assert family.documentation.endswith("."), name
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels <= LABELS, (name, labels - LABELS)


def check_by_promtool(page: str) -> None:
    """Fails where ``promtool check metrics`` has something to say."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    said = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=60, check=False
    )
    assert (said.returncode, said.stdout + said.stderr) == (0, "")
