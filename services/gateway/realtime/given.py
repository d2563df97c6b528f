"""Items that a client puts into the conversation: checked, and as EVA keeps them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.realtime.client_events import GivenCall, GivenItem, GivenMessage, GivenPart
from services.gateway.realtime.errors import RealtimeError, invalid_value, missing
from services.gateway.realtime.item_types import (
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputText,
    Item,
    MessageItem,
    OutputAudio,
    OutputText,
    Part,
    Role,
)
from shared.subjects import new_token

MAX_ITEM_BYTES = 65_536
MAX_ID_CHARS = 128

_POSSIBLE: dict[Role, tuple[str, ...]] = {
    "system": ("input_text",),
    "user": ("input_text", "input_audio"),
    "assistant": ("output_text", "output_audio"),
}
_BETA = {
    "text": {"system": "input_text", "user": "input_text", "assistant": "output_text"},
    "audio": {"system": "input_text", "user": "input_audio", "assistant": "output_audio"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """An item of the client's, and the sound in it."""

    item: Item
    audio: bytes = b""
    """Of its parts that have no transcript yet, in the session's input format."""


def new_item_id() -> str:
    """Returns an id for an item of EVA's."""
    return f"item_{new_token()}"


def item_of(given: GivenItem) -> Given:
    """Returns a client's item as it stands in the conversation, under its own id or a new one.

    Raises:
        RealtimeError: a part that its role cannot have, or that lacks what it is made of; too long.
    """
    item_id = given.id or new_item_id()
    _check_size(item_id, MAX_ID_CHARS, "item.id")
    match given:
        case GivenMessage(role=role, content=content):
            parts = tuple(_part(role, part, f"item.content[{n}]") for n, part in enumerate(content))
            sound = b"".join(part.audio or b"" for part in content if not part.transcript)
            return Given(item=MessageItem(id=item_id, role=role, content=parts), audio=sound)
        case GivenCall(call_id=call_id, name=name, arguments=arguments):
            _check_size(name, MAX_ID_CHARS, "item.name")
            _check_size(call_id or "", MAX_ID_CHARS, "item.call_id")
            _check_size(arguments, MAX_ITEM_BYTES, "item.arguments")
            call_id = call_id or f"call_{new_token()}"
            return Given(item=FunctionCallItem(id=item_id, call_id=call_id, name=name, arguments=arguments))
        case _:
            _check_size(given.output, MAX_ITEM_BYTES, "item.output")
            output = FunctionCallOutputItem(id=item_id, call_id=given.call_id, output=given.output)
            return Given(item=output)


def _part(role: Role, part: GivenPart, param: str) -> Part:
    kind = part.type or _POSSIBLE[role][0]
    if kind not in _POSSIBLE[role]:
        instead = _BETA.get(kind, {}).get(role)
        hint = f"'{kind}' is of the beta; send '{instead}'." if instead else _possible(role)
        raise invalid_value(f"{param}.type", f"Invalid value: '{kind[:64]}'. {hint}")
    if kind in {"input_text", "output_text"}:
        if part.text is None:
            raise missing(f"{param}.text")
        _check_size(part.text, MAX_ITEM_BYTES, f"{param}.text")
        return InputText(text=part.text) if kind == "input_text" else OutputText(text=part.text)
    _check_size(part.transcript or "", MAX_ITEM_BYTES, f"{param}.transcript")
    if kind == "output_audio":
        if part.transcript is None:
            raise missing(f"{param}.transcript")
        return OutputAudio(transcript=part.transcript)
    if not part.audio and part.transcript is None:
        raise missing(f"{param}.audio")
    return InputAudio(transcript=part.transcript)


def _possible(role: Role) -> str:
    return f"EVA takes {' and '.join(_POSSIBLE[role])} of '{role}'."


def _check_size(text: str, most_bytes: int, param: str) -> None:
    size_bytes = len(text.encode(errors="replace"))
    if size_bytes > most_bytes:
        message = f"Invalid '{param}': {size_bytes} bytes, at most {most_bytes} are possible."
        raise RealtimeError(message, code="string_above_max_length", param=param)
