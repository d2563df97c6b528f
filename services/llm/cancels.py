"""Which turns were cancelled: remembered, so that work still in the queue is dropped when it comes. Pure."""

from __future__ import annotations

from collections import OrderedDict

CAPACITY = 4096


class Tombstones:
    """The newest cancelled turn of each session; the oldest sessions are forgotten beyond ``capacity``."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._turns: OrderedDict[tuple[str, str], int] = OrderedDict()

    def bury(self, gw: str, sid: str, turn: int) -> None:
        """Everything of this session up to and including ``turn`` is cancelled."""
        key = (gw, sid)
        self._turns[key] = max(turn, self._turns.get(key, 0))
        self._turns.move_to_end(key)
        if len(self._turns) > self._capacity:
            self._turns.popitem(last=False)

    def is_buried(self, gw: str, sid: str, turn: int) -> bool:
        """Whether this turn was cancelled."""
        return turn <= self._turns.get((gw, sid), 0)
