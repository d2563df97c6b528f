"""Who computes next on a device, in audio time. Pure.

Whose sound must be there first goes first: of all orders this one keeps the greatest lateness smallest
(earliest due date, Jackson 1955), and nobody starves, since whoever comes later is due later. A listener's
first sound is due at once; later sound is due when the listener runs dry, less two turns, so that a first
window goes before whoever is not about to run dry, and behind whoever is.

Two things keep a lane free for whom it matters to. Whoever is seconds ahead waits while anyone is behind. And
between two turns a listener is away for a moment, to encode: the lane waits that moment for it rather than go
to one who is due later, as a disk's head does (anticipatory scheduling, Iyer and Druschel 2001).

All times are seconds of one clock that goes forward.
"""

from __future__ import annotations

from dataclasses import dataclass

LATER_S = 1.0
"""So much sound is believed to come yet before a segment: of the one before it while that is being made, or
made by another worker."""
_USUAL_TURN_S, _LONGEST_TURN_S = 0.05, 0.5
_NEWEST = 0.2
"""Share of the newest turn in what a turn is believed to take."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """When a listener is held back."""

    comfort_s: float = 3.0
    """Who is further ahead waits while anyone is behind that."""
    far_s: float = 600.0
    """Who is further ahead waits in any case. No answer is so long: where nobody is behind, a text that is to
    be had as a file is made as fast as it goes."""
    grace_s: float = 0.005
    """How long a lane waits for one who is between two turns."""
    hang_s: float = 8.0
    """A turn that lasts longer hangs: its lane goes to others."""


class Place:
    """One segment's place among those that are being made, whatever device makes it."""

    def __init__(
        self,
        now: float,
        *,
        before: Place | None = None,
        is_awaited: bool = True,
        hurry_at: float = float("inf"),
    ) -> None:
        """Takes a place.

        Args:
            now: seconds.
            before: the segment that is heard before it, if that is made here too.
            is_awaited: without ``before``: somebody waits for it in silence.
            hurry_at: from then on it is not held back: its turn is about to end.
        """
        self.is_closed = False
        """Nobody wants it any more, or all of it was made."""
        self.made_s = 0.0
        """Seconds of sound."""
        self.hurry_at = hurry_at
        self._before = before
        self._is_awaited = is_awaited
        self._from_at = now if before is not None or is_awaited else now + LATER_S

    @property
    def is_urgent(self) -> bool:
        """Whether somebody waits for its first sound in silence."""
        return self._is_awaited and self._before is None and self.made_s == 0

    @property
    def dry_at(self) -> float:
        """When all of it has been heard, if no more is made; before its first sound: when that is due."""
        before = self._before
        if before is None:
            return self._from_at + self.made_s
        self._from_at = max(self._from_at, before.dry_at)
        if not before.is_closed:
            return self._from_at + LATER_S + self.made_s
        self._before, self._is_awaited = None, False
        return self._from_at + self.made_s

    def made(self, seconds: float, now: float) -> None:
        """So much more sound is there; who had run dry is heard from now on."""
        if now > self.dry_at:
            self._from_at = now - self.made_s
        self.made_s += seconds


class Schedule:
    """The turns of one device."""

    def __init__(self, lanes: int, rules: Rules = Rules()) -> None:
        self.lanes = lanes
        self._rules = rules
        self._waiting: list[Place] = []
        self._computing: dict[Place, float] = {}
        """Since when."""
        self._away: dict[Place, float] = {}
        """Who gave a turn back a moment ago, and when."""
        self._turn_s = _USUAL_TURN_S

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return len(self._waiting)

    def ask(self, place: Place) -> None:
        """It wants a turn."""
        self._away.pop(place, None)
        self._waiting.append(place)

    def leave(self, place: Place) -> None:
        """It wants none any more; a turn that it has it keeps until it gives it back."""
        self._away.pop(place, None)
        if place in self._waiting:
            self._waiting.remove(place)

    def give_back(self, place: Place, now: float) -> None:
        """Its turn is over."""
        took_s = min(now - self._computing.pop(place), _LONGEST_TURN_S)
        self._turn_s += _NEWEST * (took_s - self._turn_s)
        if not place.is_closed:
            self._away[place] = now

    def grant(self, now: float) -> list[Place]:
        """Returns whose turn it is from now on, and holds it to be computing."""
        for place in [place for place, at in self._away.items() if now >= at + self._rules.grace_s]:
            del self._away[place]
        granted = []
        while self._free(now) > 0 and (ready := [place for place in self._waiting if self._may(place, now)]):
            first = min(ready, key=self._due_at)
            self._waiting.remove(first)
            self._computing[first] = now
            granted.append(first)
        return granted

    def changes_at(self, now: float) -> float | None:
        """Returns when ``grant`` may next find somebody though nobody came or went; None: never."""
        if not self._waiting:
            return None
        rules = self._rules
        times = [since + rules.hang_s for since in self._computing.values()]
        if self._free(now) > 0:
            times += [at + rules.grace_s for at in self._away.values()]
            for place in self._waiting:
                dry_at = place.dry_at
                times += [dry_at - rules.far_s, dry_at - rules.comfort_s, place.hurry_at]
                times.append(dry_at - self._tight_s)
        return min((at for at in times if now < at < float("inf")), default=None)

    @property
    def _tight_s(self) -> float:
        """Who is less far ahead is about to run dry: one turn of another and its own would take so long."""
        return 2 * self._turn_s

    def _free(self, now: float) -> int:
        return self.lanes - len(self._alive(now))

    def _alive(self, now: float) -> list[Place]:
        """Returns who computes and does not hang."""
        return [place for place, since in self._computing.items() if now < since + self._rules.hang_s]

    def _due_at(self, place: Place) -> float:
        return place.dry_at - (0.0 if place.is_urgent else self._tight_s)

    def _may(self, place: Place, now: float) -> bool:
        """Whether it is not held back; each comparison is with a time that ``changes_at`` knows."""
        rules, dry_at = self._rules, place.dry_at
        if now >= place.hurry_at or now >= dry_at - self._tight_s:
            return True
        if now < dry_at - rules.far_s:
            return False
        if now < dry_at - rules.comfort_s:
            others = (other for other in self._others(place, now) if not other.is_closed)
            return not any(now >= other.dry_at - rules.comfort_s for other in others)
        due_at = self._due_at(place)
        return not any(self._due_at(other) < due_at for other in self._away)

    def _others(self, place: Place, now: float) -> list[Place]:
        """Returns everybody else who is here."""
        return [other for other in (*self._waiting, *self._alive(now), *self._away) if other is not place]
