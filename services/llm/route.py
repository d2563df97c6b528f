"""Which mind answers now: an ordered chain, in which one that failed rests for a while.

Pure: time is passed in. The rest doubles from 5 to 60 s with each failure in a row. When it is over, the
route must first be proven again (``due``) by the chain's upkeep, so that no person's turn pays for finding
out that a provider is still away. The last route never rests: it is the one that is always there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

REST_MIN_S = 5.0
REST_MAX_S = 60.0


@dataclass(slots=True)
class _Route:
    failures: int = 0
    is_open: bool = True
    rests_until_s: float = 0.0


class Routes:
    """The state of each route of the chain."""

    def __init__(self, names: Sequence[str]) -> None:
        self._routes = {name: _Route() for name in names}
        self._last = names[-1]

    def pick(self, tried: Collection[str] = ()) -> str | None:
        """Returns the first route that is open and was not tried in this turn."""
        for name, route in self._routes.items():
            if name not in tried and (route.is_open or name == self._last):
                return name
        return None

    def is_open(self, name: str) -> bool:
        """Whether turns may take this route."""
        return self._routes[name].is_open or name == self._last

    def failed(self, name: str, now_s: float, *, retry_after_s: float | None = None) -> None:
        """Lets the route rest, as long as the provider asks for within the bounds, or longer each time."""
        route = self._routes[name]
        rest_s = REST_MIN_S * 2.0 ** min(route.failures, 8)
        if retry_after_s is not None:
            rest_s = max(rest_s, retry_after_s)
        route.failures += 1
        route.is_open = False
        route.rests_until_s = now_s + min(rest_s, REST_MAX_S)

    def due(self, now_s: float) -> list[str]:
        """Returns the routes that have rested enough and want to be proven again."""
        return [
            name for name, route in self._routes.items() if not route.is_open and now_s >= route.rests_until_s
        ]

    def proven(self, name: str) -> None:
        """Opens the route again; its failures are forgotten only when it has answered a turn."""
        self._routes[name].is_open = True

    def answered(self, name: str) -> None:
        """A turn was answered on this route."""
        route = self._routes[name]
        route.failures, route.is_open = 0, True
