"""What EVA sends to a client of the Realtime API, but for a response's own events. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from services.gateway.realtime.errors import ErrorDetail, FailureDetail
from services.gateway.realtime.event_base import RealtimeEvent
from services.gateway.realtime.item_types import Item


class ErrorEvent(RealtimeEvent, frozen=True, kw_only=True, tag="error"):
    """Something was not done; the session goes on."""

    error: ErrorDetail


class SessionCreated(RealtimeEvent, frozen=True, kw_only=True, tag="session.created"):
    """The first event; ``session`` is ``session.as_wire``."""

    session: dict[str, Any]


class SessionUpdated(RealtimeEvent, frozen=True, kw_only=True, tag="session.updated"):
    """The answer to each ``session.update``: the whole effective session."""

    session: dict[str, Any]


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """The default conversation."""

    id: str
    object: Literal["realtime.conversation"] = "realtime.conversation"


class ConversationCreated(RealtimeEvent, frozen=True, kw_only=True, tag="conversation.created"):
    """Behind ``session.created``."""

    conversation: Conversation


class ItemAdded(RealtimeEvent, frozen=True, kw_only=True, tag="conversation.item.added"):
    """An item stands in the conversation; what it says may still grow."""

    previous_item_id: str | None
    item: Item


class ItemDone(RealtimeEvent, frozen=True, kw_only=True, tag="conversation.item.done"):
    """The item is whole."""

    previous_item_id: str | None
    item: Item


class ItemRetrieved(RealtimeEvent, frozen=True, kw_only=True, tag="conversation.item.retrieved"):
    """The answer to ``conversation.item.retrieve``."""

    item: Item


class ItemDeleted(RealtimeEvent, frozen=True, kw_only=True, tag="conversation.item.deleted"):
    """The answer to ``conversation.item.delete``."""

    item_id: str


class ItemTruncated(RealtimeEvent, frozen=True, kw_only=True, tag="conversation.item.truncated"):
    """The answer to ``conversation.item.truncate``: the words behind the cut are gone too."""

    item_id: str
    content_index: int
    audio_end_ms: int


class TranscriptionDelta(
    RealtimeEvent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.delta"
):
    """More of what the person says."""

    item_id: str
    content_index: int = 0
    delta: str


class DurationUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What was transcribed."""

    type: Literal["duration"] = "duration"
    seconds: float


class TranscriptionCompleted(
    RealtimeEvent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.completed"
):
    """What the person said."""

    item_id: str
    content_index: int = 0
    transcript: str
    usage: DurationUsage


class TranscriptionFailed(
    RealtimeEvent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.failed"
):
    """The item has no transcript and will have none."""

    item_id: str
    content_index: int = 0
    error: FailureDetail


class SpeechStarted(RealtimeEvent, frozen=True, kw_only=True, tag="input_audio_buffer.speech_started"):
    """The person began to speak; ``item_id`` is what the item will have. Milliseconds of the session."""

    item_id: str
    audio_start_ms: int


class SpeechStopped(RealtimeEvent, frozen=True, kw_only=True, tag="input_audio_buffer.speech_stopped"):
    """The person's turn is over."""

    item_id: str
    audio_end_ms: int


class Committed(RealtimeEvent, frozen=True, kw_only=True, tag="input_audio_buffer.committed"):
    """What was heard becomes an item."""

    previous_item_id: str | None
    item_id: str


class BufferCleared(RealtimeEvent, frozen=True, kw_only=True, tag="input_audio_buffer.cleared"):
    """What was heard is thrown away."""


class TimeoutTriggered(RealtimeEvent, frozen=True, kw_only=True, tag="input_audio_buffer.timeout_triggered"):
    """The person has said nothing for ``idle_timeout_ms``; a response follows."""

    item_id: str
    audio_start_ms: int
    audio_end_ms: int


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may still use."""

    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_seconds: float


class RateLimitsUpdated(RealtimeEvent, frozen=True, kw_only=True, tag="rate_limits.updated"):
    """Behind each response."""

    rate_limits: tuple[RateLimit, ...]


class OutputBufferCleared(RealtimeEvent, frozen=True, kw_only=True, tag="output_audio_buffer.cleared"):
    """The answer to ``output_audio_buffer.clear``; over WebSocket the client holds the sound itself."""

    response_id: str
