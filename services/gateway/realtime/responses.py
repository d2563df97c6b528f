"""One response as it stands on the wire, from what EVA tells of the turn that makes it. Pure.

The order is what clients were seen to need: ``response.created``; for each item ``output_item.added``,
``conversation.item.added``, its parts, ``conversation.item.done``, ``output_item.done``; and in any case,
however the turn ended, ``response.done``. What is written of a spoken answer is what goes to the voice,
segment by segment: the model's own text may be begun anew, what was said may not. A call is told as soon
as the model has made it, beside what is still being said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from msgspec import UNSET
from msgspec.structs import replace

from services.gateway.chat_protocol import (
    AudioEvent,
    SegmentEvent,
    ServerEvent,
    Token,
    ToolCallEvent,
    WordsEvent,
)
from services.gateway.realtime.cut import SpokenTo
from services.gateway.realtime.endings import Ending, details_of, usage_of
from services.gateway.realtime.events import (
    ArgumentsDelta,
    ArgumentsDone,
    AudioDelta,
    ContentPartAdded,
    ItemAdded,
    ItemDone,
    OutputItemAdded,
    OutputItemDone,
    RateLimit,
    RateLimitsUpdated,
    RealtimeEvent,
    Response,
    ResponseAudio,
    ResponseCreated,
    ResponseDone,
    ResponseVoice,
    TextDelta,
    TranscriptDelta,
)
from services.gateway.realtime.given import new_item_id
from services.gateway.realtime.item_types import FunctionCallItem, Item, MessageItem
from services.gateway.realtime.message import Message
from services.gateway.realtime.session_types import AudioFormat, Modality, Pcm

PCM = Pcm()


class Conversed(Protocol):
    """The conversation that a response belongs to."""

    def place(self, item: Item) -> str | None:
        """Puts an item at the end; returns the id of the one before it."""

    def settle(self, item: Item) -> None:
        """Takes an item as it has become."""

    def withdraw(self, item_id: str) -> None:
        """Takes an item out again that nobody was told of."""

    def sounded(self, item_id: str, audio_ms: float, marks: Sequence[SpokenTo] = ()) -> None:
        """Notes how long an answer's sound is that was sent, and when its words are said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a response is to be."""

    id: str
    modality: Modality = "audio"
    conversation_id: str | None = None
    """None: out of band."""
    voice: str = ""
    format: AudioFormat = PCM
    max_output_tokens: int | Literal["inf"] = "inf"
    metadata: Mapping[str, str] | None = None


@dataclass(slots=True)
class Responding:
    """One response in flight. ``conversation``: None out of band."""

    wanted: Wanted
    conversation: Conversed | None = None
    is_over: bool = False
    audio_ms: float = 0.0
    """Sound that was sent."""
    _output: list[Item] = field(default_factory=list)
    _message: Message | None = None
    _text: str = ""
    """What the model has written, as far as that was told."""
    _expected: str = ""
    """All that will be told, as it stands."""

    @property
    def is_spoken(self) -> bool:
        """Whether it has sound."""
        return self.wanted.modality == "audio"

    @property
    def message_id(self) -> str | None:
        """The id of the message in flight, or of the last one."""
        if self._message is not None:
            return self._message.item.id
        return next((item.id for item in reversed(self._output) if isinstance(item, MessageItem)), None)

    def begin(self) -> list[RealtimeEvent]:
        """Tells that there is one."""
        return [ResponseCreated(response=self._resource("in_progress"))]

    def expect(self, event: ServerEvent) -> None:
        """Lets the conversation have what will be told: memory does not wait for the sound to leave."""
        is_of_it = SegmentEvent | AudioEvent if self.is_spoken else Token
        if not isinstance(event, is_of_it):
            return
        if self._message is None:
            self._open()
        match event:
            case SegmentEvent(text=text):
                self._expected = f"{self._expected} {text}" if self._expected else text
            case Token(text=text, at=at):
                self._expected = self._expected[:at] + text
        self._settle(self._expected)

    def take(self, event: ServerEvent, sound: bytes = b"") -> list[RealtimeEvent]:
        """Tells what the turn has brought; what is not for clients of this kind is nothing."""
        match event:
            case SegmentEvent() if self.is_spoken:
                return self._say(event)
            case WordsEvent() if self._message is not None:
                self._message.time(event)
                return []
            case AudioEvent(duration_ms=duration_ms) if self.is_spoken:
                return self._sound(duration_ms, sound)
            case Token() if not self.is_spoken:
                return self._write(event)
            case ToolCallEvent(by="client"):
                return self._call(event)
            case _:
                return []

    def freeze(self) -> None:
        """No more of the message in flight is to come than was told."""
        self._settle(self._message.told if self._message is not None else "")

    def _settle(self, text: str) -> None:
        if self.conversation is not None and self._message is not None:
            self.conversation.settle(self._message.as_it_is("incomplete", text))

    def end(self, ending: Ending, limits: Iterable[RateLimit] = ()) -> list[RealtimeEvent]:
        """Tells the end, once; whatever was begun is ended too."""
        if self.is_over:
            return []
        self.is_over = True
        tail = self._close("completed" if ending.status == "completed" else "incomplete")
        done = ResponseDone(response=self._resource(ending.status, ending))
        return [*tail, done, RateLimitsUpdated(rate_limits=tuple(limits))]

    # ------------------------------------------------------------ messages

    @property
    def _current(self) -> Message:
        assert self._message is not None
        return self._message

    def _open(self) -> None:
        item = MessageItem(id=new_item_id(), status="in_progress", role="assistant")
        previous = self.conversation.place(item) if self.conversation is not None else None
        self._message = Message(item, self.is_spoken, previous)

    def _told(self) -> list[RealtimeEvent]:
        """Opens the message where it is not, and tells of it where nobody was told."""
        if self._message is None:
            self._open()
        message = self._current
        if message.output_index >= 0:
            return []
        message.output_index = len(self._output)
        self._output.append(message.item)
        return [
            *self._added(message.item, message.output_index, message.previous),
            ContentPartAdded(**self._place(), part=message.part),
        ]

    def _say(self, segment: SegmentEvent) -> list[RealtimeEvent]:
        opened = self._told()
        delta = self._current.say(segment)
        return [*opened, TranscriptDelta(**self._place(), delta=delta)]

    def _sound(self, duration_ms: float, sound: bytes) -> list[RealtimeEvent]:
        opened, message = self._told(), self._current
        self.audio_ms += duration_ms
        message.audio_ms += duration_ms
        if self.conversation is not None:
            self.conversation.sounded(message.item.id, message.audio_ms, message.marks)
        return [*opened, AudioDelta(**self._place(), delta=sound)]

    def _write(self, token: Token) -> list[RealtimeEvent]:
        """Tells what is new; a text that is begun anew is another message: nothing can be taken back."""
        self._text = self._text[: token.at] + token.text
        told = self._message.told if self._message is not None else ""
        if told.startswith(self._text):
            return []
        anew: list[RealtimeEvent] = []
        if not self._text.startswith(told):
            anew, told = self._close("incomplete"), ""
        opened = self._told()
        delta = self._text[len(told) :]
        self._current.told += delta
        return [*anew, *opened, TextDelta(**self._place(), delta=delta)]

    def _close(self, status: Literal["completed", "incomplete"]) -> list[RealtimeEvent]:
        """Ends the message in flight, if there is one."""
        message = self._message
        if message is None:
            return []
        if message.output_index < 0:
            self._message = None
            if self.conversation is not None:
                self.conversation.withdraw(message.item.id)
            return []
        self._message = None
        item = message.as_it_is(status, message.told)
        return [*message.tail(self.wanted.id), *self._done(item, message.output_index, message.previous)]

    def _place(self) -> dict[str, Any]:
        return self._current.place(self.wanted.id)

    # ------------------------------------------------------------ calls, and what all items have

    def _call(self, call: ToolCallEvent) -> list[RealtimeEvent]:
        index, id_ = len(self._output), new_item_id()
        begun = FunctionCallItem(
            id=id_, status="in_progress", call_id=call.call_id, name=call.name, arguments=""
        )
        item = replace(begun, status="completed", arguments=call.arguments)
        previous = self.conversation.place(item) if self.conversation is not None else None
        self._output.append(begun)
        return [
            *self._added(begun, index, previous),
            ArgumentsDelta(
                response_id=self.wanted.id, item_id=id_, output_index=index, call_id=call.call_id,
                delta=call.arguments,
            ),
            ArgumentsDone(
                response_id=self.wanted.id, item_id=id_, output_index=index, call_id=call.call_id,
                name=call.name, arguments=call.arguments,
            ),
            *self._done(item, index, previous),
        ]  # fmt: skip

    def _added(self, item: Item, index: int, previous: str | None) -> list[RealtimeEvent]:
        added = OutputItemAdded(response_id=self.wanted.id, output_index=index, item=item)
        if self.conversation is None:
            return [added]
        return [added, ItemAdded(previous_item_id=previous, item=item)]

    def _done(self, item: Item, index: int, previous: str | None) -> list[RealtimeEvent]:
        self._output[index] = item
        done = OutputItemDone(response_id=self.wanted.id, output_index=index, item=item)
        if self.conversation is None:
            return [done]
        self.conversation.settle(item)
        return [ItemDone(previous_item_id=previous, item=item), done]

    def _resource(
        self,
        status: Literal["in_progress", "completed", "cancelled", "failed", "incomplete"],
        ending: Ending | None = None,
    ) -> Response:
        wanted = self.wanted
        voice = ResponseVoice(format=wanted.format, voice=wanted.voice)
        return Response(
            id=wanted.id,
            status=status,
            status_details=UNSET if ending is None else details_of(ending),
            output=tuple(self._output),
            conversation_id=wanted.conversation_id or UNSET,
            output_modalities=(wanted.modality,),
            max_output_tokens=wanted.max_output_tokens,
            audio=ResponseAudio(output=voice) if self.is_spoken else UNSET,
            usage=UNSET if ending is None else usage_of(ending.usage),
            metadata=UNSET if wanted.metadata is None else dict(wanted.metadata),
        )
