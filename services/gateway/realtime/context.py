"""What the mind is told in a response: the conversation, or what the client gives in its place. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from services.gateway.realtime.client_events import GivenItem, ItemReference
from services.gateway.realtime.errors import invalid_value
from services.gateway.realtime.items import Items
from shared.messages import ChatMessage, SessionRecord, Summary


def messages_of(given: Iterable[GivenItem | ItemReference], items: Items) -> tuple[ChatMessage, ...]:
    """Returns what the mind is told of the ``input`` of a response.

    Raises:
        RealtimeError: an item is none that EVA takes, or one is referred to that is not there.
    """
    context = Items()
    for number, item in enumerate(given):
        if isinstance(item, ItemReference):
            context.place(items.retrieve(item.id))
        elif context.create(item).audio:
            message = "Sound is transcribed first: create an item with it and refer to that."
            raise invalid_value(f"response.input[{number}].content", message)
    return tuple(context.record.messages)


class Context:
    """The dialogue of a session whose turns may be asked with something else than the conversation."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self._instead: dict[int, tuple[ChatMessage, ...]] = {}
        self._asked = 0

    def ask_with(self, turn: int, messages: tuple[ChatMessage, ...] | None) -> None:
        """In this turn the mind is told these messages; None: the conversation."""
        self._instead = {} if messages is None else {turn: messages}

    @property
    def record(self) -> SessionRecord:
        """As the items have it; what is asked with something else is asked without a summary too."""
        record = self.items.record
        return msgspec.structs.replace(record, summary="") if self._asked in self._instead else record

    def asked(self, turn: int) -> list[ChatMessage]:
        """Returns what the mind is told before this turn's own question."""
        conversation, self._asked = self.items.asked(turn), turn
        instead = self._instead.get(turn)
        return conversation if instead is None else list(instead)

    def remember(self, turn: int, user: str, answer: str) -> SessionRecord:
        """Notes what was heard of an answer."""
        return self.items.remember(turn, user, answer)

    def forget(self, turn: int) -> SessionRecord:
        """Notes that a question will come back."""
        return self.items.forget(turn)

    def summarise(self, summary: Summary) -> SessionRecord:
        """Takes a summary, unless it is one of something else."""
        return self.items.record if summary.turn in self._instead else self.items.summarise(summary)

    def prefer(self, *, language: str, voice: str) -> None:
        """Notes what the person chose."""
        self.items.prefer(language=language, voice=voice)


class Aside:
    """The dialogue of a turn out of band: what it is asked with, and nothing is kept."""

    def __init__(self, messages: Iterable[ChatMessage]) -> None:
        self.record = SessionRecord()
        self._messages = list(messages)

    def asked(self, _turn: int) -> list[ChatMessage]:
        """Returns what the mind is told."""
        return self._messages

    def remember(self, turn: int, user: str, answer: str) -> SessionRecord:  # noqa: ARG002 - the Protocol's
        """Nothing is kept."""
        return self.record

    def forget(self, _turn: int) -> SessionRecord:
        """Nothing was kept."""
        return self.record

    def summarise(self, _summary: Summary) -> SessionRecord:
        """Nothing is kept."""
        return self.record

    def prefer(self, *, language: str, voice: str) -> None:
        """Nothing is kept."""
