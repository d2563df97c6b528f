"""What a client asks to be answered: with which settings, with what before it, and when. Pure.

A response waits for the transcripts of what was said before it: EVA's mind reads, it does not listen. One
that is asked for beside the conversation has a session of its own and waits for nobody's turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from services.gateway.chat_protocol import Start, TurnStarted
from services.gateway.realtime.actions import Actions, Configure, Played, Respond, RespondBeside
from services.gateway.realtime.answers import Answer, Answers, failing
from services.gateway.realtime.context import Context, messages_of
from services.gateway.realtime.endings import Ending
from services.gateway.realtime.errors import RealtimeError, invalid_value
from services.gateway.realtime.events import ResponseParams
from services.gateway.realtime.mapping import to_start, to_wish
from services.gateway.realtime.names import Names
from services.gateway.realtime.responses import Responding, Wanted
from services.gateway.realtime.session import overridden
from services.gateway.realtime.session_types import SessionConfig
from services.gateway.realtime.utterances import turn_number
from shared.subjects import new_token

MOST_PAIRS, MOST_KEY, MOST_VALUE = 16, 64, 512
"""Of metadata; OpenAI's."""


class Requests:
    """Begins responses. ``start``: returns the settings that EVA's session has."""

    def __init__(self, answers: Answers, context: Context, names: Names, start: Callable[[], Start]) -> None:
        self._answers, self._context, self._names, self._start = answers, context, names, start
        self._conversation_id = f"conv_{new_token()}"
        self._starting: Answer | None = None
        self._beside: dict[str, Answer] = {}
        self._last_turn = ""
        self._has_borrowed = False
        """The session has the sound of one response that wants another than the rest."""

    def create(self, params: ResponseParams | None, session: SessionConfig, *, is_awaiting: bool) -> Actions:
        """Answers ``response.create``. Raises ``RealtimeError``.

        Args:
            params: what is other in this response.
            session: the effective session.
            is_awaiting: transcripts are not there yet.
        """
        params = params or ResponseParams()
        if session.type != "realtime":
            message = "A transcription session has no responses."
            raise RealtimeError(message, code="invalid_session_type", param="type")
        settings = overridden(session, params)
        is_beside = params.conversation == "none"
        self._answers.admit(is_beside=is_beside)
        messages = None if params.input is None else messages_of(params.input, self._context.items)
        answer = self._answer(settings, is_beside=is_beside, metadata=_checked(params.metadata))
        answer.messages = messages
        if is_awaiting and messages is None:
            self._answers.deferred.append(answer)
            return []
        return self._begin(answer)

    def prompt(self, session: SessionConfig) -> Actions:
        """Begins a response that nobody has asked for."""
        return self._begin(self._answer(session))

    def started(self, event: TurnStarted, session: SessionConfig, *, beside: str | None) -> Actions:
        """A turn has begun: that of a response, or one that begins by itself."""
        if beside is not None:
            return self._answers.begin(self._beside[beside], event)
        asked = None if event.is_spoken else self._starting
        waiting = next((answer for answer in self._answers.deferred if not answer.is_beside), None)
        answer = asked or waiting or self._answer(session)
        self._starting, self._last_turn = None, event.turn_id
        self._context.ask_with(turn_number(event.turn_id), answer.messages)
        return self._answers.begin(answer, event)

    def unable(self, code: str, message: str, now: float, *, beside: str | None = None) -> Actions:
        """A turn that was asked for does not begin, or one beside has no end of its own."""
        answer = self._starting if beside is None else self._beside.pop(beside, None)
        if beside is None:
            self._starting = None
        if answer is None or answer.responding.is_over or answer.ending is not None:
            return []
        ending = failing(code, message)
        if answer.cut is not None:
            ending = Ending(status="cancelled", reason=answer.cut)
        return self._answers.give_up(answer, ending, now)

    def settle(self, *, is_awaiting: bool) -> Actions:
        """Begins what has waited for transcripts, and gives the session its own sound back."""
        actions: Actions = []
        current = self._answers.current
        if self._has_borrowed and (current is None or current.ending is not None):
            self._has_borrowed = False
            actions.append(Configure(self._start()))
        if is_awaiting:
            return actions
        for answer in list(self._answers.deferred):
            self._answers.deferred.remove(answer)
            actions += self._begin(answer)
        return actions

    def _answer(
        self, settings: SessionConfig, *, is_beside: bool = False, metadata: Mapping[str, str] | None = None
    ) -> Answer:
        voice = settings.audio.output
        wanted = Wanted(
            id=f"resp_{new_token()}",
            modality="audio" if "audio" in settings.output_modalities else "text",
            conversation_id=None if is_beside else self._conversation_id,
            voice=voice.voice,
            format=voice.format,
            max_output_tokens=settings.max_output_tokens,
            metadata=metadata,
        )
        items = None if is_beside else self._context.items
        return Answer(Responding(wanted, items), settings, is_beside=is_beside)

    def _begin(self, answer: Answer) -> Actions:
        wish = to_wish(answer.settings, self._names)
        start = to_start(answer.settings, self._names)
        if answer.is_beside:
            self._beside[answer.id] = answer
            messages = answer.messages
            if messages is None:
                messages = tuple(self._context.items.record.messages)
            alone = replace(start, audio_in=None, turn_taking=replace(start.turn_taking, answers=False))
            self._answers.expect(answer)
            return [RespondBeside(answer.id, alone, wish, messages)]
        actions: Actions = [Played(self._last_turn)] if self._last_turn else []
        own = self._start()
        if start.audio_out not in {None, own.audio_out}:
            self._has_borrowed = True
            actions.append(Configure(replace(own, audio_out=start.audio_out)))
        self._starting = answer
        return [*actions, Respond(wish, start.audio_out is not None, start.voice)]


def _checked(metadata: Mapping[str, Any] | None) -> dict[str, str] | None:
    if metadata is None:
        return None
    if len(metadata) > MOST_PAIRS:
        message = f"Metadata may have {MOST_PAIRS} pairs, this has {len(metadata)}."
        raise invalid_value("response.metadata", message)
    for key, value in metadata.items():
        if not isinstance(value, str) or len(key) > MOST_KEY or len(value) > MOST_VALUE:
            message = (
                f"Metadata is strings, of at most {MOST_VALUE} characters, by keys of at most {MOST_KEY}."
            )
            raise invalid_value(f"response.metadata.{key[:MOST_KEY]}", message)
    return dict(metadata)
