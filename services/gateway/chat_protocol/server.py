"""What EVA sends as JSON on ``WS /ws/chat``. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from services.gateway.chat_protocol.base import EngineReport, ServerEvent, Timeline, Usage
from services.gateway.chat_protocol.client import AudioIn, AudioOut, Format
from shared.messages import RouteReport


class OngoingTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that goes on for a client that has come back: its text as it stands, and where its sound is."""

    turn_id: str
    is_spoken: bool
    question: str
    text: str
    """Of the answer, so far; ``token`` goes on behind it."""
    from_ms: float
    """Where in the turn's sound what follows begins. What the client holds of it from there on comes again,
    and is to be thrown away; if it has less than this, the part between is lost."""
    is_over: bool = False
    """All of it is made; its terminal event, which may have been told before, comes behind the sound."""


class Ready(ServerEvent, frozen=True, kw_only=True, tag="ready"):
    """The session stands."""

    session_id: str
    is_resumed: bool
    turns: int
    """Turns that the conversation had before."""
    voice: str
    language: str
    audio_in: AudioIn | None
    audio_out: AudioOut | None
    ears: str | None = None
    """The engine that listens, where a microphone was claimed."""
    turn: OngoingTurn | None = None
    """Where the client has come back into one. None, where ``is_resumed``: what it knew of is over."""


class SpeechStartedEvent(ServerEvent, frozen=True, kw_only=True, tag="speech_started"):
    """The person began to speak; one ``final`` with this id follows."""

    at_ms: int
    """Audio time since the session's first frame, as all of them."""
    id: int = 0
    """Counts the session's utterances from 1."""


class SpeechStoppedEvent(ServerEvent, frozen=True, kw_only=True, tag="speech_stopped"):
    """The utterance is over, whatever it was; its ``final`` follows.

    At once, but where EVA is not to be interrupted: what is said into her turn has its final behind it.
    """

    at_ms: int
    """Where the last speech ended."""
    id: int = 0


class PartialEvent(ServerEvent, frozen=True, kw_only=True, tag="partial"):
    """What was understood so far; what stands before ``stable`` changes no more."""

    text: str
    stable: int = 0
    """So many characters of ``text`` are settled."""


class FinalEvent(ServerEvent, frozen=True, kw_only=True, tag="final"):
    """The transcript of the utterance.

    Without a turn's id no turn follows: nothing was said, or only a backchannel ("mm-hm") while EVA spoke.
    """

    text: str
    language: str
    turn_id: str | None
    id: int = 0
    """Of the utterance, as ``speech_started`` told it."""
    start_ms: int = 0
    end_ms: int = 0
    """Where its speech began and ended."""


class TurnStarted(ServerEvent, frozen=True, kw_only=True, tag="turn_started"):
    """An answer is being made; one ``turn_done``, ``interrupted`` or ``error`` with this id follows."""

    turn_id: str
    is_spoken: bool
    utterance: int | None = None
    """The newest one that it answers; None: the person did not speak."""


class Token(ServerEvent, frozen=True, kw_only=True, tag="token"):
    """More of the answer's text.

    What stood from character ``at`` on is replaced, so that an answer that was begun anew reads right;
    usually ``at`` is where the text ended.
    """

    turn_id: str
    text: str
    at: int = 0


class SegmentEvent(ServerEvent, frozen=True, kw_only=True, tag="segment"):
    """A piece of the answer went to the voice."""

    turn_id: str
    segment: int
    text: str
    mood: str = ""
    """How it is said; empty: neutral."""


class Filler(ServerEvent, frozen=True, kw_only=True, tag="filler"):
    """EVA bridges a silence ("hmm…") while her answer is being made; its sound follows as of segment -1.

    It is no part of the answer's text, and the conversation does not keep it.
    """

    turn_id: str
    text: str


class ToolCallEvent(ServerEvent, frozen=True, kw_only=True, tag="tool_call"):
    """The model calls a function; one of the client's is to be answered by ``tool_result``."""

    turn_id: str
    call_id: str
    name: str
    arguments: str
    """JSON, as the model wrote it: it need not be valid."""
    by: Literal["client", "server"] = "client"
    """``server``: EVA runs it herself, nothing is to be done."""


class AudioEvent(ServerEvent, frozen=True, kw_only=True, tag="audio"):
    """Header of the binary message that follows at once."""

    turn_id: str
    segment: int
    seq: int
    """Counts from 0 within the turn on one socket, without a gap."""
    format: Format
    rate_hz: int
    duration_ms: float
    size_bytes: int
    start_ms: float = 0.0
    """Where in the turn's sound it begins; ``duration_ms`` further on the next one does."""


class Flush(ServerEvent, frozen=True, kw_only=True, tag="flush"):
    """Throw away the sound of this turn that has not been played yet: the answer was interrupted."""

    turn_id: str


class Pause(ServerEvent, frozen=True, kw_only=True, tag="pause"):
    """Hold the playback of this turn where it is: the person may be interrupting.

    ``resume`` or ``flush`` follows within ``decide_ms``.
    """

    turn_id: str


class Resume(ServerEvent, frozen=True, kw_only=True, tag="resume"):
    """It was no interruption: play on from exactly where the playback was held."""

    turn_id: str
    verdict: Literal["backchannel", "echo", "noise"]


class TurnDone(ServerEvent, frozen=True, kw_only=True, tag="turn_done"):
    """Terminal: the whole answer was sent, with audible sound where sound was asked for."""

    turn_id: str
    text: str
    has_audio: bool
    timeline: Timeline
    engines: dict[str, EngineReport]
    route: RouteReport | None = None
    """Which way the answer took to its language model, and where the time of ``llm_ms`` went."""
    usage: Usage | None = None
    calls: int = 0
    """Functions that were handed over to the client: their results come with a later question."""
    is_cut_short: bool = False
    """The answer ends where it had as many tokens as it may have."""
    trace_id: str = ""
    """Of what was done for the turn, in all services: 32 hexadecimal digits, as in EVA's logs."""


class Interrupted(ServerEvent, frozen=True, kw_only=True, tag="interrupted"):
    """Terminal: the answer was stopped; ``heard`` is what the conversation keeps of it."""

    turn_id: str
    reason: Literal["speech", "message", "client", "closed"]
    heard: str
    timeline: Timeline
    usage: Usage | None = None


class ErrorEvent(ServerEvent, frozen=True, kw_only=True, tag="error"):
    """Something failed; the session lives on unless the socket closes.

    With a ``turn_id`` it is that turn's terminal event.
    """

    code: str
    message: str
    turn_id: str | None = None
    param: str | None = None
    retry_after_ms: int | None = None
    text: str = ""
    """What there was of the answer."""
    usage: Usage | None = None
    utterance: int | None = None
    """The one that could not be transcribed; its ``final`` follows."""


class Pong(ServerEvent, frozen=True, kw_only=True, tag="pong"):
    """The answer to ``ping``."""

    id: str | int | None = None
