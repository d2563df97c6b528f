"""What other ears would have to know to go on where the present ones are: text, place and promises. Pure.

A worker settles a long utterance piece by piece and needs the audio of settled pieces no longer. The gateway
lets go of that audio only once it has been told the text, and keeps both in step: what it would give to the
next worker is always the text up to exactly the frame from which it would replay, so nothing is heard twice
and nothing is lost. An end that the client asked for is promised again until it was kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from shared.messages import EarsAlive, EarsFailed, Final, Partial, SpeechStarted


@dataclass(frozen=True, slots=True)
class End:
    """The client says that its utterance ends before this frame."""

    seq: int
    is_discarded: bool = False


class Handover:
    """Of one session; ``hear`` takes the events of the lease that holds, in order."""

    def __init__(self, *, pace_ms: float = 0.0) -> None:
        self.prefix = ""
        """What is settled of the utterance in flight, up to the first frame that is kept."""
        self.is_midway = False
        """Whether that frame lies within an utterance."""
        self.pace_ms = pace_ms
        """What has been learnt of this person's pauses; 0: nothing."""
        self._told: dict[int, str] = {}
        """The settled text of each utterance that is not over."""
        self._started = self._finished = 0
        self._ends: deque[End] = deque()
        self._sent = 0
        """So many of them this lease has been told."""

    @property
    def is_in_flight(self) -> bool:
        """Whether the person waits for an utterance that was begun."""
        return self._started > self._finished

    def begin(self) -> None:
        """A new lease begins: it was told all of this, and counts its utterances from 1."""
        self._told = {1: self.prefix} if self.is_midway else {}
        self._started, self._finished = int(self.is_midway), 0
        self._sent = 0

    def end_at(self, seq: int, *, is_discarded: bool = False) -> None:
        """The client says that its utterance ends before this frame, or is of no interest any more."""
        self._ends.append(End(seq, is_discarded))

    def take_end(self, seq: int) -> End | None:
        """Returns the end that has to be told before this frame is sent; once each."""
        if self._sent == len(self._ends) or self._ends[self._sent].seq > seq:
            return None
        self._sent += 1
        return self._ends[self._sent - 1]

    def hear(self, event: object) -> int | None:
        """Takes an event; returns the first frame that has to be kept, if that is known anew.

        A final tells it as well, but its frames are still looked at: ``Final.needed_seq`` is for the caller.
        """
        match event:
            case SpeechStarted(utterance=utterance):
                self._started = max(self._started, utterance)
            case Partial(utterance=utterance, text=text, stable=stable):
                if utterance > self._finished and stable > len(self._told.get(utterance, "")):
                    self._told[utterance] = text[:stable]
            case EarsAlive():
                return self._alive(event)
            case Final(utterance=utterance, ended_by=ended_by, pace_ms=pace_ms):
                self._over(utterance)
                self.pace_ms = pace_ms or self.pace_ms
                if ended_by == "manual" and self._sent:
                    self._keep()
            case EarsFailed(utterance=utterance) if utterance:
                self._over(utterance)
        return None

    def _alive(self, alive: EarsAlive) -> int | None:
        while not self.is_in_flight and self._sent and self._ends[0].seq <= alive.next_seq:
            self._keep()
        told = self._told[min(self._told)] if self._told else ""
        if alive.settled > len(told):
            return None
        self.prefix, self.is_midway = told[: alive.settled], alive.is_midway
        return alive.needed_seq

    def _over(self, utterance: int) -> None:
        self._started, self._finished = max(self._started, utterance), max(self._finished, utterance)
        self._told = {number: text for number, text in self._told.items() if number > utterance}
        self.prefix, self.is_midway = "", False

    def _keep(self) -> None:
        """The oldest promise is kept."""
        self._ends.popleft()
        self._sent -= 1
