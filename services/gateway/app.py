"""The web application: which path leads where, and who is let in."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway import http_chat, http_speech, openapi, probes, problems
from services.gateway.door import Door
from services.gateway.websocket import chat

VERSION = "0.1.0"


class Origins:
    """Keeps pages of foreign origins from talking through their visitor's browser; reading is free."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the request pass, or answers 403 (to a socket: before it is accepted)."""
        if scope["type"] == "websocket" or (
            scope["type"] == "http" and scope["method"] not in {"GET", "HEAD", "OPTIONS"}
        ):
            headers = Headers(scope=scope)
            if not self._door.is_welcome(headers.get("origin"), headers.get("host", "")):
                refusal = problems.of_error(problems.Forbidden("this origin is not on EVA's allow-list"))
                if scope["type"] == "websocket":
                    await WebSocket(scope, receive, send).send_denial_response(refusal)
                else:
                    await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def make_app(door: Door) -> FastAPI:
    """Returns the application. It needs no broker to be made, nor to answer."""
    app = FastAPI(title="EVA", version=VERSION, docs_url=None, redoc_url=None)
    problems.install(app)
    for part in (probes, http_chat, http_speech):
        app.include_router(part.routes(door))

    @app.websocket("/ws/chat")
    async def socket(websocket: WebSocket) -> None:
        await chat(websocket, door)

    if door.settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(door.settings.allowed_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["content-type"],
        )
    app.add_middleware(Origins, door=door)
    openapi.describe(app)
    return app
