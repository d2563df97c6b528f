"""Minds that follow a script: a piece of text, a pause in seconds, or a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from services.llm.engine import Device, MindFailed, Opened, Piece, Price, Question, Usage
from shared.messages import ChatMessage, ToolUse

Step = str | float | Usage | Opened | ToolUse | BaseException


class ScriptedMind:
    """Says the same at each turn; keeps what it was asked and counts what was left before its end."""

    def __init__(
        self,
        *steps: Step,
        name: str = "scripted",
        is_degraded: bool = False,
        proofs: Sequence[MindFailed | float] = (),
    ) -> None:
        self.steps = steps
        self.name = name
        self.route = name
        self.model = f"{name}-model"
        self.price = Price()
        self.device: Device = "remote"
        self.is_degraded = is_degraded
        self.proofs = list(proofs)
        """What the next proofs do: fail, or take so many seconds; then they succeed."""
        self.proven = 0
        self.warmed = 0
        self.asked: list[list[ChatMessage]] = []
        self.languages: list[str] = []
        self.questions: list[Question] = []
        self.abandoned = 0
        self.is_closed = False

    async def stream(self, question: Question) -> AsyncGenerator[Piece, None]:
        self.questions.append(question)
        self.asked.append(list(question.messages))
        self.languages.append(question.language)
        is_whole = False
        try:
            for step in self.steps:
                match step:
                    case BaseException():
                        raise step
                    case float():
                        await asyncio.sleep(step)
                    case _:
                        yield step
            is_whole = True
        finally:
            self.abandoned += not is_whole

    async def prove(self) -> None:
        self.proven += 1
        match self.proofs.pop(0) if self.proofs else 0.0:
            case MindFailed() as failed:
                raise failed
            case float(seconds):
                await asyncio.sleep(seconds)

    async def keep_warm(self) -> None:
        self.warmed += 1

    async def close(self) -> None:
        self.is_closed = True
