"""What may stand at the front of an answer and must not be said: a model's thoughts, and words said before.

Pure. Text that might still turn out to be such a beginning is held back; everything else passes at once.
"""

from __future__ import annotations

_OPEN, _CLOSE = "<think>", "</think>"


class Opening:
    """Filters the text of one answer.

    ``spoken`` is what an earlier attempt has already said: some providers begin again instead of going on.
    """

    def __init__(self, spoken: str = "") -> None:
        self._spoken = "".join(spoken.split())
        self._held = ""
        self._is_thinking = self._has_thought = False
        self._may_think = True
        self._is_over = False

    def feed(self, text: str) -> str:
        """Returns what can be passed on."""
        if self._is_over:
            return text
        self._held += text
        if self._may_think and not self._past_thoughts():
            return ""
        if self._has_thought:
            self._held = self._held.lstrip()
        return self._past_spoken() if self._held else ""

    def flush(self) -> str:
        """Returns what was held back and turned out to be said for the first time."""
        held, self._held = self._held, ""
        is_old = "".join(held.split()) == self._spoken
        return "" if self._is_thinking or self._is_over or is_old else held

    def _past_thoughts(self) -> bool:
        """Drops thoughts at the front; False while it is not sure whether more of them come."""
        if not self._is_thinking:
            front = self._held.lstrip()
            if len(front) < len(_OPEN) and _OPEN.startswith(front):
                return False
            self._may_think = self._is_thinking = front.startswith(_OPEN)
        if self._is_thinking:
            _, found, behind = self._held.partition(_CLOSE)
            if not found:
                return False
            self._held, self._has_thought = behind, True
            self._may_think = self._is_thinking = False
        return True

    def _past_spoken(self) -> str:
        """Drops a repetition of what was spoken; spaces do not count."""
        matched = 0
        for position, char in enumerate(self._held):
            if char.isspace():
                continue
            if matched == len(self._spoken):
                return self._over(self._held[position:])
            if char != self._spoken[matched]:
                return self._over(self._held)
            matched += 1
        return "" if self._spoken else self._over(self._held)

    def _over(self, text: str) -> str:
        self._is_over, self._held = True, ""
        return text
