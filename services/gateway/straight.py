"""The straight way of sound through a session: what goes on with what was played last. Pure.

Of fifty chunks a second nearly all follow from the one before: the next samples of the same take, to be sent
at once, with nothing to be told beside. The turn machine has found that out with the first of them, and may
think otherwise at its next input; until then they go past it, and before that it is told of them.

With hundreds of sessions it is memory that a processor waits for, so as few objects are touched as can be.
"""

from __future__ import annotations

from services.gateway.answer import Answer
from services.gateway.turn_actions import Take
from shared.messages import AudioChunk


class Straight:
    """Of one take, of which a chunk was played at the last input, and nothing but that came of it."""

    __slots__ = ("_answer", "_due_at_s", "_next", "_number", "_take", "_taken")

    def __init__(self, answer: Answer, take: Take) -> None:
        self._answer, self._take, self._number = answer, take, take[2]
        track = answer.playout.tracks[self._number]
        self._next, self._due_at_s = track.received, track.score.due_at_s
        self._taken: list[tuple[AudioChunk, float]] = []

    def takes(self, chunk: AudioChunk, now: float) -> bool:
        """Takes a chunk that is to be sent at once; False: the machine has to look at it."""
        end = chunk.start + chunk.samples
        if chunk.start != self._next or end / chunk.rate_hz > self._due_at_s:
            return False
        if (chunk.turn, chunk.attempt, chunk.segment, chunk.take) != self._take:
            return False
        self._next = end
        self._taken.append((chunk, now))
        return True

    def settle(self) -> None:
        """The answer gets to know what was taken; to be called before the machine's next input."""
        if self._taken:
            self._answer.playout.send_on(self._number, self._taken)
            self._answer.segments[self._number].beat_at = self._answer.voice_at = self._taken[-1][1]
            self._taken.clear()


def straight(answer: Answer | None, take: Take | None) -> Straight | None:
    """Returns the way of a take that is being played; None: there is none."""
    if answer is None or take is None or take[0] != answer.turn or not 0 <= take[2] < len(answer.segments):
        return None
    is_played = answer.marks.audible_at is not None and not answer.playout.is_held
    return Straight(answer, take) if is_played else None
