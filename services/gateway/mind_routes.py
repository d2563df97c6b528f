"""What the mind's workers have learnt about their routes, all workers together. Pure.

Each worker has breakers of its own and tells of them by its facts; a route is judged by the worker where it
does worst, so that trouble shows as soon as one of them meets it. No worker is named: their names are new
at each start, and would become ever more labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from services.gateway.health import Breaker, RouteHealth
from shared.messages import EngineFact

_BREAKERS: tuple[Breaker, ...] = ("", "closed", "half_open", "open")
_STATES = ("serving", "standby", "failed", "absent")
_IS_NOT_CLOSED = {"open": "is open", "half_open": "is tried again after it was open"}


def routes_of(workers: Iterable[Sequence[EngineFact]]) -> list[RouteHealth]:
    """Returns the routes of all workers in the order of their chains."""
    known: dict[str, list[EngineFact]] = {}
    for chain in workers:
        for fact in chain:
            known.setdefault(fact.name, []).append(fact)
    return [_route(name, facts) for name, facts in known.items()]


def _route(name: str, facts: list[EngineFact]) -> RouteHealth:
    best = min(facts, key=lambda fact: _STATES.index(fact.state))
    worst = max(facts, key=lambda fact: (_BREAKERS.index(fact.breaker), _STATES.index(fact.state)))
    return RouteHealth(
        route=name,
        model=best.model,
        state=best.state,
        breaker=worst.breaker,
        workers=dict(Counter(fact.breaker for fact in facts if fact.breaker)),
        first_token_p50_ms=_of(facts, "first_token_ms_p50", max),
        first_token_p90_ms=_of(facts, "first_token_ms_p90", max),
        slow_share=_of(facts, "slow_share", max),
        error_share=_of(facts, "error_share", max),
        requests_left=_of(facts, "limit_requests_left", min),
        tokens_left=_of(facts, "limit_tokens_left", min),
        detail=worst.detail or next((fact.detail for fact in facts if fact.detail), ""),
        hint=next((fact.hint for fact in facts if fact.hint), ""),
    )


def _of(facts: list[EngineFact], name: str, choose: Callable[[list[float]], float]) -> float | None:
    told = [fact.numbers[name] for fact in facts if name in fact.numbers]
    return choose(told) if told else None


def troubles(routes: Sequence[RouteHealth], *, answering: str) -> list[str]:
    """Returns a sentence for each route that is not to be trusted now; ``answering`` is the one in use."""
    return [
        f"{route.route} {_IS_NOT_CLOSED[route.breaker]}{_where(route)}"
        + (f": {route.detail.rstrip('.')}" if route.detail else "")
        + (f"; {answering} answers." if answering and answering != route.route else ".")
        for route in routes
        if route.breaker in _IS_NOT_CLOSED and route.state != "absent"
    ]


def _where(route: RouteHealth) -> str:
    troubled, total = total_of(route, "open", "half_open"), sum(route.workers.values())
    return f" at {troubled} of {total} workers" if total > 1 else ""


def total_of(route: RouteHealth, *breakers: Breaker) -> int:
    """Returns how many workers have one of these states of the breaker."""
    return sum(route.workers.get(breaker, 0) for breaker in breakers)
