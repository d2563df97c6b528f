"""What a conversation remembers: both sides' words, of a cut-off answer just those that were heard. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import msgspec

from shared.messages import ChatMessage, SessionRecord, Summary

MAX_MESSAGES = 100
MAX_BYTES = 100_000
"""The oldest go first: a record, and work that carries it, must fit into a message of the bus (256 KiB).
The mind trims further, to what its context holds."""
KEPT = 0.6
"""Of both bounds, when one is exceeded: what goes, goes in one step, so that the beginning of what providers
are told, and hold in their caches, stays the same for many turns."""
MAX_SUMMARY_CHARS = 4000
SUMMARY_TURNS = 16
"""A summary of an older turn comes too late."""


class Dialogue(Protocol):
    """What a session asks of its conversation; who translates another protocol may keep it otherwise.

    What is returned as a record is stored, where the session remembers.
    """

    @property
    def record(self) -> SessionRecord:
        """As it is now; its ``turns`` and ``summary`` are used."""

    def asked(self, turn: int) -> list[ChatMessage]:
        """Returns what the mind is told before this turn's own question; called when that is asked."""

    def summarise(self, summary: Summary) -> SessionRecord:
        """Takes a summary of the oldest messages that a turn was asked with."""

    def remember(self, turn: int, user: str, answer: str) -> SessionRecord:
        """Adds an exchange, in place of an earlier one of the same turn.

        ``user`` is empty where nothing new was asked; ``answer`` is what was heard.
        """

    def forget(self, turn: int) -> SessionRecord:
        """Takes this turn's exchange out again, if it is the newest: its question will come back."""

    def prefer(self, *, language: str, voice: str) -> None:
        """Notes what the person chose."""


class Conversation:
    """The memory of one session, kept as the record that lies in the bucket."""

    def __init__(self, record: SessionRecord | None = None) -> None:
        self.record = record or SessionRecord()
        self._before: list[ChatMessage] = self.record.messages
        self._gone = 0
        """Messages that have left the record at its beginning."""
        self._asked: OrderedDict[int, int] = OrderedDict()
        """By turn: ``_gone`` when the mind was first asked."""

    def asked(self, turn: int) -> list[ChatMessage]:
        """Returns what the mind is told of the past in this turn; a summary of it may come back."""
        self._asked.setdefault(turn, self._gone)
        while len(self._asked) > SUMMARY_TURNS:
            self._asked.popitem(last=False)
        return self.record.messages

    def summarise(self, summary: Summary) -> SessionRecord:
        """Puts a summary in the place of the messages that it covers.

        It covers all from the conversation's beginning, the summary before it included, so the one that
        reaches furthest is right, in whatever order they come. One is ignored that says nothing, says too
        much, comes too late, or reaches into the newest exchange, which may still change.
        """
        text = summary.text.strip()
        count = self._asked.get(summary.turn, -MAX_MESSAGES) + summary.covers - self._gone
        if 0 < count <= len(self._before) and 0 < len(text) <= MAX_SUMMARY_CHARS:
            self._before = self._before[count:]
            self._gone += count
            self.record = msgspec.structs.replace(
                self.record, messages=self.record.messages[count:], summary=text
            )
        return self.record

    def remember(self, turn: int, user: str, answer: str) -> SessionRecord:
        """Adds an exchange; the same turn again (its playback was cut short) replaces what it had."""
        if turn != self.record.turns:
            self._before = self.record.messages
        exchange = [ChatMessage(role="user", content=user)] if user else []
        if answer:
            exchange.append(ChatMessage(role="assistant", content=answer))
        count = _too_many(self._before, exchange)
        self._before = self._before[count:]
        self._gone += count
        self.record = msgspec.structs.replace(self.record, turns=turn, messages=[*self._before, *exchange])
        return self.record

    def forget(self, turn: int) -> SessionRecord:
        """Takes the newest exchange out again, if it is this turn's: its question will come back."""
        if turn == self.record.turns:
            self.record = msgspec.structs.replace(self.record, messages=self._before)
        return self.record

    def prefer(self, *, language: str, voice: str) -> None:
        """Notes what the person chose, for when they come back."""
        self.record = msgspec.structs.replace(self.record, language=language, voice=voice)


def _too_many(before: list[ChatMessage], exchange: list[ChatMessage]) -> int:
    """Returns how many of the oldest must go to make room; the next one is a question."""
    sizes_bytes = [len(message.content.encode()) for message in before]
    count, size_bytes = len(before) + len(exchange), sum(sizes_bytes) + _size_bytes(exchange)
    if count <= MAX_MESSAGES and size_bytes <= MAX_BYTES:
        return 0
    for index, message in enumerate(before):
        if message.role == "user" and count <= KEPT * MAX_MESSAGES and size_bytes <= KEPT * MAX_BYTES:
            return index
        count -= 1
        size_bytes -= sizes_bytes[index]
    return len(before)


def _size_bytes(messages: list[ChatMessage]) -> int:
    return sum(len(message.content.encode()) for message in messages)
