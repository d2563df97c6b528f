"""Admission: one place for HTTP and WebSockets alike, before every route and before a socket is accepted.

Behind it nobody sees a key: it is taken out of the connection's scope, and ``guests.guest_of`` says who is
there. Whoever is turned away gets JSON in the shape of OpenAI's errors, a socket as the response to its
handshake.
"""

from __future__ import annotations

import contextlib
import ipaddress

from fastapi import Response, WebSocket
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway import problems
from services.gateway.client_secrets import PATH as CLIENT_SECRETS
from services.gateway.door import Door
from services.gateway.guests import guest_of
from services.gateway.http_requests import HEADER as REQUEST_ID
from services.gateway.keys_offered import InvalidKey, read_offer, without_key
from services.gateway.limits import rate_limit_headers
from shared.errors import EvaError
from shared.subjects import new_token

_HEADS = frozenset({"http.response.start", "websocket.http.response.start"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PUBLIC = frozenset({"/", "/favicon.ico", "/livez", "/readyz", "/startupz", "/health"})
_PUBLIC_BELOW = "/page/"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class Admission:
    """Finds out who is asking, and lets in who may come."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the connection pass, for as long as it lasts, or answers it with a denial."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        async with contextlib.AsyncExitStack() as stack:
            told = _with_limits(scope, send)
            try:
                await self._enter(scope, stack)
            except EvaError as error:
                await _deny(error, scope, receive, told)
                return
            scope.update(without_key(scope["headers"], scope.get("subprotocols", ())))
            await self._app(scope, receive, told)

    async def _enter(self, scope: Scope, stack: contextlib.AsyncExitStack) -> None:
        """Notes who comes in; what they hold while they are here is given back by ``stack``."""
        headers, is_socket = Headers(scope=scope), scope["type"] == "websocket"
        is_safe = not is_socket and scope["method"] in _SAFE
        if not is_safe and not self._door.is_welcome(headers.get("origin"), headers.get("host", "")):
            raise problems.Forbidden("this origin is not on EVA's allow-list")
        if is_safe and is_public(scope, headers):
            return
        if is_socket:
            self._door.check_room()  # before anything is used up or asked of the store
        is_asked = not self._door.gate.is_keyless
        offer = read_offer(
            scope["headers"], scope.get("subprotocols", ()), scope["query_string"], is_asked=is_asked
        )
        guest = await self._door.gate.recognise(offer, headers.get("origin"), is_socket=is_socket)
        scope.setdefault("state", {})["guest"] = guest
        if is_socket or not (is_safe or scope["path"] == CLIENT_SECRETS):
            await stack.enter_async_context(guest.stay())
        if is_socket:
            stack.enter_context(self._door.place(guest))


def is_public(scope: Scope, headers: Headers) -> bool:
    """Whether reading this needs no key: probes, the page, and from this very machine the figures."""
    path, method = scope["path"], scope["method"]
    if method == "OPTIONS" or path in _PUBLIC or path.startswith(_PUBLIC_BELOW):
        return True
    # Behind a proxy on this machine everybody seems to be here; it says for whom it speaks.
    return path == "/metrics" and _is_here(scope) and not any(name in headers for name in _FORWARDED)


def _is_here(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


def _with_limits(scope: Scope, send: Send) -> Send:
    """Returns ``send`` so that HTTP answers, denials of sockets too, say what the key may still use."""

    async def told(message: Message) -> None:
        if message["type"] in _HEADS:
            MutableHeaders(scope=message).update(rate_limit_headers(guest_of(scope).limits()))
        await send(message)

    return told


async def _deny(error: EvaError, scope: Scope, receive: Receive, send: Send) -> None:
    refusal = denial(error)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(refusal)
    else:
        await refusal(scope, receive, send)


def full(door: Door) -> Response | None:
    """Returns what every handshake is answered while there is no room; None: there is."""
    try:
        door.check_room()
    except EvaError as error:
        door.metrics.error(error.code)
        refusal = denial(error)
        refusal.headers[REQUEST_ID] = f"req_{new_token()}"
        return refusal
    return None


def denial(error: EvaError) -> Response:
    """Returns the response to who is turned away."""
    if isinstance(error, InvalidKey):
        return problems.problem(401, error.code, str(error), headers={"www-authenticate": "Bearer"})
    return problems.of_error(error)
