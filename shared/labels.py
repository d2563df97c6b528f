"""Values of labels that come from configuration or from failures, kept to a bounded number. Pure."""

from __future__ import annotations

MOST = 16
"""So many values have figures of their own, in the order in which they come."""
OTHER = "other"


class Labels:
    """The known values of one label."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._known = most, set[str]()

    def of(self, value: str) -> str:
        """Returns the value, or ``other`` where there are too many."""
        if value not in self._known and len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value
