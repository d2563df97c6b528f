"""Reads what a client sends on ``WS /ws/chat``, and checks it; writes what EVA sends. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import get_args

import msgspec

from services.gateway.chat_protocol.base import ServerEvent
from services.gateway.chat_protocol.client import (
    AnyClientMessage,
    BargeIn,
    Format,
    Interrupt,
    OutputRate,
    Played,
    Start,
    TurnTaking,
    UserText,
)
from shared.errors import BadInput

MAX_TEXT_CHARS = 4096
MAX_TOOLS = 64
MAX_CONTROL_BYTES = 65_536
MAX_FRAME_BYTES = 65_536

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_decoder = msgspec.json.Decoder(AnyClientMessage)
_encoder = msgspec.json.Encoder()
_CHOICES = {
    "format": get_args(Format),
    "rate_hz": get_args(OutputRate),
    "sample_rate_hz": get_args(OutputRate),
}


def parse_client(text: str | bytes) -> AnyClientMessage:
    """Reads one control message.

    Raises:
        BadInput: it is too long, no JSON, of an unknown type, or a field has the wrong type or range.
    """
    if len(text) > MAX_CONTROL_BYTES:
        raise BadInput(f"a control message may have {MAX_CONTROL_BYTES} bytes, this one has {len(text)}")
    try:
        message: AnyClientMessage = _decoder.decode(text)
    except msgspec.ValidationError as error:
        param = _param(str(error))
        raise BadInput(str(error) + choices(str(error), param), param=param) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}") from error
    return _checked(message)


def choices(reason: str, param: str | None) -> str:
    """Returns what is possible where a format or a rate is not, to be put behind the reason; else nothing."""
    possible = _CHOICES.get((param or "").rpartition(".")[2])
    if possible is None or not reason.startswith("Invalid enum value"):
        return ""
    return f"; possible are {', '.join(map(str, possible))}"


def _param(reason: str) -> str | None:
    """Returns the path that msgspec names at the end of its reason (``… - at `$.audio_in.rate_hz```)."""
    _, found, path = reason.rpartition("`$.")
    return path.rstrip("`") if found else None


def _checked(message: AnyClientMessage) -> AnyClientMessage:
    match message:
        case UserText(text=text):
            if not text.strip():
                raise BadInput("the message is empty", param="text")
            if len(text) > MAX_TEXT_CHARS:
                raise BadInput(f"a message may have {MAX_TEXT_CHARS} characters", param="text")
        case Played(ms=ms) if ms < 0:
            raise BadInput("playback cannot be before its start", param="ms")
        case Interrupt(played_ms=int(ms)) if ms < 0:
            raise BadInput("playback cannot be before its start", param="played_ms")
        case Start(end_silence_ms=ms) if not 100 <= ms <= 5000:
            raise BadInput("the silence that ends a turn is 100 to 5000 ms", param="end_silence_ms")
        case Start():
            _check_turns(message.turn_taking, message.barge_in)
            _check_has(message)
            _check_mind(message)
        case _:
            pass
    return message


def _check_has(start: Start) -> None:
    has = start.has
    if has is not None and not (0 <= has.ms < math.inf):
        raise BadInput("playback cannot be before its start", param="has.ms")
    if has is not None and len(has.heard) > MAX_TEXT_CHARS:
        raise BadInput(f"what was heard may have {MAX_TEXT_CHARS} characters", param="has.heard")


def _check_mind(start: Start) -> None:
    if len(start.persona) > MAX_TEXT_CHARS:
        raise BadInput(f"a persona may have {MAX_TEXT_CHARS} characters", param="persona")
    names = [tool.name for tool in start.tools]
    if len(names) > MAX_TOOLS or len(set(names)) < len(names):
        raise BadInput(f"up to {MAX_TOOLS} tools, each with a name of its own", param="tools")
    for number, name in enumerate(names):
        if not _TOOL_NAME.fullmatch(name):
            raise BadInput(
                "a tool's name has 1 to 64 letters, digits, _ and -", param=f"tools[{number}].name"
            )


def _check_turns(turns: TurnTaking, barge_in: BargeIn) -> None:
    if not 100 <= turns.min_silence_ms <= turns.max_silence_ms <= 5000:
        raise BadInput("silences are 100 to 5000 ms, the smaller one first", param="turn_taking")
    if not 0.05 <= turns.threshold <= 0.95:
        raise BadInput("the threshold of speech is 0.05 to 0.95", param="turn_taking.threshold")
    if not 200 <= barge_in.decide_ms <= 3000:
        raise BadInput("an interruption is decided within 200 to 3000 ms", param="barge_in.decide_ms")
    if not 0 <= barge_in.min_speech_ms <= 3000:
        raise BadInput("0 to 3000 ms of speech make an interruption", param="barge_in.min_speech_ms")
    if not 1 <= barge_in.min_words <= 20:
        raise BadInput("1 to 20 words make an interruption", param="barge_in.min_words")


encode_event: Callable[[ServerEvent], bytes] = _encoder.encode
"""Returns the event as JSON in UTF-8."""
