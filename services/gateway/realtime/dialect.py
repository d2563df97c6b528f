"""One Realtime session: its client's events become commands to EVA's session, what that tells becomes events.

Pure; time is passed in. ``take`` is the client, ``tell`` is EVA, ``leaves`` is the moment at which something
goes to the socket: a response's events are made only then, so that what is dropped was never promised. From
within ``tell`` nothing is asked of the session, which is in the middle of something; ``settle`` does that.

Where OpenAI's server and its clients disagree the clients win: a cancel that crosses the end of a response is
no error, because a client without an ``error`` listener throws at one; a client's own mistakes are.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from services.gateway.chat_protocol import (
    ErrorEvent,
    FinalEvent,
    Interrupted,
    PartialEvent,
    Pause,
    Ready,
    Resume,
    ServerEvent,
    SpeechStartedEvent,
    SpeechStoppedEvent,
    Start,
    Timings,
    TurnDone,
    TurnStarted,
)
from services.gateway.realtime import events as wire
from services.gateway.realtime.actions import (
    Actions,
    Configure,
    Discard,
    DropSound,
    EndUtterance,
    Hear,
    Intend,
    Settle,
    Tell,
    Transcribe,
)
from services.gateway.realtime.answers import Answer, Answers, Limits, failing
from services.gateway.realtime.context import Context
from services.gateway.realtime.errors import ErrorDetail, RealtimeError
from services.gateway.realtime.formats import Intake, duration_ms
from services.gateway.realtime.heard import Heard
from services.gateway.realtime.mapping import to_start, to_wish
from services.gateway.realtime.names import Names
from services.gateway.realtime.requests import Requests
from services.gateway.realtime.session import as_wire, update
from services.gateway.realtime.session_types import ServerVad, SessionConfig
from services.gateway.realtime.utterances import turn_number

DEAF_S = 5.0
"""How long nobody can listen before the client is told: an error is the end of the session for some."""
WORDS = Timings(words=True)


class Dialect:
    """The state of one socket."""

    def __init__(self, config: SessionConfig, context: Context, names: Names, limits: Limits) -> None:
        self.config = config
        self.context, self.items = context, context.items
        self.answers = Answers(limits)
        self._names = names
        self._requests = Requests(self.answers, context, names, lambda: self.start)
        self._heard = Heard(self.items, config)
        self._intake = Intake(config.audio.input.format)
        self._is_listening = self._has_spoken = False
        self._idle_at: float | None = None
        self._deaf_at: float | None = None

    @property
    def start(self) -> Start:
        """The settings of EVA's session; ears are claimed with the first sound."""
        start = replace(to_start(self.config, self._names), timings=WORDS)
        return start if self._is_listening else replace(start, audio_in=None)

    @property
    def due_at(self) -> float | None:
        """When ``tick`` is wanted."""
        heard_at = self._heard.due_at
        if self._idle_at is None and self._deaf_at is None:
            return heard_at
        times = (heard_at, self._idle_at, self._deaf_at)
        return min((at for at in times if at is not None), default=None)

    def open(self) -> Actions:
        """Begins."""
        return [
            Tell(wire.SessionCreated(session=as_wire(self.config))),
            Intend(to_wish(self.config, self._names)),
        ]

    # ------------------------------------------------------------ the client

    def take(self, event: wire.AnyClientEvent, now: float) -> Actions:  # noqa: PLR0911 - one for each kind
        """Takes one event. Raises ``RealtimeError``; nothing is changed then."""
        match event:
            case wire.SessionUpdate(session=patch):
                self.config = update(self.config, patch, has_spoken=self._has_spoken)
                return self._changed()
            case wire.Append(audio=audio):
                return self._append(audio)
            case wire.Commit():
                return [*_tells(self._heard.commit(now)), EndUtterance(), Settle()]
            case wire.Clear():
                self._intake.clear()
                return [Discard(), *_tells(self._heard.clear())]
            case wire.ResponseCreate(response=params):
                return self._requests.create(params, self.config, is_awaiting=self._heard.is_awaiting)
            case wire.ResponseCancel(response_id=response_id):
                return self.answers.cancel(response_id, now)
            case wire.OutputBufferClear():
                message = "Over WebSocket the client holds the sound itself; send conversation.item.truncate."
                raise RealtimeError(message, code="unsupported_event", param="type")
            case _:
                return self._about_item(event, now)

    def _changed(self) -> Actions:
        """Gives the session the settings that are in force now."""
        self._heard.config = self.config
        if self._intake.format != self.config.audio.input.format:
            self._intake = Intake(self.config.audio.input.format)
        told = Tell(wire.SessionUpdated(session=as_wire(self.config)))
        return [Intend(to_wish(self.config, self._names)), Configure(self.start), told]

    def _append(self, audio: bytes) -> Actions:
        actions: Actions = [Hear(pcm) for pcm in self._intake.take(audio)]
        self._heard.appended_ms += duration_ms(self._intake.format, len(audio))
        if actions and not self._is_listening:
            self._is_listening = True
            actions.insert(0, Configure(self.start))
        return actions

    def _about_item(self, event: wire.AnyClientEvent, now: float) -> Actions:
        match event:
            case wire.ItemCreate(item=given, previous_item_id=previous_id):
                created = self.items.create(given, previous_id)
                previous, item = created.previous_item_id, created.item
                actions = _tells(
                    [
                        wire.ItemAdded(previous_item_id=previous, item=item),
                        wire.ItemDone(previous_item_id=previous, item=item),
                    ]
                )
                if created.audio:
                    self._heard.wait_for(item.id, now)
                    actions.append(
                        Transcribe(item.id, created.audio, self._intake.format, self.start.language)
                    )
                return actions
            case wire.ItemRetrieve(item_id=item_id):
                return [Tell(wire.ItemRetrieved(item=self.items.retrieve(item_id)))]
            case wire.ItemDelete(item_id=item_id):
                self.items.delete(item_id)
                return [Tell(wire.ItemDeleted(item_id=item_id))]
            case _:
                assert isinstance(event, wire.ItemTruncate)
                item_id, index = event.item_id, event.content_index
                cut_ms = self.items.truncate(item_id, index, event.audio_end_ms)
                cut = wire.ItemTruncated(item_id=item_id, content_index=index, audio_end_ms=cut_ms)
                return [Tell(cut), *self.answers.truncated(item_id, cut_ms)]

    def transcribed(self, item_id: str, text: str, seconds: float) -> Actions:
        """A recording of the client's was transcribed."""
        self.items.transcribed(item_id, text)
        return [*_tells(self._heard.transcribed(item_id, text, seconds)), Settle()]

    def not_transcribed(self, item_id: str, code: str, message: str) -> Actions:
        """It was not."""
        return [*_tells(self._heard.not_transcribed(item_id, code, message)), Settle()]

    # ------------------------------------------------------------ EVA

    def tell(  # noqa: PLR0911 - one for each kind
        self, event: ServerEvent, sound: bytes, now: float, *, beside: str | None = None
    ) -> Actions:
        """Takes what EVA tells. ``beside``: in which session beside this one; None: in the client's own."""
        match event:
            case TurnStarted():
                self._idle_at = None
                return self._requests.started(event, self.config, beside=beside)
            case _ if (answer := self.answers.of_turn(event)) is not None:
                return self._about_answer(answer, event, sound)
            case _ if beside is not None:
                return []
            case SpeechStartedEvent():
                self._idle_at = None
                return [*_tells(self._heard.take(event, now)), Settle()]
            case PartialEvent() | SpeechStoppedEvent() | FinalEvent() | ErrorEvent(utterance=int()):
                return [*_tells(self._heard.take(event, now)), Settle()]
            case Pause():
                self._heard.hold()
            case Resume():
                self._heard.pass_over()
            case Ready():
                self._deaf_at = None
            case ErrorEvent(turn_id=None):
                return self._trouble(event, now)
        return []

    def _about_answer(self, answer: Answer, event: ServerEvent, sound: bytes) -> Actions:
        relayed = self.answers.relay(answer, event, sound)
        match event:
            case Interrupted(reason="speech", heard=heard) if not answer.is_beside:
                if answer.is_spoken and not heard:  # what comes next is asked together with its question
                    self.items.forget(turn_number(answer.turn_id))
                return [*_tells(self._heard.tell(is_interruption=True)), *relayed, Settle()]
            case Interrupted() | TurnDone() | ErrorEvent():
                return [*relayed, Settle()]
            case Pause():
                self._heard.hold()
            case Resume():
                self._heard.pass_over()
            case _:
                pass
        return relayed

    def drop(self, turn_id: str) -> Actions:
        """What was not sent of a turn's sound is not to be sent any more."""
        told = self._heard.tell(is_interruption=True) if self.answers.dropped(turn_id) else []
        return [*_tells(told), DropSound(turn_id)]

    def unable(self, code: str, message: str, now: float, *, beside: str | None = None) -> Actions:
        """A turn that was asked for does not begin, or will not end."""
        return self._requests.unable(code, message, now, beside=beside)

    def settle(self) -> Actions:
        """All was told that EVA says at this moment; now she can be asked for something."""
        told = _tells(self._heard.tell(is_interruption=False))
        return [*told, *self._requests.settle(is_awaiting=self._heard.is_awaiting)]

    def leaves(self, event: ServerEvent, sound: bytes, now: float) -> list[wire.RealtimeEvent]:
        """Returns what the client is told as this goes to the socket."""
        over, told = self.answers.leaves(event, sound, now)
        self._has_spoken = self._has_spoken or any(isinstance(each, wire.AudioDelta) for each in told)
        detection = self.config.audio.input.turn_detection
        if over is not None and isinstance(detection, ServerVad) and detection.idle_timeout_ms is not None:
            self._idle_at = max(now, over.plays_until) + detection.idle_timeout_ms / 1000
        return told

    def close(self, code: str, message: str, now: float) -> Actions:
        """The session is over while its client is there: no response is left without its end."""
        return [
            action
            for answer in list(self.answers)
            if answer.ending is None
            for action in self.answers.give_up(answer, failing(code, message), now)
        ]

    # ------------------------------------------------------------ time

    def tick(self, now: float) -> Actions:
        """Does what is due."""
        actions = _tells(self._heard.overdue(now))
        if actions:
            actions.append(Settle())
        if self._deaf_at is not None and self._deaf_at <= now:
            self._deaf_at = None
            actions.append(_error("no_ears", "Nobody can listen right now; what is said is kept until then."))
        if self._idle_at is not None and self._idle_at <= now:
            self._idle_at = None
            actions += self._idle(now)
        return actions

    def _idle(self, now: float) -> Actions:
        """The person has been silent for too long: EVA says something."""
        detection = self.config.audio.input.turn_detection
        if not isinstance(detection, ServerVad) or self.answers.current is not None:
            return []
        end_ms = int(self._heard.appended_ms)
        start_ms = max(0, end_ms - (detection.idle_timeout_ms or 0))
        item_id, events = self._heard.idle(now)
        told = wire.TimeoutTriggered(item_id=item_id, audio_start_ms=start_ms, audio_end_ms=end_ms)
        response = self._requests.prompt(self.config) if detection.create_response else []
        return [Tell(told), *_tells(events), *response]

    def _trouble(self, event: ErrorEvent, now: float) -> Actions:
        if event.code != "no_ears":
            return [_error(event.code, event.message)]
        self._deaf_at = self._deaf_at or now + DEAF_S
        return []


def _tells(events: Iterable[wire.RealtimeEvent]) -> Actions:
    return [Tell(event) for event in events]


def _error(code: str, message: str) -> Tell:
    return Tell(wire.ErrorEvent(error=ErrorDetail(type="server_error", code=code, message=message)))
