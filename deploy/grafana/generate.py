"""Writes the dashboards that Grafana reads: ``python -m deploy.grafana.generate``.

The JSON is committed beside its source, so that nothing has to be run to have it; a test holds both together.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploy.grafana import broker, conversations, mind, services, voice

PLACE = Path(__file__).parent / "dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {
    "conversations": conversations.DASHBOARD,
    "services": services.DASHBOARD,
    "voice": voice.DASHBOARD,
    "mind": mind.DASHBOARD,
    "broker": broker.DASHBOARD,
}
"""By the name of its file."""


def text_of(dashboard: dict[str, Any]) -> str:
    """Returns a dashboard as its file holds it."""
    return json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PLACE.mkdir(exist_ok=True)
    for name, dashboard in DASHBOARDS.items():
        (PLACE / f"{name}.json").write_text(text_of(dashboard), encoding="utf-8")
