"""What EVA sends about one response to a client of the Realtime API. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from services.gateway.realtime.event_base import RealtimeEvent
from services.gateway.realtime.item_types import Item
from services.gateway.realtime.session_types import AudioFormat, Modality


class ResponseError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a response failed."""

    type: str
    code: str | None = None
    message: str | None = None


class StatusDetails(msgspec.Struct, frozen=True, kw_only=True):
    """How a response ended."""

    type: Literal["completed", "cancelled", "incomplete", "failed"]
    reason: (
        Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"] | UnsetType
    ) = UNSET
    error: ResponseError | UnsetType = UNSET


class CachedDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Of the input tokens, what a provider had in its cache."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


class InputDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What the input tokens were."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: CachedDetails = CachedDetails()


class OutputDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What the output tokens were."""

    text_tokens: int = 0
    audio_tokens: int = 0


class ResponseUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of the language model."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: InputDetails
    output_token_details: OutputDetails

    @classmethod
    def of(cls, *, input_tokens: int, cached_tokens: int, output_tokens: int) -> ResponseUsage:
        """Returns the usage of a mind that reads and writes text only."""
        return cls(
            total_tokens=input_tokens + output_tokens,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            input_token_details=InputDetails(
                text_tokens=input_tokens,
                cached_tokens=cached_tokens,
                cached_tokens_details=CachedDetails(text_tokens=cached_tokens),
            ),
            output_token_details=OutputDetails(text_tokens=output_tokens),
        )


class ResponseVoice(msgspec.Struct, frozen=True, kw_only=True):
    """How a response sounds."""

    format: AudioFormat
    voice: str


class ResponseAudio(msgspec.Struct, frozen=True, kw_only=True):
    """As ``SessionConfig.audio``, without the microphone."""

    output: ResponseVoice


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    id: str
    object: Literal["realtime.response"] = "realtime.response"
    status: Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
    status_details: StatusDetails | UnsetType = UNSET
    output: tuple[Item, ...] = ()
    conversation_id: str | UnsetType = UNSET
    """``UNSET``: it belongs to none (out of band)."""
    output_modalities: tuple[Modality, ...] = ("audio",)
    max_output_tokens: int | Literal["inf"] = "inf"
    audio: ResponseAudio | UnsetType = UNSET
    usage: ResponseUsage | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET


class ResponseCreated(RealtimeEvent, frozen=True, kw_only=True, tag="response.created"):
    """An answer is being made; ``response.done`` follows in any case."""

    response: Response


class ResponseDone(RealtimeEvent, frozen=True, kw_only=True, tag="response.done"):
    """However it ended."""

    response: Response


class OutputItemAdded(RealtimeEvent, frozen=True, kw_only=True, tag="response.output_item.added"):
    """The answer has another item."""

    response_id: str
    output_index: int
    item: Item


class OutputItemDone(RealtimeEvent, frozen=True, kw_only=True, tag="response.output_item.done"):
    """The item is whole, or as whole as it will be."""

    response_id: str
    output_index: int
    item: Item


class ContentPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a message, as the events about parts have it: not the types of an item's parts."""

    type: Literal["text", "audio"]
    text: str | UnsetType = UNSET
    transcript: str | UnsetType = UNSET


class ContentEvent(RealtimeEvent, frozen=True, kw_only=True):
    """Base of what is about one part of one item of a response."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int = 0


class ContentPartAdded(ContentEvent, frozen=True, kw_only=True, tag="response.content_part.added"):
    """The item has another part."""

    part: ContentPart


class ContentPartDone(ContentEvent, frozen=True, kw_only=True, tag="response.content_part.done"):
    """The part is whole."""

    part: ContentPart


class TextDelta(ContentEvent, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """More of a written answer."""

    delta: str


class TextDone(ContentEvent, frozen=True, kw_only=True, tag="response.output_text.done"):
    """All of it."""

    text: str


class AudioDelta(ContentEvent, frozen=True, kw_only=True, tag="response.output_audio.delta"):
    """More of the sound: the bytes, written in base64."""

    delta: bytes


class AudioDone(ContentEvent, frozen=True, kw_only=True, tag="response.output_audio.done"):
    """There is no more sound."""


class TranscriptDelta(ContentEvent, frozen=True, kw_only=True, tag="response.output_audio_transcript.delta"):
    """More of what is spoken."""

    delta: str


class TranscriptDone(ContentEvent, frozen=True, kw_only=True, tag="response.output_audio_transcript.done"):
    """All that is spoken."""

    transcript: str


class ArgumentsDelta(RealtimeEvent, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"):
    """More of a call's arguments."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    delta: str


class ArgumentsDone(RealtimeEvent, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    """A call, ready to be made."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    name: str
    arguments: str
