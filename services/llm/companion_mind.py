"""The scripted companion as a mind: always there, needs nothing, labelled wherever it answers."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from datetime import datetime

from services.llm.companion import answer
from services.llm.engine import CutShort, Device, Piece, Price, Question


def _now() -> datetime:
    return datetime.now().astimezone()


class CompanionMind:
    """Streams the companion's answer word by word, as a model would."""

    name = "companion"
    route = "companion"
    model = "scripted"
    price = Price()
    device: Device = "local"
    is_degraded = True

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock

    async def stream(self, question: Question) -> AsyncGenerator[Piece, None]:
        """See ``engine.Mind``; begins anew where the answer has begun already: it is the same one."""
        text = answer(question.messages, language=question.language, now=self._clock())
        words = re.findall(r"\s*\S+", text)
        for word in words[: question.max_tokens or None]:
            yield word
        if 0 < question.max_tokens < len(words):
            yield CutShort()

    async def prove(self) -> None:
        """Has nothing to prove."""

    async def keep_warm(self) -> None:
        """Has nothing to keep warm."""

    async def close(self) -> None:
        """Has nothing to give back."""
