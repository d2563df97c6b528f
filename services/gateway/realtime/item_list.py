"""The items of one Realtime conversation in their order, as its client sees and changes them. Pure."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from services.gateway.conversation import KEPT, MAX_BYTES
from services.gateway.realtime.client_events import GivenItem
from services.gateway.realtime.cut import SpokenTo
from services.gateway.realtime.entries import Entry
from services.gateway.realtime.errors import RealtimeError, invalid_value
from services.gateway.realtime.given import Given, item_of
from services.gateway.realtime.item_types import (
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    Item,
    MessageItem,
    OutputAudio,
)

MAX_ITEMS = 200
"""The oldest go first, at once down to ``KEPT`` of this or of the bytes, as in EVA's own memory."""
ROUNDING_MS = 1.0
"""A client may round the end of the sound up by so much."""
ROOT = "root"


@dataclass(frozen=True, kw_only=True, slots=True)
class Created:
    """An item of the client's stands in the conversation."""

    item: Item
    previous_item_id: str | None
    audio: bytes = b""
    """Sound that is yet to be transcribed (``transcribed``)."""


class ItemList:
    """A conversation's items."""

    def __init__(self, *, max_items: int = MAX_ITEMS) -> None:
        self._max_items = max_items
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._turn = 0
        """The last that the mind was asked in."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last_id(self) -> str | None:
        """The newest item's id."""
        return next(reversed(self._entries), None)

    def create(self, given: GivenItem, previous_item_id: str | None = None) -> Created:
        """Puts a client's item behind another one, at the beginning (``root``), or at the end (None).

        Raises:
            RealtimeError: its id is taken, there is no such item to stand behind, no such call to be the
                result of, or it is none that EVA takes; nothing is changed then.
        """
        made: Given = item_of(given)
        item = made.item
        if item.id in self._entries:
            message = f"Error adding item: an item with id '{item.id}' already exists."
            raise RealtimeError(message, code="item_create_duplicate_item_id", param="item.id")
        if isinstance(item, FunctionCallOutputItem) and item.call_id not in self._call_ids():
            message = f"Tool call ID '{item.call_id[:64]}' not found in conversation."
            raise RealtimeError(message, code="invalid_tool_call_id", param="item.call_id")
        if previous_item_id is None:
            previous = self._append(Entry(item))
        else:
            previous = self._insert(item, previous_item_id)
        return Created(item=item, previous_item_id=previous, audio=made.audio)

    def place(self, item: Item) -> str | None:
        """Puts an item of EVA's at the end; returns the id of the one before it.

        What the model says or calls belongs to the turn that it was last asked in.
        """
        is_answer = isinstance(item, FunctionCallItem) or (
            isinstance(item, MessageItem) and item.role == "assistant"
        )
        return self._append(Entry(item, turn=self._turn if is_answer else 0))

    def settle(self, item: Item) -> None:
        """Takes an item as it has become; one that the client has deleted stays away."""
        if item.id in self._entries:
            self._entries[item.id].take(item)

    def withdraw(self, item_id: str) -> None:
        """Takes an item out again that nobody was told of."""
        self._entries.pop(item_id, None)

    def belong(self, item_id: str, turn: int) -> None:
        """Notes that an item is the question of a turn, which the mind is told apart from what was before."""
        if item_id in self._entries:
            self._entries[item_id].turn = turn

    def transcribed(self, item_id: str, transcript: str) -> None:
        """Notes what the person said in an item; ignored if the item is gone."""
        entry = self._entries.get(item_id)
        if entry is not None and isinstance(entry.item, MessageItem):
            parts = tuple(
                InputAudio(transcript=transcript) if isinstance(part, InputAudio) else part
                for part in entry.item.content
            )
            entry.take(msgspec.structs.replace(entry.item, content=parts))

    def sounded(self, item_id: str, audio_ms: float, marks: Sequence[SpokenTo] = ()) -> None:
        """Notes how long an answer's sound is that was sent so far, and when its words are said."""
        if item_id in self._entries:
            self._entries[item_id].audio_ms = audio_ms
            self._entries[item_id].marks = marks or self._entries[item_id].marks

    def retrieve(self, item_id: str) -> Item:
        """Returns an item as it stands. Raises ``RealtimeError``: there is none."""
        return self._entry(item_id, "retriev").item

    def delete(self, item_id: str) -> None:
        """Takes an item out. Raises ``RealtimeError``: there is none."""
        self._entry(item_id, "delet")
        del self._entries[item_id]

    def truncate(self, item_id: str, content_index: int, audio_end_ms: float) -> int:
        """Removes what was not heard of an answer; returns where its sound ends now, milliseconds.

        Raises:
            RealtimeError: there is no such item, it is no sound of EVA's, or it is shorter than that.
        """
        entry = self._entry(item_id, "truncat")
        if not isinstance(entry.item, MessageItem) or not any(
            isinstance(part, OutputAudio) for part in entry.item.content
        ):
            message = "Only model output audio messages can be truncated"
            raise RealtimeError(message, code="unsupported_content_type", param="item_id")
        if not 0 <= content_index < len(entry.item.content):
            raise invalid_value("content_index", f"There is no part {content_index} in this item.")
        if audio_end_ms < 0:
            message = "Invalid 'audio_end_ms': integer below minimum value. Expected a value >= 0."
            raise RealtimeError(message, code="integer_below_min_value", param="audio_end_ms")
        if audio_end_ms > math.ceil(entry.length_ms) + ROUNDING_MS:
            length_ms = int(entry.length_ms)
            message = f"Audio content of {length_ms}ms is already shorter than {int(audio_end_ms)}ms"
            raise invalid_value("audio_end_ms", message)
        until_ms = min(audio_end_ms, entry.length_ms)
        entry.cut(until_ms)
        return int(until_ms)

    def _call_ids(self) -> set[str]:
        return {
            entry.item.call_id for entry in self._entries.values() if isinstance(entry.item, FunctionCallItem)
        }

    def _entry(self, item_id: str, doing: str) -> Entry:
        entry = self._entries.get(item_id)
        if entry is None:
            message = f"Error {doing}ing item: the item with id '{item_id[:128]}' does not exist."
            raise RealtimeError(message, code=f"item_{doing}e_invalid_item_id", param="item_id")
        return entry

    def _append(self, entry: Entry) -> str | None:
        previous = self.last_id
        self._entries[entry.item.id] = entry
        self._drop_oldest()
        return previous

    def _insert(self, item: Item, previous_item_id: str) -> str | None:
        """Puts an item behind another one; returns that one's id, None at the beginning."""
        if previous_item_id == ROOT:
            self._entries[item.id] = Entry(item)
            self._entries.move_to_end(item.id, last=False)
            self._drop_oldest(but=item.id)
            return None
        if previous_item_id not in self._entries:
            shown = previous_item_id[:128]
            message = f"Error adding item: the previous item with id '{shown}' does not exist."
            code = "item_create_invalid_previous_item_id"
            raise RealtimeError(message, code=code, param="previous_item_id")
        ids = list(self._entries)
        behind = ids[ids.index(previous_item_id) + 1 :]
        self._entries[item.id] = Entry(item)
        for item_id in behind:
            self._entries.move_to_end(item_id)
        self._drop_oldest(but=item.id)
        return previous_item_id

    def _drop_oldest(self, *, but: str = "") -> None:
        """Makes room in one step, so that what providers hold in their caches stays the same for long."""
        sizes = {item_id: len(entry.text.encode()) for item_id, entry in self._entries.items()}
        size_bytes = sum(sizes.values())
        if len(sizes) <= self._max_items and size_bytes <= MAX_BYTES:
            return
        for item_id in list(self._entries)[:-1]:
            if len(self._entries) <= KEPT * self._max_items and size_bytes <= KEPT * MAX_BYTES:
                return
            if item_id != but:
                size_bytes -= sizes[item_id]
                del self._entries[item_id]
