"""What every event of ``WS /ws/chat`` is, and the reports that end a turn. Pure."""

from __future__ import annotations

import msgspec


class ServerEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what EVA sends as JSON."""


class EngineReport(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine served a stage of a turn."""

    engine: str
    model: str = ""
    device: str = ""
    is_degraded: bool = False


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds; the parts up to ``response_ms`` add up to it. Parts that a turn does not have are 0."""

    endpoint_ms: float = 0.0
    """End of speech → the decision that the turn is over (waiting in silence, by configuration)."""
    stt_ms: float = 0.0
    """That decision → transcript at the gateway."""
    llm_ms: float = 0.0
    """Turn at the gateway → first segment handed to the voice."""
    tts_ms: float = 0.0
    """First segment → its first chunk at the gateway."""
    send_ms: float = 0.0
    """First chunk at the gateway → its first audible chunk written to the socket."""
    response_ms: float = 0.0
    """End of speech, or the typed turn's arrival → first audible audio at the socket."""
    first_token_ms: float = 0.0
    """Turn at the gateway → first text at the gateway."""
    total_ms: float = 0.0
    """Turn at the gateway → the terminal event."""
    audio_ms: float = 0.0
    """Duration of the answer's sound."""
    attempts: int = 1
    repeats: int = 0
    """Segments that had to be made again."""
    is_speculative: bool = False
    """The answer was begun before the end of the person's turn was decided; what was ready took no time."""
    first_sound_ms: float = 0.0
    """End of speech, or the typed turn's arrival → first audible sound of any kind, a filler's too."""
    fillers: int = 0
    """How often a silence was bridged."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that a turn took, all its rounds and attempts together, as far as providers tell."""

    input_tokens: int
    cached_tokens: int = 0
    """Of the input tokens."""
    output_tokens: int
