"""What the worker needs of a language model: a stream of text, and the proof that it is there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from shared.errors import EngineFailed
from shared.messages import ChatMessage, ToolSpec, ToolUse

Device = Literal["remote", "local"]
Fault = Literal["absent", "connect", "timeout", "status", "rate_limited", "refused", "garbage", "broken"]
"""Why a mind failed: nothing is there; no connection; too slow; 4xx or 5xx; 429; 401 or 403; what came was no
chat completion; the stream broke off, or the provider said so in it."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a mind is asked."""

    messages: Sequence[ChatMessage]
    """The instructions first; a final assistant message is the answer's beginning, to be continued."""
    language: str = ""
    tools: Sequence[ToolSpec] = ()
    tool_choice: str = "auto"
    """``auto``; ``required``: one of ``tools`` is called; or the name of that one."""
    max_tokens: int = 0
    """Of this answer; 0: as the mind is configured."""
    temperature: float | None = None
    """None: as the provider has it."""
    remaining_s: float = 30.0
    """For the whole answer."""
    first_token_s: float | None = None
    """For the first token, where that is less than the mind's own patience."""
    route: str = ""
    """Who is asked first, if that route is there and well; empty: the first of the list."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the provider says is left of its rate limits, 0..1 of each limit; None: it does not say."""

    requests: float | None = None
    tokens: float | None = None
    resets_s: float = 0.0
    """Until the scarcer of both is whole again."""

    @property
    def left(self) -> float:
        """The scarcer of both; 1 where nothing is known."""
        return min(share for share in (self.requests, self.tokens, 1.0) if share is not None)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The provider has begun to answer; comes once, before everything else."""

    connect_s: float = 0.0
    """What opening a connection took; 0: a warm one was there."""
    limits: Limits | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the provider counted; comes at most once, behind the text."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    """Of the input tokens."""


@dataclass(frozen=True, kw_only=True)
class CutShort:
    """The answer ends where it has as many tokens as it may have; comes behind its text."""


Piece = str | ToolUse | Usage | Opened | CutShort
"""Of an answer; a call comes when it is whole."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars for a million tokens."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None
    """None: as ``input``."""

    def of(self, usage: Usage) -> float:
        """Returns what so much costs, US dollars."""
        cached = self.input if self.cached is None else self.cached
        fresh = usage.input_tokens - usage.cached_tokens
        return (fresh * self.input + usage.cached_tokens * cached + usage.output_tokens * self.output) / 1e6


class MindFailed(EngineFailed):
    """A mind gave no usable answer, or stopped in the middle of one."""

    def __init__(  # noqa: PLR0913 - what providers tell when they fail
        self,
        engine: str,
        reason: str,
        *,
        fault: Fault = "broken",
        status: int = 0,
        retry_after_s: float | None = None,
        limits: Limits | None = None,
        hint: str = "",
    ) -> None:
        """``status``: of HTTP, 0 where there was no answer."""
        super().__init__(engine, reason)
        self.fault, self.status, self.limits = fault, status, limits
        self.retry_after_s, self.hint = retry_after_s, hint

    @property
    def is_absent(self) -> bool:
        """Whether nothing is there that could fail."""
        return self.fault == "absent"


class Mind(Protocol):
    """One language model behind one door."""

    @property
    def name(self) -> str:
        """Of the engine, as reports show it; the same for all models of one provider."""

    @property
    def route(self) -> str:
        """Of this route, unlike any other's of the worker: ``groq:llama-3.3-70b-versatile``."""

    @property
    def model(self) -> str:
        """The model's own name; may become known only by ``prove``."""

    @property
    def device(self) -> Device:
        """``remote``: another machine or process computes."""

    @property
    def is_degraded(self) -> bool:
        """Whether answers of this mind are a makeshift."""

    @property
    def price(self) -> Price:
        """Of its tokens; nothing where none is configured."""

    def stream(self, question: Question) -> AsyncGenerator[Piece, None]:
        """Answers.

        Raises:
            MindFailed: at any point; also when connecting, the first text or the next one takes too long.
        """

    async def prove(self) -> None:
        """Makes sure, within about 2 s, that it can be used; warms the way. Raises ``MindFailed``."""

    async def keep_warm(self) -> None:
        """Lets a connection not go cold; cheap, and never raises."""

    async def close(self) -> None:
        """Gives its connections back."""
