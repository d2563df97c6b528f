"""Any server that speaks OpenAI's chat completions: Ollama, llama.cpp, vLLM, LM Studio, other providers.

Where no address is given, the usual local ports are looked at, again each time that it is to be proven:
so a server that is started after EVA is found as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import httpx
import openai

from services.llm.completions import CompletionStream, Patience, Provider, as_dicts, failure, stream_text
from services.llm.discover import discover, model_names
from services.llm.engine import Device, MindFailed, Usage
from shared.messages import ChatMessage

_CONNECT_HINT = "set GROQ_API_KEY in .env, or start Ollama (`ollama serve`) with a model"


class OpenAiCompatible:
    """One such server."""

    name = "openai-compatible"
    device: Device = "remote"
    is_degraded = False

    def __init__(
        self,
        *,
        base_url: str,
        ports: Sequence[int],
        api_key: str,
        model: str,
        max_tokens: int,
        patience: Patience,
    ) -> None:
        """No ``base_url``: looks at these local ``ports``. No ``model``: the server's first one."""
        self.model = model
        self._base_url = base_url
        self._wanted_model = model
        self._ports = ports
        self._api_key = api_key
        self._max_tokens = max_tokens
        self._patience = patience
        self._provider = Provider(
            engine=self.name,
            errors=(openai.OpenAIError, httpx.HTTPError, ValueError),
            key_name="EVA_LLM_API_KEY",
        )
        self._client = self._connected(base_url) if base_url else None

    async def stream(
        self, messages: Sequence[ChatMessage], *, language: str, remaining_s: float
    ) -> AsyncGenerator[str | Usage, None]:
        """See ``engine.Mind``; the language stands in the prompt."""
        del language
        if self._client is None or not self.model:
            await self._find()

        async def opened() -> CompletionStream:
            assert self._client is not None
            stream = await self._client.chat.completions.create(
                messages=cast("Any", as_dicts(messages)),
                model=self.model,
                max_tokens=self._max_tokens,
                stream=True,
                stream_options={"include_usage": True},
            )
            return cast("CompletionStream", stream)

        text = stream_text(opened, provider=self._provider, patience=self._patience, remaining_s=remaining_s)
        async with contextlib.aclosing(text) as pieces:
            async for piece in pieces:
                yield piece

    async def prove(self) -> None:
        """Finds the server and its model, and lets it load the model before a turn waits for it."""
        await self._find()
        assert self._client is not None
        hello = self._client.chat.completions.create(
            model=self.model, messages=[{"role": "user", "content": "Hello"}], max_tokens=1
        )
        try:
            async with asyncio.timeout(self._patience.prove_s):
                await hello
        except TimeoutError:
            return  # it is still loading; the turn's own deadline will tell
        except self._provider.errors as error:
            raise failure(error, self._provider) from error

    async def _find(self) -> None:
        if not self._base_url:
            await self.close()
            found = await discover(self._ports)
            if not found:
                raise MindFailed(
                    self.name, "no server found on this machine", is_absent=True, hint=_CONNECT_HINT
                )
            self._client = self._connected(found)
        assert self._client is not None
        try:
            listing = await self._client.with_options(timeout=self._patience.prove_s).get(
                "/models", cast_to=object
            )
        except self._provider.errors as error:
            raise failure(error, self._provider) from error
        names = model_names(listing)
        if not names and not self._wanted_model:
            raise MindFailed(
                self.name, "the server has no model", hint="`ollama pull` one, or set EVA_LLM_MODEL"
            )
        self.model = self._wanted_model or names[0]

    def _connected(self, base_url: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key=self._api_key or "none",
            base_url=base_url,
            max_retries=0,
            timeout=openai.Timeout(None, connect=self._patience.connect_s),
        )

    async def close(self) -> None:
        """Closes the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
