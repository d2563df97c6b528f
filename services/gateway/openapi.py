"""The description of the HTTP interface, made from the same structs that read and write it."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI

from services.gateway.health import Health
from services.gateway.http_chat import ChatReply, ChatRequest
from services.gateway.http_speech import SpeechRequest
from services.gateway.probes import Readiness
from services.gateway.problems import Body

_STRUCTS = (ChatRequest, ChatReply, SpeechRequest, Health, Readiness, Body)
_REQUESTS: dict[tuple[str, str], type] = {("/chat", "post"): ChatRequest, ("/tts", "post"): SpeechRequest}
_REPLIES: dict[tuple[str, str, str], type] = {
    ("/chat", "post", "200"): ChatReply,
    ("/health", "get", "200"): Health,
    ("/health", "get", "503"): Health,
    ("/readyz", "get", "200"): Readiness,
    ("/readyz", "get", "503"): Readiness,
}
_CAN_FAIL = frozenset({"/chat", "/tts", "/sessions/{session_id}"})


def describe(app: FastAPI) -> None:
    """Fills in bodies and replies in what the framework knows of the application."""
    document: dict[str, Any] = app.openapi()
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template="#/components/schemas/{name}")
    document.setdefault("components", {})["schemas"] = schemas
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            replies = {
                status: reply for (at, by, status), reply in _REPLIES.items() if (at, by) == (path, method)
            }
            operation["responses"].pop("422", None)
            for status, reply in replies.items():
                operation["responses"][status] = {"description": _summary(reply), "content": _json(reply)}
            if path in _CAN_FAIL:
                operation["responses"]["default"] = {
                    "description": "What went wrong.",
                    "content": _json(Body),
                }
            if (path, method) in _REQUESTS:
                body = _REQUESTS[path, method]
                operation["requestBody"] = {"required": True, "content": _json(body)}
    document["paths"]["/tts"]["post"]["responses"]["200"] = {
        "description": "The sound, sent while it is being made.",
        "content": {mime: {} for mime in ("audio/mpeg", "audio/ogg", "audio/wav", "audio/pcm")},
    }


def _json(kind: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}


def _summary(kind: type) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]
