"""A Realtime session's configuration, with the names that it has on the wire. Pure.

The defaults are OpenAI's. What is null here is left out on the wire (``session.as_wire``).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Modality = Literal["text", "audio"]
Eagerness = Literal["low", "medium", "high", "auto"]


class Pcm(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="audio/pcm"):
    """Signed 16-bit little-endian mono."""

    rate: Literal[24000] = 24000


class Pcmu(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="audio/pcmu"):
    """G.711 µ-law, 8 kHz."""


class Pcma(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="audio/pcma"):
    """G.711 A-law, 8 kHz."""


AudioFormat = Pcm | Pcmu | Pcma


class Transcription(msgspec.Struct, frozen=True, kw_only=True):
    """How what is spoken is transcribed: EVA's ears do that in any case; the names are only echoed.

    Of what clients may send just these are kept: one of them dies of any other.
    """

    model: str | None = None
    language: str | None = None
    prompt: str | None = None


class NoiseReduction(msgspec.Struct, frozen=True, kw_only=True):
    """Accepted and echoed; EVA's ears have their own."""

    type: Literal["near_field", "far_field"] | None = None


class ServerVad(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="server_vad"):
    """The turn ends by silence alone."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    """Echoed; how much before an onset EVA's ears take along is theirs to know."""
    silence_duration_ms: int = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = None


class SemanticVad(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="semantic_vad"):
    """The turn ends by silence, words and models together."""

    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = ServerVad | SemanticVad


class AudioInput(msgspec.Struct, frozen=True, kw_only=True):
    """The client's microphone."""

    format: AudioFormat = Pcm()
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = ServerVad()
    """None: the client says when the turn is over (``input_audio_buffer.commit``)."""


class AudioOutput(msgspec.Struct, frozen=True, kw_only=True):
    """EVA's voice."""

    format: AudioFormat = Pcm()
    voice: str = ""
    speed: float = 1.0


class Audio(msgspec.Struct, frozen=True, kw_only=True):
    """Both directions."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class FunctionTool(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the client's."""

    type: Literal["function"] = "function"
    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    """JSON Schema of its arguments."""


class NamedFunction(msgspec.Struct, frozen=True, kw_only=True):
    """The function that is to be called."""

    type: Literal["function"] = "function"
    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedFunction


class TracingConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Accepted and echoed; EVA writes no traces at OpenAI."""

    workflow_name: str | None = None
    group_id: str | None = None
    metadata: dict[str, Any] | None = None


class TokenLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Part of ``RetentionRatio``."""

    post_instructions: int | None = None


class RetentionRatio(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Accepted and echoed; what EVA's mind is told is trimmed to what its models hold."""

    retention_ratio: float
    type: Literal["retention_ratio"]
    token_limits: TokenLimits | None = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Accepted and echoed."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The effective session."""

    id: str
    type: Literal["realtime", "transcription"] = "realtime"
    model: str
    expires_at: int
    """Seconds since 1970."""
    output_modalities: tuple[Modality, ...] = ("audio",)
    instructions: str = ""
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: ToolChoice = "auto"
    max_output_tokens: int | Literal["inf"] = "inf"
    parallel_tool_calls: bool | None = None
    tracing: Literal["auto"] | TracingConfig | None = None
    truncation: Literal["auto", "disabled"] | RetentionRatio = "auto"
    reasoning: Reasoning | None = None
    audio: Audio = Audio()
