"""Groq through its own SDK, which alone knows Groq's path and its extra fields."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import groq
import httpx

from services.llm.completions import CompletionStream, Patience, Provider, as_dicts, failure, stream_text
from services.llm.engine import Device, Usage
from shared.messages import ChatMessage

KEEP_ALIVE_S = 120.0
"""Longer than people pause between two turns: a new TLS connection costs two round trips."""


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
        self._max_tokens = max_tokens
        self._patience = patience
        self._provider = Provider(
            engine=self.name, errors=(groq.GroqError, httpx.HTTPError, ValueError), key_name="GROQ_API_KEY"
        )
        timeout = groq.Timeout(None, connect=patience.connect_s)  # reading is watched token by token
        self._client = groq.AsyncGroq(
            api_key=api_key,
            base_url=base_url or None,
            max_retries=0,
            timeout=timeout,
            http_client=httpx.AsyncClient(
                timeout=timeout, limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S)
            ),
        )

    async def stream(
        self, messages: Sequence[ChatMessage], *, language: str, remaining_s: float
    ) -> AsyncGenerator[str | Usage, None]:
        """See ``engine.Mind``; the language stands in the prompt."""
        del language

        async def opened() -> CompletionStream:
            stream = await self._client.chat.completions.create(
                messages=cast("Any", as_dicts(messages)),
                model=self.model,
                max_completion_tokens=self._max_tokens,
                stream=True,
            )
            return cast("CompletionStream", stream)

        text = stream_text(opened, provider=self._provider, patience=self._patience, remaining_s=remaining_s)
        async with contextlib.aclosing(text) as pieces:
            async for piece in pieces:
                yield piece

    async def prove(self) -> None:
        """Lists the models: the key is good, the way there is open, and the connection is warm."""
        try:
            await self._client.with_options(timeout=self._patience.prove_s).models.list()
        except self._provider.errors as error:
            raise failure(error, self._provider) from error

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()
