"""Rate limits as Groq has them: requests and tokens, each in a window, told in each answer's headers."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class Window:
    """So much in so many seconds; whole again at the window's end."""

    limit: int
    window_s: float
    used: int = 0
    ends_s: float = -math.inf

    def roll(self, now_s: float) -> None:
        """Begins a new window where the last is over."""
        if now_s >= self.ends_s:
            self.used, self.ends_s = 0, now_s + self.window_s

    @property
    def left(self) -> int:
        """Never below 0."""
        return max(0, self.limit - self.used)


class RateLimits:
    """Of one account; time is passed in."""

    def __init__(
        self,
        *,
        requests: int = 14_400,
        tokens: int = 18_000,
        requests_s: float = 86_400.0,
        tokens_s: float = 60.0,
    ) -> None:
        self.requests = Window(limit=requests, window_s=requests_s)
        self.tokens = Window(limit=tokens, window_s=tokens_s)

    def take(self, tokens: int, now_s: float) -> float | None:
        """Takes one request of so many tokens; returns None, or in how many seconds there is room."""
        both = ((self.requests, 1), (self.tokens, tokens))
        for window, _ in both:
            window.roll(now_s)
        waits = [window.ends_s - now_s for window, wanted in both if window.left < wanted]
        if waits:
            return max(waits)
        for window, wanted in both:
            window.used += wanted
        return None

    def headers(self, now_s: float) -> tuple[tuple[str, str], ...]:
        """Returns what every answer says."""
        return tuple(
            (f"x-ratelimit-{what}-{of}", text)
            for of, window in (("requests", self.requests), ("tokens", self.tokens))
            for what, text in (
                ("limit", str(window.limit)),
                ("remaining", str(window.left)),
                ("reset", span(max(0.0, window.ends_s - now_s))),
            )
        )


def span(seconds: float) -> str:
    """Returns ``2m59.56s``, ``7.66s``, ``120ms``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 2), 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"
