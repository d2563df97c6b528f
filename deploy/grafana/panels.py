"""What dashboards are made of: queries, panels and rows as the plain dicts that Grafana reads. Pure.

Percentiles come from histograms: they are as exact as their buckets, and those of parts do not add up to
those of the whole; means do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SOURCE = {"type": "prometheus", "uid": "eva-prometheus"}
"""The data source by the fixed name that provisioning gives it."""
SCHEMA = 41
"""Of Grafana 11's dashboards."""
COLUMNS = 24
HEIGHT = 8
AIM_S, BOUND_S = 0.3, 0.5
"""End of the person's turn to the first audible sound: what EVA aims at and what she should not exceed."""
OBJECTIVE = ((AIM_S, "green"), (BOUND_S, "red"))
UNSUMMED = (
    "Percentiles of parts do not add up to the percentile of the whole: stacked percentiles do not sum."
)
_FILTER = 'instance=~"$instance"'
_WINDOW = "[$__rate_interval]"

Panel = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """What a line is made of; ``legend`` may hold labels in double braces."""

    expr: str
    legend: str


def chosen(metric: str, where: str = "") -> str:
    """Returns the selector of a metric at the instances that the reader has chosen."""
    return f"{metric}{{{', '.join(filter(None, (_FILTER, where)))}}}"


def total(metric: str, by: str = "", where: str = "", *, fold: str = "sum") -> str:
    """Returns the sum of a gauge; ``fold``: ``max`` where several tell the same, ``min``."""
    return f"{fold}{_by(by)}({chosen(metric, where)})"


def rate(metric: str, by: str = "", where: str = "", *, fold: str = "sum") -> str:
    """Returns how much a counter grows in a second; ``fold`` as in ``total``."""
    return f"{fold}{_by(by)}(rate({chosen(metric, where)}{_WINDOW}))"


def or_none(expr: str, label: str) -> str:
    """Returns an expression that says zero where nothing is told: what never failed has no series."""
    return f'{expr} or label_replace(vector(0), "{label}", "none", "", "")'


def ratio(part: str, whole: str) -> str:
    """Returns a quotient of two expressions."""
    return f"{part} / {whole}"


def mean(histogram: str, by: str = "", where: str = "") -> str:
    """Returns what one observation was on average."""
    return ratio(rate(f"{histogram}_sum", by, where), rate(f"{histogram}_count", by, where))


def quantile(share: float, histogram: str, by: str = "", where: str = "") -> str:
    """Returns a percentile of a histogram; ``share``: 0..1."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, {rate(f'{histogram}_bucket', labels, where)})"


def percentiles(histogram: str, where: str = "", shares: tuple[float, ...] = (0.5, 0.95)) -> list[Query]:
    """Returns a query for each percentile."""
    return [Query(quantile(share, histogram, where=where), f"p{100 * share:g}") for share in shares]


def lines(title: str, about: str, unit: str, queries: list[Query], **wishes: Any) -> Panel:
    """Returns a panel of lines over time.

    Args:
        title: Of the panel.
        about: What it shows and what to think of it.
        unit: As Grafana names it: ``s``, ``percentunit``, ``opm``, ``bytes``, ``short``.
        queries: One or more.
        **wishes: ``stacked`` (True: one on the other), ``limits`` (pairs of value and colour, drawn as
            lines), ``width`` (of 24 columns), ``most`` (where the scale ends).
    """
    limits = wishes.get("limits", ())
    stacked = bool(wishes.get("stacked"))
    custom = {
        "lineWidth": 1,
        "fillOpacity": 40 if stacked else 8,
        "showPoints": "never",
        "spanNulls": True,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if limits else "off"},
    }
    field = {"unit": unit, "min": 0, "custom": custom, "thresholds": _thresholds(limits)}
    if "most" in wishes:
        field["max"] = wishes["most"]
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, about, queries, wishes) | _look(field, options)


def figure(title: str, about: str, unit: str, queries: list[Query], **wishes: Any) -> Panel:
    """Returns a panel of single values of now; as ``lines``, without stacking."""
    limits = wishes.get("limits", ())
    field = {"unit": unit, "thresholds": _thresholds(limits)}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
        "colorMode": "value" if limits else "none",
        "graphMode": "area",
        "textMode": "auto",
    }
    return _panel("stat", title, about, queries, wishes) | _look(field, options)


def table(title: str, about: str, query: Query, columns: tuple[str, ...], **wishes: Any) -> Panel:
    """Returns a panel of the labels of what there is now, a row for each."""
    field = {"unit": "short", "thresholds": _thresholds(())}
    panel = _panel("table", title, about, [query], wishes) | _look(field, {"showHeader": True})
    panel["targets"][0] |= {"format": "table", "instant": True, "range": False}
    keep = {"include": {"names": list(columns)}}
    panel["transformations"] = [{"id": "filterFieldsByName", "options": keep}]
    return panel


def row(title: str, *panels: Panel) -> list[Panel]:
    """Returns panels below a heading."""
    return [{"type": "row", "title": title, "collapsed": False, "panels": []}, *panels]


def dashboard(uid: str, title: str, about: str, *rows: list[Panel]) -> dict[str, Any]:
    """Returns a dashboard whose panels have their places and numbers."""
    placed: list[Panel] = []
    x = y = 0
    for number, panel in enumerate((each for group in rows for each in group), 1):
        is_row = panel["type"] == "row"
        width = COLUMNS if is_row else panel.pop("width")
        if x and (is_row or x + width > COLUMNS):
            x, y = 0, y + HEIGHT
        height = 1 if is_row else HEIGHT
        placed.append({"id": number, **panel, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x, y = (0, y + 1) if is_row else (x + width, y)
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["eva"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_instances()]},
        "annotations": {"list": []},
        "links": [
            {"type": "dashboards", "title": "EVA", "tags": ["eva"], "asDropdown": True, "keepTime": True}
        ],
        "panels": placed,
    }


def _panel(kind: str, title: str, about: str, queries: list[Query], wishes: dict[str, Any]) -> Panel:
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "width": wishes.get("width", 8),
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                "range": True,
            }
            for number, query in enumerate(queries)
        ],
    }


def _look(field: dict[str, Any], options: dict[str, Any]) -> Panel:
    return {"fieldConfig": {"defaults": field, "overrides": []}, "options": options}


def _thresholds(limits: tuple[tuple[float, str], ...]) -> dict[str, Any]:
    steps = [{"color": "transparent", "value": None}]
    return {
        "mode": "absolute",
        "steps": steps + [{"color": colour, "value": value} for value, colour in limits],
    }


def _instances() -> dict[str, Any]:
    query = "label_values(eva_build_info, instance)"
    return {
        "name": "instance",
        "label": "Process",
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "instances"},
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
    }


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""
