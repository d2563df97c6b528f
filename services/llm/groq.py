"""Groq through its own SDK, which alone knows Groq's path and its extra fields."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncGenerator
from typing import Self, cast

import groq
import httpx

from services.llm.completions import CompletionStream, Patience, as_dicts, choice_as_given, warmth
from services.llm.engine import Device, Piece, Price, Question
from services.llm.failures import Provider
from services.llm.line import Line
from services.llm.passage import http_client


class GroqMind:
    """One of Groq's models."""

    name = "groq"
    device: Device = "remote"
    is_degraded = False

    def __init__(
        self, *, api_key: str, base_url: str, model: str, max_tokens: int, patience: Patience
    ) -> None:
        """``base_url`` is the host's root, empty for Groq's own."""
        self.model = model
        self.price = Price()
        self._max_tokens = max_tokens
        http = http_client(patience.connect_s)
        self._line = Line(
            groq.AsyncGroq(
                api_key=api_key,
                base_url=base_url or None,
                max_retries=0,
                timeout=http.timeout,
                http_client=http,
            ),
            "/openai/v1/models",
            Provider(
                engine=self.name,
                errors=(groq.GroqError, httpx.HTTPError, ValueError, RecursionError),
                key_name="GROQ_API_KEY",
            ),
            patience,
        )

    @property
    def route(self) -> str:
        """See ``engine.Mind``."""
        return f"{self.name}:{self.model}"

    def beside(self, model: str) -> Self:
        """Returns another model of the same account, over the same connections."""
        other = copy.copy(self)
        other.model = model
        self._line.widen()
        return other

    async def stream(self, question: Question) -> AsyncGenerator[Piece, None]:
        """See ``engine.Mind``; the language stands in the prompt."""

        async def create() -> CompletionStream:
            stream = await self._line.sdk.chat.completions.create(
                messages=[],
                extra_body={"messages": as_dicts(question.messages)},  # see ``as_dicts``
                model=self.model,
                max_completion_tokens=question.max_tokens or self._max_tokens,
                stream=True,
                **choice_as_given(question),
                **warmth(question),
            )
            return cast("CompletionStream", stream)

        async with contextlib.aclosing(self._line.stream(create, question)) as pieces:
            async for piece in pieces:
                yield piece

    async def prove(self) -> None:
        """Lists the models: the key is good, the way there is open, and the connection is warm."""
        await self._line.models()

    async def keep_warm(self) -> None:
        """See ``engine.Mind``; once for all models of the account."""
        await self._line.keep_warm()

    async def close(self) -> None:
        """Closes the connections."""
        await self._line.close()
