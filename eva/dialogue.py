"""What was said in a conversation with EVA, put together from the events of the socket. Pure.

Time is passed in, in seconds of one clock. EVA's sound is laid where a player would have played it: at its
arrival, or behind what is still playing; what was held back while a possible interruption was judged leaves
a gap and goes on behind it.
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
    Pause,
    Resume,
    ServerEvent,
    SpeechStartedEvent,
    SpokenWord,
    Timeline,
    Token,
    TurnDone,
    TurnStarted,
    WordsEvent,
)
from shared.messages import RouteReport

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
    is_held: bool = False
    """Whether playback stands still."""
    held: list[bytes] = field(default_factory=list)
    """What is to be played when it goes on."""
    kept: str | None = None
    """What was heard of an interrupted answer, as EVA remembers it."""
    outcome: Outcome = "open"
    error: str = ""
    timeline: Timeline = field(default_factory=Timeline)
    engines: dict[str, EngineReport] = field(default_factory=dict)
    route: RouteReport | None = None
    filler_bytes: int = 0
    """Of ``pcm``: sound that bridged a silence and is none of the answer's."""
    words: dict[tuple[int, int], SpokenWord] = field(default_factory=dict)
    """When each word is heard, as far as that was told: by segment and place in it, in order."""

    @property
    def is_audible(self) -> bool:
        """Whether sound came that a person would hear."""
        return is_audible(Sound(rate_hz=self.rate_hz, pcm=bytes(self.pcm)))

    @property
    def duration_ms(self) -> float:
        """How long all sound that came lasts."""
        return 1000 * self._lasts_s(self.pcm)

    @property
    def filler_ms(self) -> float:
        """How long the fillers in it last."""
        return 1000 * self.filler_bytes / 2 / self.rate_hz

    def played_ms(self, at_s: float) -> float:
        """Returns how much of the sound had been heard then."""
        return 1000 * sum(max(0.0, min(at_s - since, self._lasts_s(pcm))) for since, pcm in self.pieces)

    def hear(self, pcm: bytes, at_s: float) -> None:
        """Takes sound that came."""
        self.pcm += pcm
        if self.is_held:
            self.held.append(pcm)
        else:
            self._lay(pcm, at_s)

    def hold(self, at_s: float) -> None:
        """Playback stops where it is; what was not heard waits."""
        played: list[tuple[float, bytes]] = []
        waiting: list[bytes] = []
        for since, pcm in self.pieces:
            border = 2 * max(0, round((at_s - since) * self.rate_hz))
            played += [(since, pcm[:border])] if border else []
            waiting += [pcm[border:]] if pcm[border:] else []
        self.pieces, self.held = played, waiting + self.held
        self.plays_until_s = min(self.plays_until_s, at_s)
        self.is_held = True

    def go_on(self, at_s: float) -> None:
        """Playback goes on exactly where it was held."""
        waiting, self.held, self.is_held = self.held, [], False
        for pcm in waiting:
            self._lay(pcm, at_s)

    def fall_silent(self, at_s: float) -> None:
        """What was not heard never will be."""
        self.hold(at_s)
        self.held, self.is_held = [], False

    def _lay(self, pcm: bytes, at_s: float) -> None:
        since_s = max(at_s, self.plays_until_s)
        self.pieces.append((since_s, pcm))
        self.plays_until_s = since_s + self._lasts_s(pcm)

    def _lasts_s(self, pcm: bytes | bytearray) -> float:
        return len(pcm) / 2 / self.rate_hz


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
                if turn_id is not None:
                    self._heard = text
                    self.turn(turn_id)
            case TurnStarted(turn_id=turn_id):
                self.turn(turn_id)
            case Token(turn_id=turn_id, text=text, at=at):
                turn = self.turn(turn_id)
                turn.text = turn.text[:at] + text
            case (
                AudioEvent(turn_id=turn_id)
                | Pause(turn_id=turn_id)
                | Resume(turn_id=turn_id)
                | Flush(turn_id=turn_id)
            ):
                _sound(self.turn(turn_id), event, payload, at_s)
            case WordsEvent(turn_id=turn_id, segment=segment, words=words):
                self.turn(turn_id).words.update({(segment, word.begin): word for word in words})
            case TurnDone():
                turn = self.turn(event.turn_id)
                turn.outcome, turn.text = "done", event.text
                turn.timeline, turn.engines, turn.route = event.timeline, event.engines, event.route
            case Interrupted():
                turn = self.turn(event.turn_id)
                turn.outcome, turn.timeline, turn.kept = "interrupted", event.timeline, event.heard
            case ErrorEvent(turn_id=None):
                self.last_error = event.message
            case ErrorEvent(turn_id=str(turn_id)):
                turn = self.turn(turn_id)
                turn.outcome, turn.error = "failed", event.message
            case _:
                pass


def _sound(turn: Turn, event: ServerEvent, payload: bytes, at_s: float) -> None:
    match event:
        case AudioEvent(rate_hz=rate_hz, segment=segment):
            turn.rate_hz = rate_hz
            turn.filler_bytes += len(payload) if segment < 0 else 0
            turn.hear(payload, at_s)
        case Pause():
            turn.hold(at_s)
        case Resume():
            turn.go_on(at_s)
        case _:
            turn.fall_silent(at_s)


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
