"""``/health``, ``/readyz``, ``/livez``, ``/metrics`` and the page at ``/``."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from services.gateway import page
from services.gateway.door import Door
from services.gateway.health import ProcessHealth
from services.gateway.metrics import OPENMETRICS
from services.gateway.problems import json_response
from services.gateway.process_metrics import merged
from services.gateway.siblings import Told, together


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /readyz``."""

    ready: bool
    reasons: list[str]


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /livez``."""

    alive: bool


def told_by(door: Door) -> Told:
    """Returns what this process tells its siblings."""
    health = ProcessHealth(status=door.watch.health().status, sessions=door.sessions)
    metrics, openmetrics = (door.metrics.page(accept)[0].decode() for accept in ("", OPENMETRICS))
    return Told(health=health, metrics=metrics, openmetrics=openmetrics)


def routes(door: Door) -> APIRouter:
    """Returns the endpoints."""
    router = APIRouter()

    @router.get("/health", summary="What serves, what is proven, and what is wrong")
    async def health() -> Response:
        now = door.watch.health()
        if door.siblings is not None:
            told = await door.siblings.told(told_by(door))
            now = together(now, door.siblings.healths(told))
        return json_response(now, 503 if now.status == "unhealthy" else 200)

    @router.get("/readyz", summary="200 once every stage is ready and a turn was audible")
    async def readyz() -> Response:
        now = door.watch.health()
        is_ready = now.status != "unhealthy"
        reasons = [] if is_ready else now.reasons
        return json_response(Readiness(ready=is_ready, reasons=reasons), 200 if is_ready else 503)

    @router.get("/livez", summary="This process answers")
    async def livez() -> Response:
        return json_response(Liveness(alive=True))

    @router.get("/metrics", summary="Figures for Prometheus")
    async def metrics(request: Request) -> Response:
        page, content_type = door.metrics.page(request.headers.get("accept", ""))
        if door.siblings is not None:
            told = await door.siblings.told(told_by(door))
            is_open = content_type.startswith(OPENMETRICS)
            pages = {name: one.openmetrics if is_open else one.metrics for name, one in told.items()}
            page = merged(pages).encode()
        return Response(page, media_type=content_type)

    router.include_router(page.routes())
    return router
