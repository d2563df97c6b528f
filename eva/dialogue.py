"""What was said in a conversation with EVA, put together from the events of the socket. Pure.

Time is passed in, in seconds of one clock. EVA's sound is laid where a player would have played it: at its
arrival, or behind what is still playing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from eva.wav import Sound, is_audible
from services.gateway.chat_protocol import (
    AudioEvent,
    EngineReport,
    ErrorEvent,
    FinalEvent,
    Flush,
    Interrupted,
    ServerEvent,
    SpeechStartedEvent,
    Timeline,
    Token,
    TurnDone,
    TurnStarted,
)

Outcome = Literal["open", "done", "interrupted", "failed"]


@dataclass(kw_only=True)
class Turn:
    """One turn as the client saw it."""

    turn_id: str
    heard: str = ""
    """What the person said, as EVA understood or got it."""
    text: str = ""
    pcm: bytearray = field(default_factory=bytearray)
    rate_hz: int = 24000
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    """When each piece of sound began to play, and the piece."""
    plays_until_s: float = 0.0
    outcome: Outcome = "open"
    error: str = ""
    timeline: Timeline = field(default_factory=Timeline)
    engines: dict[str, EngineReport] = field(default_factory=dict)

    @property
    def is_audible(self) -> bool:
        """Whether sound came that a person would hear."""
        return is_audible(Sound(rate_hz=self.rate_hz, pcm=bytes(self.pcm)))


class Dialogue:
    """Collects turns; ``take`` is to be called for each event in order."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.is_person_speaking = False
        self.finals = 0
        self.last_error = ""
        """An error that belonged to no turn."""
        self._heard = ""

    def say(self, text: str) -> None:
        """Notes what was typed; it belongs to the next turn."""
        self._heard = text

    @property
    def is_settled(self) -> bool:
        """Whether nobody is speaking and no turn is open."""
        return not self.is_person_speaking and all(turn.outcome != "open" for turn in self.turns)

    def turn(self, turn_id: str) -> Turn:
        """Returns the turn, opening it if it is new."""
        for turn in reversed(self.turns):
            if turn.turn_id == turn_id:
                return turn
        self.turns.append(Turn(turn_id=turn_id, heard=self._heard))
        self._heard = ""
        return self.turns[-1]

    def take(self, event: ServerEvent, payload: bytes, at_s: float) -> None:
        """Takes one event and the sound behind it."""
        match event:
            case SpeechStartedEvent():
                self.is_person_speaking = True
            case FinalEvent(text=text, turn_id=turn_id):
                self.is_person_speaking = False
                self.finals += 1
                self._heard = text
                if turn_id is not None:
                    self.turn(turn_id)
            case TurnStarted(turn_id=turn_id):
                self.turn(turn_id)
            case Token(turn_id=turn_id, text=text, at=at):
                turn = self.turn(turn_id)
                turn.text = turn.text[:at] + text
            case AudioEvent():
                _hear(self.turn(event.turn_id), event, payload, at_s)
            case Flush(turn_id=turn_id):
                _fall_silent(self.turn(turn_id), at_s)
            case TurnDone():
                turn = self.turn(event.turn_id)
                turn.outcome, turn.text = "done", event.text
                turn.timeline, turn.engines = event.timeline, event.engines
            case Interrupted():
                turn = self.turn(event.turn_id)
                turn.outcome, turn.timeline = "interrupted", event.timeline
            case ErrorEvent(turn_id=None):
                self.last_error = event.message
            case ErrorEvent():
                turn = self.turn(str(event.turn_id))
                turn.outcome, turn.error = "failed", event.message
            case _:
                pass


def _hear(turn: Turn, event: AudioEvent, payload: bytes, at_s: float) -> None:
    turn.rate_hz = event.rate_hz
    turn.pcm += payload
    starts_s = max(at_s, turn.plays_until_s)
    turn.pieces.append((starts_s, payload))
    turn.plays_until_s = starts_s + event.duration_ms / 1000


def _fall_silent(turn: Turn, at_s: float) -> None:
    """Cuts off what was not yet played."""
    kept = []
    for starts_s, pcm in turn.pieces:
        samples = round((at_s - starts_s) * turn.rate_hz)
        if samples > 0:
            kept.append((starts_s, pcm[: samples * 2]))
    turn.pieces = kept
    turn.plays_until_s = min(turn.plays_until_s, at_s)


def track(turns: list[Turn], *, rate_hz: int, starts_s: float) -> bytes:
    """Returns EVA's side of the conversation as one track of PCM that begins at ``starts_s``."""
    sound = bytearray()
    for turn in turns:
        for at_s, pcm in turn.pieces:
            place = max(0, round((at_s - starts_s) * rate_hz)) * 2
            if place > len(sound):
                sound += bytes(place - len(sound))
            sound[place : place + len(pcm)] = pcm
    return bytes(sound)
