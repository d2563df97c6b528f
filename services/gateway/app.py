"""The web application: which path leads where, and who is let in."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket
from starlette.middleware.cors import CORSMiddleware

from services.gateway import http_routes, http_secrets, openapi, probes, problems
from services.gateway.admission import Admission
from services.gateway.door import Door
from services.gateway.http_requests import RequestIds
from services.gateway.limits import RATE_LIMIT_HEADERS
from services.gateway.realtime.socket import realtime
from services.gateway.websocket import chat
from shared.version import VERSION


def make_app(door: Door) -> FastAPI:
    """Returns the application. It needs no broker to be made, nor to answer."""
    app = FastAPI(title="EVA", version=VERSION, docs_url=None, redoc_url=None)
    problems.install(app)
    for part in (probes, http_routes, http_secrets):
        app.include_router(part.routes(door))

    @app.websocket("/ws/chat")
    async def socket(websocket: WebSocket) -> None:
        await chat(websocket, door)

    @app.websocket("/v1/realtime")
    async def realtime_socket(websocket: WebSocket) -> None:
        await realtime(websocket, door)

    app.add_middleware(Admission, door=door)
    if door.settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(door.settings.allowed_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],  # OpenAI's client in a browser sends a dozen of its own
            expose_headers=["retry-after", "x-request-id", *RATE_LIMIT_HEADERS],
        )
    app.add_middleware(RequestIds)  # the last one is the outermost
    openapi.describe(app)
    return app
