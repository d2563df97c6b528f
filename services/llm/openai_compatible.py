"""Any server that speaks OpenAI's chat completions: Ollama, llama.cpp, vLLM, LM Studio, other providers.

Where no address is given, the usual local ports are looked at, again each time that it is to be proven:
so a server that is started after EVA is found as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Self, cast

import httpx
import openai

from services.llm.completions import CompletionStream, Patience, as_dicts, choice_as_given, warmth
from services.llm.discover import discover, model_names
from services.llm.engine import Device, MindFailed, Piece, Price, Question
from services.llm.failures import Provider, failure
from services.llm.line import Line
from services.llm.passage import http_client
from services.llm.route_list import RouteSpec

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
        self.route = RouteSpec(kind="openai", base_url=base_url, model=model).name
        self.price = Price()
        self._base_url = base_url
        self._wanted_model = model
        self._ports = ports
        self._api_key = api_key
        self._max_tokens = max_tokens
        self._patience = patience
        self._provider = Provider(
            engine=self.name,
            errors=(openai.OpenAIError, httpx.HTTPError, ValueError, RecursionError),
            key_name="EVA_LLM_API_KEY",
        )
        self._found_url = base_url
        self._line = self._connected(base_url) if base_url else None

    def beside(self, model: str) -> Self:
        """Returns another model of the same server, over the same connections; needs a ``base_url``."""
        assert self._line is not None
        self._line.widen()
        other = copy.copy(self)
        other.model = model
        other._wanted_model = model  # noqa: SLF001 - its own class
        other.route = RouteSpec(kind="openai", base_url=self._base_url, model=model).name
        return other

    async def stream(self, question: Question) -> AsyncGenerator[Piece, None]:
        """See ``engine.Mind``; the language stands in the prompt."""
        if self._line is None or not self.model:
            await self._find()
        line = self._line
        assert line is not None

        async def create() -> CompletionStream:
            stream = await line.sdk.chat.completions.create(
                messages=[],
                extra_body={"messages": as_dicts(question.messages)},  # see ``as_dicts``
                model=self.model,
                max_tokens=question.max_tokens or self._max_tokens,
                stream=True,
                stream_options={"include_usage": True},
                **choice_as_given(question),
                **warmth(question),
            )
            return cast("CompletionStream", stream)

        async with contextlib.aclosing(line.stream(create, question)) as pieces:
            async for piece in pieces:
                yield piece

    async def prove(self) -> None:
        """Finds the server and its model, and lets it load the model before a turn waits for it."""
        await self._find()
        assert self._line is not None
        hello = self._line.sdk.chat.completions.create(
            model=self.model, messages=[{"role": "user", "content": "Hello"}], max_tokens=1
        )
        try:
            async with asyncio.timeout(self._patience.prove_s):
                await hello
        except TimeoutError:
            return  # it is still loading; the turn's own deadline will tell
        except self._provider.errors as error:
            raise failure(error, self._provider) from error

    async def keep_warm(self) -> None:
        """See ``engine.Mind``; nothing where no server is known yet."""
        if self._line is not None:
            await self._line.keep_warm()

    async def close(self) -> None:
        """Closes the connections."""
        if self._line is not None:
            await self._line.close()

    async def _find(self) -> None:
        if not self._base_url:
            await self._look_around()
        assert self._line is not None
        names = model_names(await self._line.models())
        if not names and not self._wanted_model:
            raise MindFailed(
                self.name,
                "the server has no model",
                fault="absent",
                hint="`ollama pull` one, or set EVA_LLM_MODEL",
            )
        self.model = self._wanted_model or names[0]

    async def _look_around(self) -> None:
        """Takes the server that is there now; an answer that is on its way from the same one goes on."""
        found = await discover(self._ports)
        if found == self._found_url and self._line is not None:
            return
        await self.close()
        self._found_url, self._line = found, self._connected(found) if found else None
        if self._line is None:
            raise MindFailed(self.name, "no server found on this machine", fault="absent", hint=_CONNECT_HINT)

    def _connected(self, base_url: str) -> Line:
        http = http_client(self._patience.connect_s)
        sdk = openai.AsyncOpenAI(
            api_key=self._api_key or "none",
            base_url=base_url,
            max_retries=0,
            timeout=openai.Timeout(None, connect=self._patience.connect_s),
            http_client=cast("Any", http),
        )
        return Line(sdk, "/models", self._provider, self._patience)
