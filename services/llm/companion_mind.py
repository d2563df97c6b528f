"""The scripted companion as a mind: always there, needs nothing, labelled wherever it answers."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime

from services.llm.companion import answer
from services.llm.engine import Device, Usage
from shared.messages import ChatMessage


def _now() -> datetime:
    return datetime.now().astimezone()


class CompanionMind:
    """Streams the companion's answer word by word, as a model would."""

    name = "companion"
    model = "scripted"
    device: Device = "local"
    is_degraded = True

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock

    async def stream(
        self, messages: Sequence[ChatMessage], *, language: str, remaining_s: float
    ) -> AsyncGenerator[str | Usage, None]:
        """See ``engine.Mind``; begins anew where the answer has begun already: it is the same one."""
        del remaining_s
        for word in re.findall(r"\s*\S+", answer(messages, language=language, now=self._clock())):
            yield word

    async def prove(self) -> None:
        """Has nothing to prove."""

    async def close(self) -> None:
        """Has nothing to give back."""
