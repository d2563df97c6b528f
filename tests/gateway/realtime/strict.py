"""Judges frames by the ``openai`` package's types as strictly as they can be: unknown keys too are wrong."""

from __future__ import annotations

import json
from typing import Any, get_args

from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel

_CLASSES: dict[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(RealtimeServerEvent)[0])
}
TYPES = frozenset(_CLASSES)
_SESSIONS = {"RealtimeSessionCreateRequest", "RealtimeTranscriptionSessionCreateRequest"}
_BEYOND = {"object", "id", "expires_at"}
"""Of a session: OpenAI sends them, and a client needs them, though the package does not type them."""
_NULLS = {"previous_item_id", "transcript"}


def judged(frame: str) -> dict[str, Any]:
    """Returns the frame's JSON. Raises if a strict client of the protocol would not take it."""
    event: dict[str, Any] = json.loads(frame)
    model = _CLASSES[event["type"]].model_validate_json(frame, strict=True)
    _no_unknown(model)
    _no_nulls(event)
    assert event["event_id"]
    return event


def _no_unknown(value: Any) -> None:
    if isinstance(value, BaseModel):
        unknown = set(value.model_extra or {})
        if type(value).__name__ in _SESSIONS:
            unknown -= _BEYOND
        assert not unknown, f"{type(value).__name__} has no {unknown}"
        for name in type(value).model_fields:
            _no_unknown(getattr(value, name))
    elif isinstance(value, list):
        for member in value:
            _no_unknown(member)


def _no_nulls(value: Any, key: str = "") -> None:
    assert value is not None or key in _NULLS, f"{key} is null"
    if key in {"parameters", "metadata"}:
        return
    if isinstance(value, dict):
        for name, member in value.items():
            _no_nulls(member, name)
    elif isinstance(value, list):
        for member in value:
            _no_nulls(member)
