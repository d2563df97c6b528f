"""Reads what a client of the Realtime API sends; every mistake is a ``RealtimeError``. Pure."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec

from services.gateway.realtime.client_events import AnyClientEvent
from services.gateway.realtime.errors import RealtimeError, invalid_value, missing

MAX_AUDIO_BYTES = 15 * 1024 * 1024
"""Of one append, decoded; OpenAI's bound."""
MAX_EVENT_BYTES = MAX_AUDIO_BYTES * 4 // 3 + 1024
MAX_EVENT_ID_CHARS = 512

TYPES = tuple(str(kind.__struct_config__.tag) for kind in get_args(AnyClientEvent))
BETA_TYPES = {
    "transcription_session.update": "session.update with session.type transcription",
    "session.create": "session.update",
    "conversation.create": "session.update",
}
"""What the beta had, and what is to be sent in its place."""

_decoder = msgspec.json.Decoder(AnyClientEvent)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_EXPECTED = re.compile(r"Expected `(.+)`, got `(.+)`")


class _Header(msgspec.Struct):
    type: Any = None
    event_id: Any = None


_headers = msgspec.json.Decoder(_Header)


def parse(text: str | bytes) -> AnyClientEvent:
    """Reads one event.

    Raises:
        RealtimeError: it is too long, no JSON, of an unknown type, or a field is missing or of a wrong type;
            its detail names the event's own id where it has one.
    """
    if len(text) > MAX_EVENT_BYTES:
        raise RealtimeError(
            f"An event may have {MAX_EVENT_BYTES} bytes, this one has {len(text)}.", code="event_too_large"
        )
    try:
        event: AnyClientEvent = _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise _explained(text, str(error)) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RealtimeError(f"The event is not JSON: {error}.", code="invalid_json") from error
    return event


def event_id_of(text: str | bytes) -> str:
    """Returns the id that a client gave an event, whatever else is wrong with it; empty: none."""
    return _id(_header(text))


def _header(text: str | bytes) -> _Header:
    try:
        return _headers.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Header()


def _id(header: _Header) -> str:
    return header.event_id[:MAX_EVENT_ID_CHARS] if isinstance(header.event_id, str) else ""


def _explained(text: str | bytes, reason: str) -> RealtimeError:
    header = _header(text)
    error = _of_type(header.type) or of_reason(reason)
    return RealtimeError(str(error), code=error.detail.code or "", param=error.param, event_id=_id(header))


def _of_type(kind: Any) -> RealtimeError | None:
    """Returns what is wrong with the type; None: nothing."""
    if kind is None:
        return missing("type")
    if not isinstance(kind, str):
        return RealtimeError("The type of an event is a string.", code="invalid_type", param="type")
    if kind in TYPES:
        return None
    instead = BETA_TYPES.get(kind)
    if instead is not None:
        return invalid_value("type", f"'{kind}' is of the beta; send {instead}.")
    supported = ", ".join(f"'{name}'" for name in TYPES)
    return invalid_value("type", f"Invalid value: '{kind[:64]}'. Supported values are: {supported}.")


def of_reason(reason: str, *, within: str = "") -> RealtimeError:
    """Returns msgspec's reason as OpenAI says it; ``within``: the path of what was read."""
    what, _, path = reason.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    param = ".".join(filter(None, (within, path)))
    if lacking := _MISSING.match(what):
        return missing(".".join(filter(None, (param, lacking[1]))))
    if wrong := _EXPECTED.match(what):
        message = f"Invalid type for '{param}': expected {wrong[1]}, but got {wrong[2]} instead."
        return RealtimeError(message, code="invalid_type", param=param or None)
    if param.endswith("item.type"):
        message = f"{what}; EVA's items are message, function_call and function_call_output."
        return invalid_value(param, message)
    return RealtimeError(f"Invalid '{param}': {what}.", code="invalid_value", param=param or None)
