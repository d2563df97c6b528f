"""The body of ``POST /v1/chat/completions``, as OpenAI's clients send it. Pure.

Fields that are not listed are accepted and without effect, as are ``model``, ``top_p``, penalties, ``seed``,
``logit_bias``, ``user``, ``metadata``, ``store``, ``service_tier``, ``reasoning_effort`` and ``verbosity``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

AudioFormatName = Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]


class InputAudio(msgspec.Struct, frozen=True, kw_only=True):
    """A recording."""

    data: str
    """Base64."""
    format: str = ""
    """What it is, its content tells."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a message."""

    type: str
    """``text``, ``input_audio`` or ``refusal``."""
    text: str = ""
    refusal: str = ""
    input_audio: InputAudio | None = None


class CalledFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function that was called."""

    name: str
    arguments: str
    """JSON, as the model wrote it."""


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a function."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class AudioRef(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier answer that was sound."""

    id: str


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[Called] | None = None
    """What an assistant's message calls."""
    tool_call_id: str = ""
    """The call that a tool's message is the result of."""
    audio: AudioRef | None = None
    """Instead of an assistant's words: the answer that had this id."""


class FunctionWish(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON Schema."""


class ToolWish(msgspec.Struct, frozen=True, kw_only=True):
    """A tool; functions are all that there are."""

    type: str
    function: FunctionWish | None = None


class ChosenFunction(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a function."""

    name: str


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The function that is to be called."""

    type: Literal["function"]
    function: ChosenFunction


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream tells."""

    include_usage: bool | None = None


class VoiceId(msgspec.Struct, frozen=True, kw_only=True):
    """A voice by its id: for EVA, its name."""

    id: str


class AudioWish(msgspec.Struct, frozen=True, kw_only=True):
    """How the answer is to sound."""

    voice: str | VoiceId
    format: AudioFormatName
    """``pcm16``: signed 16-bit little-endian mono samples, 24 kHz; the only one that is streamed."""


class ResponseShape(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer looks like: ``text``."""

    type: str


class ChatWish(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/chat/completions``."""

    model: str
    """Any name: EVA's configuration decides."""
    messages: list[Said]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[ToolWish] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    """false: of several calls only the first is told."""
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    """0 to 2."""
    n: int | None = None
    """1."""
    stop: str | list[str] | None = None
    """Up to 4; where one comes the answer ends before it. Not with sound: what was said is not taken back."""
    modalities: list[Literal["text", "audio"]] | None = None
    audio: AudioWish | None = None
    response_format: ResponseShape | None = None
    logprobs: bool | None = None
    functions: list[Any] | None = None
    function_call: Any = None
    web_search_options: Any = None

    @property
    def is_spoken(self) -> bool:
        """Whether the answer is wanted as sound."""
        return "audio" in (self.modalities or ())

    @property
    def stops(self) -> list[str]:
        """Where the answer is to end."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())
