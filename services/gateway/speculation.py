"""An answer that is begun while the end of the person's turn is still being confirmed. Pure.

Nothing of it reaches the client, the memory or a loudspeaker until the final has come with the same words:
its playback is held, its events are kept here in order, and only work for the mind and the voice goes out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.gateway import progress
from services.gateway.answer import Answer
from services.gateway.answer_parts import Marks
from services.gateway.backchannels import words
from services.gateway.turn_io import Action, Ask, Input, Speak, Think, TurnPolicy


@dataclass(slots=True)
class Ahead:
    """An answer ahead of its final."""

    answer: Answer
    held: list[Action] = field(default_factory=list)

    def advance(self, event: Input, policy: TurnPolicy, now: float) -> list[Action]:
        """Takes what a worker sent; returns what may be done before the final."""
        return self._sift(progress.advance(self.answer, event, policy, now))

    def overdue(self, policy: TurnPolicy, now: float) -> list[Action]:
        """Deals with whoever has been silent for too long, as far as that may be done before the final."""
        return self._sift(progress.overdue(self.answer, policy, now))

    def _sift(self, actions: list[Action]) -> list[Action]:
        self.held += [action for action in actions if not isinstance(action, Think | Speak)]
        return [action for action in actions if isinstance(action, Think | Speak)]

    def foresaw(self, asked: Ask) -> bool:
        """Whether this is what was answered: the same words, to be answered in the same way."""
        ask = self.answer.ask
        assert isinstance(ask, Ask)
        is_alike = (asked.language, asked.voice, asked.wants_audio, asked.wish) == (
            ask.language,
            ask.voice,
            ask.wants_audio,
            ask.wish,
        )
        return is_alike and words(asked.words) == words(ask.words)


def ahead(turn: int, turn_id: str, asked: Ask, policy: TurnPolicy, now: float) -> Ahead:
    """Returns an answer of which nothing is asked for yet; ``progress.begin`` does it."""
    deadline = now + policy.turn_s
    answer = Answer(turn, turn_id, asked, deadline, Marks(now), think_at=now, voice_at=now)
    answer.first_s = 0.0 if answer.is_wordless else policy.apology_s
    answer.is_speculative = answer.rounds.is_ahead = True
    answer.playout.hold(now)
    return Ahead(answer)
