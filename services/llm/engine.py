"""What the worker needs of a language model: a stream of text, and the proof that it is there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from shared.errors import EngineFailed
from shared.messages import ChatMessage

Device = Literal["remote", "local"]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the provider counted; comes at most once, behind the text."""

    input_tokens: int
    output_tokens: int


class MindFailed(EngineFailed):
    """A mind gave no usable answer, or stopped in the middle of one."""

    def __init__(
        self,
        engine: str,
        reason: str,
        *,
        retry_after_s: float | None = None,
        is_absent: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(engine, reason)
        self.retry_after_s, self.is_absent, self.hint = retry_after_s, is_absent, hint


class Mind(Protocol):
    """One language model behind one door."""

    @property
    def name(self) -> str:
        """Of the engine, as reports show it."""

    @property
    def model(self) -> str:
        """The model's own name; may become known only by ``prove``."""

    @property
    def device(self) -> Device:
        """``remote``: another machine or process computes."""

    @property
    def is_degraded(self) -> bool:
        """Whether answers of this mind are a makeshift."""

    def stream(
        self, messages: Sequence[ChatMessage], *, language: str, remaining_s: float
    ) -> AsyncGenerator[str | Usage, None]:
        """Answers the last user message; a final assistant message is the beginning, to be continued.

        Raises:
            MindFailed: at any point; also when the first text or the next one takes too long.
        """

    async def prove(self) -> None:
        """Makes sure, within about 2 s, that it can be used; warms the way. Raises ``MindFailed``."""

    async def close(self) -> None:
        """Gives its connections back."""
