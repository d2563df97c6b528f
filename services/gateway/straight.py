"""The straight way of sound through a session: what goes on with what was played last. Pure.

Of fifty chunks a second nearly all follow from the one before: the next samples of the same take, to be sent
at once, with nothing to be told beside. The turn machine finds that out with the first of them; whatever it is
given besides, it may think otherwise, so a way is good until its next input. All that a chunk changes is here,
and touches as few objects as can be: with hundreds of sessions it is the processor's cache that they wait for.
"""

from __future__ import annotations

from services.gateway.answer import Answer
from services.gateway.turn_actions import Take
from shared.messages import AudioChunk


class Straight:
    """Of one take, of which a chunk was played at the last input, and nothing but that came of it."""

    __slots__ = ("_answer", "_playout", "_segment", "_take", "_track")

    def __init__(self, answer: Answer, take: Take) -> None:
        number = take[2]
        self._answer, self._take = answer, take
        self._segment, self._playout = answer.segments[number], answer.playout
        self._track = answer.playout.tracks[number]

    def takes(self, chunk: AudioChunk, now: float) -> bool:
        """Takes a chunk that is to be sent at once; False: the machine has to look at it."""
        track, start, samples, rate_hz = self._track, chunk.start, chunk.samples, chunk.rate_hz
        end_s = (start + samples) / rate_hz
        is_next = start == track.received and end_s <= track.score.due_at_s
        if not is_next or (chunk.turn, chunk.attempt, chunk.segment, chunk.take) != self._take:
            return False
        track.received, track.received_s = start + samples, end_s
        self._playout.send_on(track, chunk, 1000 * samples / rate_hz, now)
        self._segment.beat_at = self._answer.voice_at = now
        return True


def straight(answer: Answer | None, take: Take | None) -> Straight | None:
    """Returns the way of a take that is being played; None: there is none."""
    if answer is None or take is None or take[0] != answer.turn or not 0 <= take[2] < len(answer.segments):
        return None
    return None if answer.marks.audible_at is None else Straight(answer, take)
