"""``/health``, ``/readyz``, ``/livez``, ``/metrics`` and the page at ``/``."""

from __future__ import annotations

from html import escape

import msgspec
from fastapi import APIRouter, Response

from services.gateway.door import Door
from services.gateway.health import Health
from services.gateway.metrics import CONTENT_TYPE
from services.gateway.problems import json_response


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /readyz``."""

    ready: bool
    reasons: list[str]


def routes(door: Door) -> APIRouter:
    """Returns the endpoints."""
    router = APIRouter()

    @router.get("/health", summary="What serves, what is proven, and what is wrong")
    async def health() -> Response:
        now = door.watch.health()
        return json_response(now, 503 if now.status == "unhealthy" else 200)

    @router.get("/readyz", summary="200 once every stage is ready and a turn was audible")
    async def readyz() -> Response:
        now = door.watch.health()
        is_ready = now.status != "unhealthy"
        reasons = [] if is_ready else now.reasons
        return json_response(Readiness(ready=is_ready, reasons=reasons), 200 if is_ready else 503)

    @router.get("/livez", summary="This process answers")
    async def livez() -> Response:
        return json_response({"alive": True})

    @router.get("/metrics", summary="Figures for Prometheus")
    async def metrics() -> Response:
        return Response(door.metrics.render(), media_type=CONTENT_TYPE)

    @router.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(_page(door.watch.health()), media_type="text/html; charset=utf-8")

    return router


def _page(health: Health) -> str:
    stages = "".join(
        f"<tr><th>{escape(name)}<td>{escape(stage.state)}<td>{escape(stage.engine)}<td>{escape(stage.device)}"
        for name, stage in health.stages.items()
    )
    reasons = "".join(f"<li>{escape(reason)}" for reason in health.reasons)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>EVA</title><style>'
        "body{font:16px system-ui;max-width:40em;margin:3em auto}td,th{padding:.2em 1em;text-align:left}"
        "</style><h1>EVA</h1><p>A self-hosted voice companion: talk or type, and hear an answer at once."
        f"<p>Status: <b>{escape(health.status)}</b><ul>{reasons}</ul>"
        f"<table><tr><th>stage<th>state<th>engine<th>device{stages}</table>"
        '<p><a href="/health">health</a> · <a href="/metrics">metrics</a> · '
        '<a href="/openapi.json">HTTP interface</a> · conversation: <code>WS /ws/chat</code>'
    )
