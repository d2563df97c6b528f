"""Which turns nobody wants any more. Pure.

A cancel may overtake the work that it is meant for, so it is remembered until enough others have come.
"""

from __future__ import annotations

from collections import OrderedDict

REMEMBERED_SESSIONS = 4096


class Cancelled:
    """The newest cancelled turn of the sessions that cancelled last."""

    def __init__(self, capacity: int = REMEMBERED_SESSIONS) -> None:
        self._capacity = capacity
        self._turns: OrderedDict[tuple[str, str], int] = OrderedDict()

    def add(self, gw: str, sid: str, turn: int) -> None:
        """Remembers that everything up to and including ``turn`` is dropped."""
        key = (gw, sid)
        self._turns[key] = max(turn, self._turns.get(key, turn))
        self._turns.move_to_end(key)
        if len(self._turns) > self._capacity:
            self._turns.popitem(last=False)

    def covers(self, gw: str, sid: str, turn: int) -> bool:
        """Whether the turn was cancelled."""
        newest = self._turns.get((gw, sid))
        return newest is not None and turn <= newest
