"""The person's side of a Realtime session: what is heard becomes items with transcripts. Pure.

Where an interruption is judged first (``semantic_vad``), speech into EVA's answer is told only once it has
been judged to be one: a client stops its playback at ``speech_started``, and knows nothing of going on. What
was judged to be none (a sign of listening, an echo, noise) is never told.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Literal, Protocol

from services.gateway.chat_protocol import (
    ErrorEvent,
    FinalEvent,
    PartialEvent,
    SpeechStartedEvent,
    SpeechStoppedEvent,
)
from services.gateway.realtime.errors import RealtimeError
from services.gateway.realtime.events import (
    BufferCleared,
    Committed,
    ItemAdded,
    ItemDone,
    RealtimeEvent,
)
from services.gateway.realtime.given import new_item_id
from services.gateway.realtime.item_types import Item
from services.gateway.realtime.session_types import SemanticVad, SessionConfig, TurnDetection
from services.gateway.realtime.utterances import Utterance, completed, failed, spoken_item, turn_number

LEAST_MS = 100
"""Of sound that can be committed; OpenAI's bound."""
TRANSCRIPT_S = 30.0
"""How long a transcript is waited for; ears that were lost have long been replaced by then."""
MOST_OPEN = 8

Events = list[RealtimeEvent]


class Listened(Protocol):
    """The conversation that the items belong to."""

    def place(self, item: Item) -> str | None:
        """Puts an item at the end; returns the id of the one before it."""

    def settle(self, item: Item) -> None:
        """Takes an item as it has become."""

    def belong(self, item_id: str, turn: int) -> None:
        """The item is the question of this turn."""


@dataclass(slots=True)
class _Awaited:
    """An item whose transcript is not there yet."""

    item_id: str
    ms: float
    due_at: float
    is_heard: bool = True
    """False: a recording of the client's."""


class Heard:
    """What was heard in one session. ``now``: seconds of one monotonic clock."""

    def __init__(self, conversation: Listened, config: SessionConfig) -> None:
        self.config = config
        """The effective session."""
        self.appended_ms = 0.0
        """Sound that the client has sent in all."""
        self._conversation = conversation
        self._committed_ms = 0.0
        self._utterances: OrderedDict[int, Utterance] = OrderedDict()
        self._awaited: deque[_Awaited] = deque()
        self._said: list[str] = []
        """Of what will be committed: the pieces that the ears have cut it into."""
        self._failures: dict[int, ErrorEvent] = {}

    @property
    def is_manual(self) -> bool:
        """Whether the client says when an utterance is over."""
        return self._detection is None

    @property
    def is_awaiting(self) -> bool:
        """Whether an item has no transcript yet."""
        return bool(self._awaited)

    @property
    def due_at(self) -> float | None:
        """When a transcript is waited for no longer."""
        return min(awaited.due_at for awaited in self._awaited) if self._awaited else None

    # ------------------------------------------------------------ by the client

    def commit(self, now: float) -> Events:
        """What was heard becomes an item now. Raises ``RealtimeError`` if that is next to nothing."""
        ms = self.appended_ms - self._committed_ms
        if ms < LEAST_MS:
            raise RealtimeError(
                "Error committing input audio buffer: buffer too small. "
                f"Expected at least {LEAST_MS}ms of audio, but buffer only has {ms:.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        self._committed_ms = self.appended_ms
        _, utterance = self._utterances.popitem() if self._utterances else (0, None)
        self._utterances.clear()
        item_id = utterance.item_id if utterance is not None else new_item_id()
        return self._commit(item_id, ms, now)

    def clear(self) -> Events:
        """What was heard and is no item yet is thrown away."""
        self._committed_ms = self.appended_ms
        self._utterances.clear()
        self._said.clear()
        return [BufferCleared()]

    def idle(self, now: float) -> tuple[str, Events]:
        """The person says nothing: the silence becomes an item; returns its id too."""
        self._committed_ms = self.appended_ms
        item_id = new_item_id()
        events = self._commit(item_id, 0.0, now)
        self._awaited.pop()
        self._conversation.settle(spoken_item(item_id, ""))
        return item_id, events

    def wait_for(self, item_id: str, now: float) -> None:
        """A recording of the client's is being transcribed."""
        self._awaited.append(_Awaited(item_id, 0.0, now + TRANSCRIPT_S, is_heard=False))

    def transcribed(self, item_id: str, text: str, seconds: float) -> Events:
        """That is done; the conversation has taken the text."""
        if not self._take(item_id):
            return []
        return self._completed(item_id, text, "", seconds)

    def not_transcribed(self, item_id: str, code: str, message: str) -> Events:
        """That has failed."""
        return self._failed(item_id, code, message) if self._take(item_id) else []

    def overdue(self, now: float) -> Events:
        """Gives up what was waited for for too long."""
        late = [awaited for awaited in self._awaited if awaited.due_at <= now]
        self._awaited = deque(awaited for awaited in self._awaited if awaited.due_at > now)
        message = f"no transcript within {TRANSCRIPT_S:g} s"
        return [event for awaited in late for event in self._failed(awaited.item_id, "stt_lost", message)]

    # ------------------------------------------------------------ by the ears

    def take(
        self,
        event: SpeechStartedEvent | SpeechStoppedEvent | PartialEvent | FinalEvent | ErrorEvent,
        now: float,
    ) -> Events:
        """Takes what the ears tell."""
        match event:
            case SpeechStartedEvent():
                return self._begin(event)
            case PartialEvent(text=text, stable=stable):
                return self._partial(text[:stable])
            case SpeechStoppedEvent(id=id_, at_ms=at_ms):
                utterance = self._utterances.get(id_)
                if utterance is not None and utterance.state == "told":
                    return self._stop(utterance, at_ms)
            case FinalEvent():
                return self._final(event, now)
            case _:
                self._failures[event.utterance or 0] = event
        return []

    def hold(self) -> None:
        """EVA waits for the verdict on who speaks."""
        self._become("held", {"pending"})

    def tell(self, *, is_interruption: bool) -> Events:
        """Tells of speech that is not judged any more: it interrupts, or there was nothing to interrupt."""
        told: Events = []
        for utterance in self._utterances.values():
            if utterance.state == "pending" or (is_interruption and utterance.state == "held"):
                told += utterance.start(self._detection)
        return told

    def pass_over(self) -> None:
        """Who speaks does not interrupt."""
        self._become("passed", {"pending", "held"})

    def _become(self, state: Literal["held", "passed"], of: set[str]) -> None:
        for utterance in [each for each in self._utterances.values() if each.state in of]:
            utterance.state = state

    def _begin(self, event: SpeechStartedEvent) -> Events:
        if self.is_manual or event.id in self._utterances:
            return []
        self._utterances[event.id] = utterance = Utterance(new_item_id(), event.at_ms)
        while len(self._utterances) > MOST_OPEN:
            self._utterances.popitem(last=False)
        detection = self._detection
        is_judged = isinstance(detection, SemanticVad) and detection.interrupt_response
        return [] if is_judged and self.config.type == "realtime" else utterance.start(self._detection)

    def _stop(self, utterance: Utterance, at_ms: int) -> Events:
        return utterance.stop(at_ms, self._detection, self.appended_ms)

    def _partial(self, settled: str) -> Events:
        newest = next(reversed(self._utterances.values()), None)
        return [] if newest is None or not self._is_transcribing else newest.hear(settled)

    def _final(self, final: FinalEvent, now: float) -> Events:
        failure = self._failures.pop(final.id, None)
        awaited = next((awaited for awaited in self._awaited if awaited.is_heard), None)
        if awaited is not None:
            self._awaited.remove(awaited)
            self._utterances.pop(final.id, None)
            text = " ".join(filter(None, [*self._said, final.text]))
            self._said.clear()
            return self._settled(awaited.item_id, text, "", awaited.ms / 1000, final.turn_id, failure)
        if self.is_manual:
            self._said.append(final.text)
            return []
        utterance = self._utterances.pop(final.id, None)
        if final.turn_id is not None:
            utterance = utterance or Utterance(new_item_id(), final.start_ms)
        elif utterance is None or utterance.state == "passed":
            return []
        is_untold = utterance.state != "told"
        if is_untold and not (final.text or failure):
            return []
        told = utterance.start(self._detection) if is_untold else []
        self._committed_ms = self.appended_ms
        events = [
            *told,
            *utterance.stop(final.end_ms, self._detection, self.appended_ms),
            *self._commit(utterance.item_id, 0.0, now),
        ]
        self._awaited.pop()
        seconds = max(0, final.end_ms - final.start_ms) / 1000
        return events + self._settled(
            utterance.item_id, final.text, utterance.stable, seconds, final.turn_id, failure
        )

    # ------------------------------------------------------------ items

    def _commit(self, item_id: str, ms: float, now: float) -> Events:
        item = spoken_item(item_id, None)
        previous = self._conversation.place(item)
        self._awaited.append(_Awaited(item_id, ms, now + TRANSCRIPT_S))
        return [
            Committed(previous_item_id=previous, item_id=item_id),
            ItemAdded(previous_item_id=previous, item=item),
            ItemDone(previous_item_id=previous, item=item),
        ]

    def _settled(
        self,
        item_id: str,
        text: str,
        told: str,
        seconds: float,
        turn_id: str | None,
        failure: ErrorEvent | None,
    ) -> Events:
        if turn_id is not None:
            self._conversation.belong(item_id, turn_number(turn_id))
        if failure is not None:
            return self._failed(item_id, failure.code, failure.message)
        self._conversation.settle(spoken_item(item_id, text))
        return self._completed(item_id, text, told, seconds)

    def _completed(self, item_id: str, text: str, told: str, seconds: float) -> Events:
        return completed(item_id, text, told, seconds) if self._is_transcribing else []

    def _failed(self, item_id: str, code: str, message: str) -> Events:
        return [failed(item_id, code, message)] if self._is_transcribing else []

    @property
    def _detection(self) -> TurnDetection | None:
        return self.config.audio.input.turn_detection

    @property
    def _is_transcribing(self) -> bool:
        """Whether the client wants transcripts; EVA has them in any case."""
        return self.config.type == "transcription" or self.config.audio.input.transcription is not None

    def _take(self, item_id: str) -> bool:
        """Whether the item's transcript was waited for; it is no longer."""
        before = len(self._awaited)
        self._awaited = deque(awaited for awaited in self._awaited if awaited.item_id != item_id)
        return len(self._awaited) < before
