"""Every message that crosses the bus: frozen, tagged structs in MessagePack, audio as raw bytes.

Fields are only ever added, with a default, so that old and new processes understand each other;
``tests/shared/test_messages.py`` holds the golden bytes. Work and events are fenced by
``(session, turn, attempt)``: the gateway counts turns from 1 within a session and attempts from 1 within
a turn, and ignores whatever is older than what it last asked for. Time travels as *remaining*
milliseconds, never as a clock reading.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from shared.errors import MalformedMessage
from shared.messages.base import (
    AudioFormat,
    Codec,
    Message,
    Stage,
    State,
)
from shared.messages.ears import (
    CloseEars,
    EarsAlive,
    EarsClaimed,
    EarsFailed,
    EarsRefused,
    EndedBy,
    EndUtterance,
    Final,
    MicFrame,
    OpenEars,
    Partial,
    SpeechProgress,
    SpeechResumed,
    SpeechStarted,
    TurnDetection,
    TurnLikely,
    Word,
)
from shared.messages.files import (
    FileChunk,
    FileDone,
    FileFailed,
    FileProgress,
    FileSegment,
    FileTaken,
    OpenFile,
)
from shared.messages.mind import (
    ChatMessage,
    Generate,
    MindDone,
    RouteReport,
    Summary,
    TextDelta,
    ToolCall,
    ToolSpec,
    ToolUse,
)
from shared.messages.sessions import (
    Pending,
    Rest,
    SessionClaim,
    SessionHandedOver,
    SessionRecord,
    SessionTaken,
)
from shared.messages.voice import (
    AudioChunk,
    SegmentDone,
    Synthesize,
    Timing,
    VisemeTime,
    WordTime,
)
from shared.messages.workers import (
    Cancel,
    EngineFact,
    Facts,
    Failed,
    Working,
)

__all__ = [
    "AnyMessage",
    "AudioChunk",
    "AudioFormat",
    "Cancel",
    "ChatMessage",
    "CloseEars",
    "Codec",
    "EarsAlive",
    "EarsClaimed",
    "EarsFailed",
    "EarsRefused",
    "EndUtterance",
    "EndedBy",
    "EngineFact",
    "Facts",
    "Failed",
    "FileChunk",
    "FileDone",
    "FileFailed",
    "FileProgress",
    "FileSegment",
    "FileTaken",
    "Final",
    "Generate",
    "Message",
    "MicFrame",
    "MindDone",
    "OpenEars",
    "OpenFile",
    "Partial",
    "Pending",
    "Rest",
    "RouteReport",
    "SegmentDone",
    "SessionClaim",
    "SessionHandedOver",
    "SessionRecord",
    "SessionTaken",
    "SpeechProgress",
    "SpeechResumed",
    "SpeechStarted",
    "Stage",
    "State",
    "Summary",
    "Synthesize",
    "TextDelta",
    "Timing",
    "ToolCall",
    "ToolSpec",
    "ToolUse",
    "TurnDetection",
    "TurnLikely",
    "VisemeTime",
    "Word",
    "WordTime",
    "Working",
    "decode",
    "encode",
]

AnyMessage = (
    OpenEars
    | EarsClaimed
    | EarsRefused
    | MicFrame
    | EndUtterance
    | CloseEars
    | EarsAlive
    | SpeechStarted
    | SpeechProgress
    | Partial
    | TurnLikely
    | SpeechResumed
    | Final
    | EarsFailed
    | OpenFile
    | FileChunk
    | FileTaken
    | FileProgress
    | FileSegment
    | FileDone
    | FileFailed
    | Generate
    | TextDelta
    | MindDone
    | Summary
    | ToolCall
    | Synthesize
    | AudioChunk
    | SegmentDone
    | Timing
    | Working
    | Failed
    | Cancel
    | Facts
    | SessionClaim
    | SessionHandedOver
    | SessionTaken
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyMessage)


encode: Callable[[Message], bytes] = _encoder.encode
"""Returns the message's bytes on the wire."""


def decode(payload: bytes) -> AnyMessage:
    """Reads one message.

    Raises:
        MalformedMessage: the bytes are no message of ours.
    """
    try:
        message: AnyMessage = _decoder.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(len(payload), str(error)) from error
    return message
