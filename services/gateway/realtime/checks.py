"""The ranges of a session's settings; their errors are OpenAI's. Pure."""

from __future__ import annotations

import re

import msgspec

from services.gateway.realtime.errors import RealtimeError, invalid_value
from services.gateway.realtime.session_types import (
    FunctionTool,
    NamedFunction,
    ServerVad,
    SessionConfig,
    TurnDetection,
)

MAX_INSTRUCTIONS_BYTES = 65_536
MAX_TOOLS = 128
MAX_TOOLS_BYTES = 65_536
"""Work for the mind carries both, and the conversation beside them, in one message of the bus (256 KiB)."""
MAX_OUTPUT_TOKENS = 4096
MAX_VOICE_CHARS = 256
MAX_MODEL_CHARS = 256

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check(config: SessionConfig, within: str) -> None:
    """Checks what types alone cannot say; ``within`` is the path of the settings.

    Raises:
        RealtimeError: a value is out of its range.
    """
    if config.output_modalities not in {("text",), ("audio",)}:
        message = (
            f"Invalid modalities: {list(config.output_modalities)}. Supported are ['text'] and ['audio']."
        )
        raise invalid_value(f"{within}.output_modalities", message)
    _check_size(config.instructions, MAX_INSTRUCTIONS_BYTES, f"{within}.instructions")
    _check_size(config.model, MAX_MODEL_CHARS, f"{within}.model")
    _check_size(config.audio.output.voice, MAX_VOICE_CHARS, f"{within}.audio.output.voice")
    _check_tools(config.tools, f"{within}.tools")
    choice = config.tool_choice
    if isinstance(choice, NamedFunction) and choice.name not in {tool.name for tool in config.tools}:
        raise invalid_value(f"{within}.tool_choice", f"There is no function '{choice.name[:64]}'.")
    if config.max_output_tokens != "inf":
        _check_range(config.max_output_tokens, 1, MAX_OUTPUT_TOKENS, f"{within}.max_output_tokens")
    _check_range(config.audio.output.speed, 0.25, 1.5, f"{within}.audio.output.speed")
    _check_detection(config.audio.input.turn_detection, f"{within}.audio.input.turn_detection")


def _check_detection(detection: TurnDetection | None, within: str) -> None:
    if isinstance(detection, ServerVad):
        _check_range(detection.threshold, 0.0, 1.0, f"{within}.threshold")
        _check_range(detection.prefix_padding_ms, 0, 10_000, f"{within}.prefix_padding_ms")
        _check_range(detection.silence_duration_ms, 0, 10_000, f"{within}.silence_duration_ms")
        if detection.idle_timeout_ms is not None:
            _check_range(detection.idle_timeout_ms, 5000, 30_000, f"{within}.idle_timeout_ms")


def _check_tools(tools: tuple[FunctionTool, ...], within: str) -> None:
    if len(tools) > MAX_TOOLS:
        message = f"Invalid '{within}': expected at most {MAX_TOOLS} functions, but got {len(tools)}."
        raise RealtimeError(message, code="array_above_max_length", param=within)
    known: set[str] = set()
    for number, tool in enumerate(tools):
        if not _TOOL_NAME.fullmatch(tool.name):
            message = "A function's name has 1 to 64 letters, digits, _ and -."
            raise invalid_value(f"{within}[{number}].name", message)
        if tool.name in known:
            raise invalid_value(f"{within}[{number}].name", f"There are two functions '{tool.name}'.")
        known.add(tool.name)
    size_bytes = len(msgspec.json.encode(tools))
    if size_bytes > MAX_TOOLS_BYTES:
        message = f"Invalid '{within}': {size_bytes} bytes in all, at most {MAX_TOOLS_BYTES} are possible."
        raise RealtimeError(message, code="array_above_max_length", param=within)


def _check_size(text: str, most_bytes: int, param: str) -> None:
    size_bytes = len(text.encode(errors="replace"))
    if size_bytes > most_bytes:
        message = f"Invalid '{param}': {size_bytes} bytes, at most {most_bytes} are possible."
        raise RealtimeError(message, code="string_above_max_length", param=param)


def _check_range(value: float, least: float, most: float, param: str) -> None:
    kind = "integer" if isinstance(value, int) else "decimal"
    for is_wrong, word, sign, bound in (
        (value < least, "below_min", ">=", least),
        (value > most, "above_max", "<=", most),
    ):
        if is_wrong:
            side = "below minimum" if word == "below_min" else "above maximum"
            message = f"Invalid '{param}': {kind} {side} value. Expected a value {sign} {bound}, got {value}."
            raise RealtimeError(message, code=f"{kind}_{word}_value", param=param)
