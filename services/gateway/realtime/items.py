"""A Realtime conversation as EVA's session remembers by it. Pure.

What the client sees of an item and what the mind is told of it differ in one thing: words that were not heard
are told to no model, even before the client truncates the item.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from services.gateway.conversation import MAX_SUMMARY_CHARS, SUMMARY_TURNS
from services.gateway.realtime.entries import Entry, told
from services.gateway.realtime.given import new_item_id
from services.gateway.realtime.item_list import MAX_ITEMS, Created, ItemList
from services.gateway.realtime.item_types import InputText, Item, MessageItem, OutputText
from shared.messages import ChatMessage, SessionRecord, Summary

__all__ = ["MAX_ITEMS", "Created", "Items"]


class Items(ItemList):
    """A conversation's items; implements ``conversation.Dialogue``."""

    def __init__(self, record: SessionRecord | None = None, *, max_items: int = MAX_ITEMS) -> None:
        """Goes on from a stored record, whose words become items under new ids."""
        super().__init__(max_items=max_items)
        self._record = record or SessionRecord()
        self._turn = self._record.turns
        self._asked: OrderedDict[int, list[str]] = OrderedDict()
        """By turn: the items of the messages that the mind was told."""
        self._comes_back: list[Entry] = []
        for message in self._record.messages:
            item = _recalled(message)
            if item is not None:
                self._entries[item.id] = Entry(item)

    @property
    def record(self) -> SessionRecord:
        """What is stored of the conversation: the words that the mind would be told now."""
        messages = [message for _, message in told(self._visible(0))]
        return msgspec.structs.replace(self._record, messages=messages)

    def asked(self, turn: int) -> list[ChatMessage]:
        """Returns what the mind is told before this turn's own items; a summary of it may come back."""
        if turn != self._turn:
            for entry in self._comes_back:
                entry.turn = turn
            self._turn = turn
        messages = told(self._visible(turn))
        self._asked.setdefault(turn, [item_id for item_id, _ in messages])
        while len(self._asked) > SUMMARY_TURNS:
            self._asked.popitem(last=False)
        return [message for _, message in messages]

    def remember(self, turn: int, user: str, answer: str) -> SessionRecord:  # noqa: ARG002 - the Protocol has it
        """Notes what was heard of a turn's answer; its question stands there as the client's item.

        Of several messages of one turn the words are counted off in their order.
        """
        left = answer.split()
        mine = [
            entry
            for entry in self._entries.values()
            if entry.turn == turn and isinstance(entry.item, MessageItem) and entry.item.role == "assistant"
        ]
        for entry in mine:
            entry.heard = None
            said = entry.text.split()
            entry.heard = None if len(left) >= len(said) else " ".join(left)
            left = left[len(said) :]
        self._comes_back = [entry for entry in self._comes_back if entry.turn != turn]
        self._record = msgspec.structs.replace(self._record, turns=turn)
        return self.record

    def forget(self, turn: int) -> SessionRecord:
        """Notes that this turn's question will come back in a later one, whose question it is then.

        Which one that is shows when one of them is remembered; what is only thought ahead may be dropped.
        """
        self._comes_back = [
            entry
            for entry in self._entries.values()
            if entry.turn == turn and isinstance(entry.item, MessageItem) and entry.item.role == "user"
        ]
        return self.record

    def summarise(self, summary: Summary) -> SessionRecord:
        """Puts a summary in the place of the messages that it covers; the client keeps their items.

        One is ignored that says nothing, says too much, comes too late or adds nothing, as in
        ``Conversation.summarise``.
        """
        text = summary.text.strip()
        ids = self._asked.get(summary.turn, [])[: max(0, summary.covers)]
        covered = [entry for item_id in ids if (entry := self._entries.get(item_id)) is not None]
        if 0 < len(text) <= MAX_SUMMARY_CHARS and any(not entry.is_summed for entry in covered):
            for entry in covered:
                entry.is_summed = True
            self._record = msgspec.structs.replace(self._record, summary=text)
        return self.record

    def prefer(self, *, language: str, voice: str) -> None:
        """Notes what the person chose, for when they come back."""
        self._record = msgspec.structs.replace(self._record, language=language, voice=voice)

    def _visible(self, turn: int) -> list[Entry]:
        return [
            entry
            for entry in self._entries.values()
            if not entry.is_summed and (turn == 0 or entry.turn != turn) and not _is_being_made(entry.item)
        ]


def _is_being_made(item: Item) -> bool:
    return isinstance(item, MessageItem) and item.status == "in_progress"


def _recalled(message: ChatMessage) -> MessageItem | None:
    """Returns a stored message as an item; calls and their results are not taken up again."""
    if message.role == "tool" or message.tool_calls or not message.content:
        return None
    part = (
        OutputText(text=message.content) if message.role == "assistant" else InputText(text=message.content)
    )
    return MessageItem(id=new_item_id(), role=message.role, content=(part,))
