"""What a client of the Realtime API sends. Pure.

Tolerant where real clients need it: fields that are not known are ignored, null stands for absent. Session
patches and the parameters of a response stay as they came: ``session.update`` and ``overrides`` check them.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from services.gateway.realtime.item_types import Role


class ClientEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all of them."""

    event_id: str | None = None
    """The client's own; an error that the event causes names it."""


class SessionUpdate(ClientEvent, frozen=True, kw_only=True, tag="session.update"):
    """Changes the session; each is answered by its own ``session.updated``."""

    session: dict[str, Any]
    """What is not in it stays as it is (``session.update``)."""


class Append(ClientEvent, frozen=True, kw_only=True, tag="input_audio_buffer.append"):
    """Microphone, in the session's input format; base64 on the wire."""

    audio: bytes


class Commit(ClientEvent, frozen=True, kw_only=True, tag="input_audio_buffer.commit"):
    """What was heard becomes an item."""


class Clear(ClientEvent, frozen=True, kw_only=True, tag="input_audio_buffer.clear"):
    """What was heard is thrown away."""


class GivenPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a message; which fields there must be depends on the type."""

    type: str | None = None
    text: str | None = None
    transcript: str | None = None
    audio: bytes | None = None


class GivenMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """Something that was said."""

    id: str | None = None
    role: Role
    content: tuple[GivenPart, ...]


class GivenCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """A call that the model made, as the client tells it."""

    id: str | None = None
    call_id: str | None = None
    name: str
    arguments: str


class GivenOutput(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output"):
    """What a function of the client's has returned."""

    id: str | None = None
    call_id: str
    output: str


GivenItem = GivenMessage | GivenCall | GivenOutput


class ItemCreate(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.create"):
    """Puts an item into the conversation."""

    previous_item_id: str | None = None
    """Behind which item; ``root``: at the beginning; None: at the end."""
    item: GivenItem


class ItemRetrieve(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.retrieve"):
    """Asks for an item as it stands."""

    item_id: str


class ItemDelete(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.delete"):
    """Takes an item out."""

    item_id: str


class ItemTruncate(ClientEvent, frozen=True, kw_only=True, tag="conversation.item.truncate"):
    """Says how much of EVA's sound was heard."""

    item_id: str
    content_index: int
    audio_end_ms: float
    """Whole by the protocol; a part of a millisecond is no reason to refuse it."""


class ItemReference(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="item_reference"):
    """An item of the conversation, in the input of a response."""

    id: str


class ResponseAudioOutput(msgspec.Struct, frozen=True, kw_only=True):
    """How this response sounds."""

    format: dict[str, Any] | None = None
    voice: str | dict[str, Any] | None = None


class ResponseAudioParams(msgspec.Struct, frozen=True, kw_only=True):
    """As in the session's ``audio``."""

    output: ResponseAudioOutput | None = None


class ResponseParams(msgspec.Struct, frozen=True, kw_only=True):
    """What is other in this response than in the session; None: as there."""

    conversation: Literal["auto", "none"] | None = None
    """``none``: out of band, beside the conversation."""
    input: tuple[GivenItem | ItemReference, ...] | None = None
    """In place of the conversation; empty: nothing."""
    output_modalities: tuple[str, ...] | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    max_output_tokens: int | Literal["inf"] | None = None
    metadata: dict[str, Any] | None = None
    """Echoed; up to 16 pairs, 64 and 512 characters."""
    audio: ResponseAudioParams | None = None


class ResponseCreate(ClientEvent, frozen=True, kw_only=True, tag="response.create"):
    """Asks for an answer."""

    response: ResponseParams | None = None


class ResponseCancel(ClientEvent, frozen=True, kw_only=True, tag="response.cancel"):
    """Stops the answer; None: the one in flight."""

    response_id: str | None = None


class OutputBufferClear(ClientEvent, frozen=True, kw_only=True, tag="output_audio_buffer.clear"):
    """Stops the sound; for transports where the server holds it."""


AnyClientEvent = (
    SessionUpdate | Append | Commit | Clear | ItemCreate | ItemRetrieve | ItemDelete | ItemTruncate
    | ResponseCreate | ResponseCancel | OutputBufferClear
)  # fmt: skip
