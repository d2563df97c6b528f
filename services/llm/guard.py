"""Ends an answer that does not end by itself: too long, or the same words again and again. Pure."""

from __future__ import annotations

from services.llm.prompt import tokens

REPEATS = 4
"""The same segment so many times in a row is a model that is stuck."""


class Guard:
    """Watches one answer."""

    def __init__(self, max_tokens: int) -> None:
        self._left = max_tokens * 2  # the provider was told max_tokens; estimates may differ by a factor
        self._last = ""
        self._repeats = 0
        self.is_over = False

    def allow(self, text: str) -> str:
        """Returns as much of ``text`` as the answer may still have."""
        self._left -= tokens(text)
        if self._left >= 0:
            return text
        self.is_over = True
        return text[: max(0, len(text) + 4 * self._left)]

    def is_stuck(self, segment: str) -> bool:
        """Whether this segment repeats once too often; the answer is over then."""
        words = segment.casefold()
        self._repeats = self._repeats + 1 if words == self._last else 1
        self._last = words
        self.is_over = self.is_over or self._repeats >= REPEATS
        return self._repeats >= REPEATS
