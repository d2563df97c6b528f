"""What a conversation remembers: both sides' words, of a cut-off answer just those that were heard. Pure."""

from __future__ import annotations

import msgspec

from shared.messages import ChatMessage, SessionRecord

MAX_MESSAGES = 100
MAX_BYTES = 100_000
"""The oldest go first: a record, and work that carries it, must fit into a message of the bus (256 KiB).
The mind trims further, to what its context holds."""


class Conversation:
    """The memory of one session, kept as the record that lies in the bucket."""

    def __init__(self, record: SessionRecord | None = None) -> None:
        self.record = record or SessionRecord()
        self._before: list[ChatMessage] = self.record.messages

    def remember(self, turn: int, user: str, answer: str) -> SessionRecord:
        """Adds an exchange; the same turn again (its playback was cut short) replaces what it had."""
        if turn != self.record.turns:
            self._before = self.record.messages
        messages = [*self._before, ChatMessage(role="user", content=user)]
        if answer:
            messages.append(ChatMessage(role="assistant", content=answer))
        self.record = msgspec.structs.replace(self.record, turns=turn, messages=_newest(messages))
        return self.record

    def prefer(self, *, language: str, voice: str) -> None:
        """Notes what the person chose, for when they come back."""
        self.record = msgspec.structs.replace(self.record, language=language, voice=voice)


def _newest(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Returns the newest messages that are not too many and not too long together."""
    kept = messages[-MAX_MESSAGES:]
    size_bytes = sum(len(message.content.encode()) for message in kept)
    while size_bytes > MAX_BYTES:
        size_bytes -= len(kept.pop(0).content.encode())
    return kept
