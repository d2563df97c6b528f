"""One stretch of the person's speech as it stands on the wire, and its transcript. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.gateway.realtime.errors import FailureDetail
from services.gateway.realtime.events import (
    DurationUsage,
    RealtimeEvent,
    SpeechStarted,
    SpeechStopped,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailed,
)
from services.gateway.realtime.item_types import InputAudio, MessageItem
from services.gateway.realtime.session_types import ServerVad, TurnDetection


@dataclass(slots=True)
class Utterance:
    """One that the client does not end itself."""

    item_id: str
    start_ms: int
    """Of the session's sound."""
    state: Literal["pending", "held", "told", "passed"] = "pending"
    """``held``: it is being judged; ``passed``: it was no interruption."""
    has_stopped: bool = False
    stable: str = ""
    """What was told of its transcript."""

    def start(self, detection: TurnDetection | None) -> list[RealtimeEvent]:
        """Tells that it has begun."""
        self.state = "told"
        padding_ms = detection.prefix_padding_ms if isinstance(detection, ServerVad) else 0
        return [SpeechStarted(item_id=self.item_id, audio_start_ms=max(0, self.start_ms - padding_ms))]

    def stop(self, at_ms: int, detection: TurnDetection | None, appended_ms: float) -> list[RealtimeEvent]:
        """Tells that it is over, once; as OpenAI does with the silence that has ended it."""
        if self.has_stopped:
            return []
        self.has_stopped = True
        silence_ms = detection.silence_duration_ms if isinstance(detection, ServerVad) else 0
        end_ms = max(at_ms, min(at_ms + silence_ms, int(appended_ms)))
        return [SpeechStopped(item_id=self.item_id, audio_end_ms=end_ms)]

    def hear(self, settled: str) -> list[RealtimeEvent]:
        """Tells what is settled of its words."""
        if self.state != "told" or not settled.startswith(self.stable):
            return []
        delta, self.stable = settled[len(self.stable) :], settled
        return [TranscriptionDelta(item_id=self.item_id, delta=delta)] if delta else []


def spoken_item(item_id: str, transcript: str | None) -> MessageItem:
    """Returns what was said as an item; None: it has no transcript yet."""
    return MessageItem(id=item_id, role="user", content=(InputAudio(transcript=transcript),))


def completed(item_id: str, text: str, told: str, seconds: float) -> list[RealtimeEvent]:
    """Tells the transcript, and first what was not told of it yet."""
    delta = text[len(told) :] if text.startswith(told) else ""
    done = TranscriptionCompleted(item_id=item_id, transcript=text, usage=DurationUsage(seconds=seconds))
    return [*([TranscriptionDelta(item_id=item_id, delta=delta)] if delta else []), done]


def failed(item_id: str, code: str, message: str) -> RealtimeEvent:
    """Tells that there will be no transcript."""
    error = FailureDetail(type="server_error", code=code, message=message)
    return TranscriptionFailed(item_id=item_id, error=error)


def turn_number(turn_id: str) -> int:
    """Returns which turn of its session has this id."""
    return int(turn_id.rpartition("-")[2])
