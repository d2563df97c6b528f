"""``POST /v1/realtime/client_secrets``, and where its forerunners were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from services.gateway.client_secrets import PATH, SecretWish
from services.gateway.door import Door
from services.gateway.guests import guest_of
from services.gateway.http_body import read_body
from services.gateway.problems import json_response, problem
from services.gateway.realtime.session import initial, update

_FORERUNNERS = ("/v1/realtime/sessions", "/v1/realtime/transcription_sessions")


def routes(door: Door) -> APIRouter:
    """Returns the endpoints."""
    router = APIRouter()

    @router.post(PATH, summary="A secret with which a browser may open one Realtime session")
    async def make(request: Request) -> Response:
        wish = await read_body(request, SecretWish)
        _check(wish.session or {})
        key_id = guest_of(request.scope).key_id
        made = await door.gate.secrets.make(key_id, wish, request.headers.get("origin"))
        return json_response(made, headers={"cache-control": "no-store"})

    async def gone() -> Response:
        return problem(404, "not_found", f"this endpoint of the beta is gone: use POST {PATH}")

    for path in _FORERUNNERS:
        router.add_api_route(path, gone, methods=["POST"], include_in_schema=False)
    return router


def _check(session: Mapping[str, Any]) -> None:
    """Raises an error of the client's for settings that its session could not begin with."""
    kind: Literal["realtime", "transcription"] = (
        "transcription" if session.get("type") == "transcription" else "realtime"
    )
    update(initial("sess_", model=str(session.get("model", "")), expires_at=0, kind=kind), session)
