"""An item of a conversation with what EVA knows of it, and what the mind is told of many. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from services.gateway.realtime.cut import SpokenTo, heard
from services.gateway.realtime.item_types import (
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    Item,
    MessageItem,
    OutputAudio,
    Part,
)
from shared.messages import ChatMessage
from shared.messages.mind import ToolUse


class Entry:
    """One item and its story."""

    def __init__(self, item: Item, *, turn: int = 0) -> None:
        self.item = item
        """As the client may know it."""
        self.turn = turn
        """EVA's turn that it belongs to; 0: none."""
        self.audio_ms = 0.0
        """Of an answer's sound that was sent to the client."""
        self.marks: Sequence[SpokenTo] = ()
        self.cut_ms: float | None = None
        """The client heard no more than this."""
        self.heard: str | None = None
        """Of an answer that was stopped, as EVA reckons; None: all of it."""
        self.is_summed = False
        """A summary stands in its place."""
        self._whole = item

    @property
    def text(self) -> str:
        """The words in it that the mind is told: where both reckon, the fewer."""
        text = _text(self.item)
        return text if self.heard is None or len(text) <= len(self.heard) else self.heard

    @property
    def length_ms(self) -> float:
        """Of the sound that there is of it."""
        return self.audio_ms if self.cut_ms is None else min(self.audio_ms, self.cut_ms)

    def take(self, item: Item) -> None:
        """Puts what the item has become in the place of what it was; words behind a cut stay away."""
        self.item = self._whole = item
        if self.cut_ms is not None:
            self.cut(self.cut_ms)

    def cut(self, until_ms: float) -> None:
        """Removes the words that are said behind a moment of the item's sound."""
        self.cut_ms = until_ms
        if isinstance(self._whole, MessageItem):
            parts = tuple(self._cut(part, until_ms) for part in self._whole.content)
            self.item = msgspec.structs.replace(self._whole, content=parts)

    def _cut(self, part: Part, until_ms: float) -> Part:
        if not isinstance(part, OutputAudio) or part.transcript is None:
            return part
        kept = heard(part.transcript, self.marks, until_ms=until_ms, audio_ms=self.audio_ms)
        return OutputAudio(transcript=kept)


def _text(item: Item) -> str:
    match item:
        case MessageItem(content=content):
            return " ".join(filter(None, map(_words, content)))
        case FunctionCallItem(name=name, arguments=arguments):
            return f"{name} {arguments}"
        case _:
            return item.output


def _words(part: Part) -> str:
    return (part.transcript or "") if isinstance(part, InputAudio | OutputAudio) else part.text


def told(entries: Iterable[Entry]) -> list[tuple[str, ChatMessage]]:
    """Returns the items as the mind is told them, each message with the id of the item that it is of.

    Providers refuse a call without a result and a result without its call: calls that stand side by side
    are one message, their results follow at once, and what lacks its counterpart is left out.
    """
    entries = list(entries)
    results = {
        entry.item.call_id: entry for entry in entries if isinstance(entry.item, FunctionCallOutputItem)
    }
    messages: list[tuple[str, ChatMessage]] = []
    calls: list[FunctionCallItem] = []
    for entry in entries:
        match entry.item:
            case FunctionCallItem() as call:
                if call.call_id in results:
                    calls.append(call)
            case MessageItem(role=role, id=item_id):
                messages += _called(calls, results)
                calls = []
                if entry.text.strip():
                    messages.append((item_id, ChatMessage(role=role, content=entry.text)))
            case _:
                messages += _called(calls, results)
                calls = []
    return messages + _called(calls, results)


def _called(calls: list[FunctionCallItem], results: dict[str, Entry]) -> list[tuple[str, ChatMessage]]:
    if not calls:
        return []
    uses = [ToolUse(id=call.call_id, name=call.name, arguments=call.arguments) for call in calls]
    asked = (calls[0].id, ChatMessage(role="assistant", content="", tool_calls=uses))
    given = [
        (results[call.call_id].item.id, _result(call.call_id, results[call.call_id].text)) for call in calls
    ]
    return [asked, *given]


def _result(call_id: str, output: str) -> ChatMessage:
    return ChatMessage(role="tool", content=output, tool_call_id=call_id)
