"""Every request has an id: it is in each response, and in all that is logged while the request is served.

Outermost, so that what fails inside, denials and defects included, is answered in the same shape.
"""

from __future__ import annotations

import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway import problems
from shared.observe import Log, logged_with
from shared.subjects import new_token

log = Log("eva.gateway")

HEADER = "x-request-id"
SANE = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}")
"""What a client may call its request: it goes into logs."""
_HEADS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class RequestIds:
    """Takes over the client's id of a request where it has a sane one, or gives it one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request; a defect before the response has begun is answered with 500, and raised on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if SANE.fullmatch(given) else f"req_{new_token()}"
        scope.setdefault("state", {})["request_id"] = request_id
        began, status = time.monotonic(), 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] in _HEADS:
                status = message.get("status", 101)
                headers = MutableHeaders(scope=message)
                headers[HEADER] = request_id
            await send(message)

        with logged_with(request=request_id):
            try:
                await self._app(scope, receive, told)
            except Exception as error:
                log.error("request.broken", path=_path(scope), defect=type(error).__name__)
                if scope["type"] == "http" and not status:
                    await problems.of_defect()(scope, receive, told)
                raise
            finally:
                if scope["type"] == "http":
                    is_news = (
                        status >= 500 and status != 503
                    )  # not of probes, nor of all that are turned away
                    note = log.warning if is_news else log.debug
                    took_ms = round(1000 * (time.monotonic() - began), 1)
                    note("request.over", path=_path(scope), status=status, took_ms=took_ms)


def _path(scope: Scope) -> str:
    """The path as the application knows it: without what people put into it."""
    route = scope.get("route")
    return str(getattr(route, "path", "unknown"))
