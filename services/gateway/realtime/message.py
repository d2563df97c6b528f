"""One message of a response, being said or written. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from services.gateway.chat_protocol import AudioEvent, SegmentEvent, WordsEvent
from services.gateway.realtime.cut import SpokenTo
from services.gateway.realtime.events import (
    AudioDone,
    ContentPart,
    ContentPartDone,
    RealtimeEvent,
    TextDone,
    TranscriptDone,
)
from services.gateway.realtime.item_types import MessageItem, OutputAudio, OutputText, Status

PIECE_MS = 100
"""Of sound in one event: some clients take no frame of more than 1 MiB, and what is queued can be dropped."""
_WIDTH = {"pcm": 2, "mulaw": 1, "alaw": 1}


def pieces(event: AudioEvent, sound: bytes) -> list[tuple[AudioEvent, bytes]]:
    """Returns sound cut into at most 100 ms."""
    step = _WIDTH[event.format] * event.rate_hz * PIECE_MS // 1000
    cut = [sound[start : start + step] for start in range(0, len(sound), step)]
    return [
        (
            replace(event, duration_ms=event.duration_ms * len(part) / len(sound), size_bytes=len(part)),
            part,
        )
        for part in cut
    ]


@dataclass(slots=True)
class Message:
    """The message that is being said or written."""

    item: MessageItem
    """As it was begun."""
    is_spoken: bool
    previous: str | None
    """The id of the item before it."""
    output_index: int = -1
    """-1: nobody was told of it."""
    told: str = ""
    audio_ms: float = 0.0
    begins: dict[int, int] = field(default_factory=dict)
    """Where in the text each segment begins."""
    said_by: dict[int, float] = field(default_factory=dict)
    """When the text up to a character is said."""

    @property
    def part(self) -> ContentPart:
        """What was told of it, as the events about parts have it."""
        if self.is_spoken:
            return ContentPart(type="audio", transcript=self.told)
        return ContentPart(type="text", text=self.told)

    @property
    def marks(self) -> list[SpokenTo]:
        """When its words are said, as far as that is known."""
        return [SpokenTo(end_ms, chars) for chars, end_ms in sorted(self.said_by.items())]

    def say(self, segment: SegmentEvent) -> str:
        """Takes the next words; returns what is new of the transcript."""
        delta = f" {segment.text}" if self.told else segment.text
        self.begins[segment.segment] = len(self.told) + len(delta) - len(segment.text)
        self.told += delta
        return delta

    def time(self, event: WordsEvent) -> None:
        """Notes when words are said: where the client cuts the sound the text is cut."""
        begins = self.begins.get(event.segment)
        if begins is not None:
            self.said_by |= {begins + word.end: word.end_ms for word in event.words}

    def place(self, response_id: str) -> dict[str, Any]:
        """Returns what all events about its part say."""
        return {"response_id": response_id, "item_id": self.item.id, "output_index": self.output_index}

    def tail(self, response_id: str) -> list[RealtimeEvent]:
        """Tells that there is no more of it."""
        place = self.place(response_id)
        done: list[RealtimeEvent] = [TextDone(**place, text=self.told)]
        if self.is_spoken:
            done = [AudioDone(**place), TranscriptDone(**place, transcript=self.told)]
        return [*done, ContentPartDone(**place, part=self.part)]

    def as_it_is(self, status: Status, text: str) -> MessageItem:
        """Returns the item with a text."""
        part = OutputAudio(transcript=text) if self.is_spoken else OutputText(text=text)
        return replace(self.item, status=status, content=(part,))
