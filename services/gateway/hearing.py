"""The utterances whose final has not come yet, and the judge of each that speaks into EVA's turn. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.interruption import Judge
from services.gateway.turn_io import NEWEST, UtteranceKey

MOST_OPEN = 8


@dataclass(slots=True)
class Utterance:
    """One stretch of the person's speech."""

    key: UtteranceKey
    began_at: float
    """When its first sound reached the gateway."""
    heard_at: float
    """When the ears last told something of it."""
    number: int = 0
    """Counts the session's utterances from 1."""
    start_ms: int = 0
    """Audio time since the session's first frame."""
    judge: Judge | None = None
    """None: it is an ordinary turn."""
    is_late: bool = False
    """It stops nothing: only its final is judged."""
    speculations: int = 0


class Hearing:
    """Utterances in the order in which they began."""

    def __init__(self) -> None:
        self.open: list[Utterance] = []
        self.lost: list[Utterance] = []
        """Those whose end was never told; the client has to be told something."""
        self._count = 0

    @property
    def newest(self) -> Utterance | None:
        """The one that is being spoken; None: nobody speaks."""
        return self.open[-1] if self.open else None

    @property
    def undecided(self) -> list[tuple[Utterance, Judge]]:
        """Those for which the answer is held, until their judge has decided."""
        judged = ((utterance, utterance.judge) for utterance in self.open if not utterance.is_late)
        return [
            (utterance, judge) for utterance, judge in judged if judge is not None and judge.verdict is None
        ]

    @property
    def due_at(self) -> float | None:
        """When the next verdict is wanted."""
        return min((judge.due_at for _, judge in self.undecided), default=None)

    def live(self, now: float, within_s: float) -> Utterance | None:
        """Returns the newest, unless nothing has been told of it for so long that its ears may be lost."""
        newest = self.newest
        return newest if newest is not None and now - newest.heard_at < within_s else None

    def count(self) -> int:
        """Returns the number of an utterance more."""
        self._count += 1
        return self._count

    def begin(self, key: UtteranceKey, began_at: float, now: float, *, start_ms: int = 0) -> Utterance | None:
        """Opens an utterance; None if it is open, or is heard again by another worker."""
        is_open = key != NEWEST and self._find(key) is not None
        if is_open or self._handed_over(key, now) is not None:
            return None
        utterance = Utterance(key, began_at, heard_at=now, number=self.count(), start_ms=start_ms)
        self.lost += self.open[: 1 - MOST_OPEN]
        self.open = [*self.open[1 - MOST_OPEN :], utterance]
        return utterance

    def find(self, key: UtteranceKey, now: float) -> Utterance | None:
        """Returns the open utterance of which the ears tell something; None if it is not open any more."""
        found = self._find(key) or self._handed_over(key, now)
        if found is not None:
            found.heard_at = now
        return found

    def end(self, key: UtteranceKey, now: float) -> Utterance | None:
        """Closes the utterance whose final has come, and those before it, and returns it."""
        found = self.find(key, now)
        if found is not None:
            place = self.open.index(found)
            self.lost += self.open[:place]
            self.open = self.open[place + 1 :]
        return found

    def discard(self, key: UtteranceKey) -> bool:
        """Forgets an utterance; False: it is not open."""
        found = self._find(key)
        self.open = [utterance for utterance in self.open if utterance is not found]
        return found is not None

    def _find(self, key: UtteranceKey) -> Utterance | None:
        if key == NEWEST:
            return self.newest
        return next((utterance for utterance in self.open if utterance.key == key), None)

    def _handed_over(self, key: UtteranceKey, now: float) -> Utterance | None:
        """Another lease tells of an utterance that the one before it has not brought to its end."""
        newest = self.newest
        if newest is None or not newest.key[0] < key[0]:
            return None
        newest.key, newest.heard_at = key, now
        return newest
