"""The line to one provider: its SDK's client, shared by all its routes, and kept open between turns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from services.llm.completions import CompletionStream, Patience, stream_answer
from services.llm.engine import MindFailed, Piece, Question
from services.llm.failures import Provider, failure
from services.llm.passage import KEEP_ALIVE_S, Passage, passage_of

WARM_EVERY_S: Final = 25.0
"""A line that was idle for so long asks for the list of models; well below ``KEEP_ALIVE_S`` and what servers
and the boxes on the way keep an idle connection for."""
MAX_WIDTH: Final = 2
"""So many connections are kept open: a hedge has two requests in flight."""
assert WARM_EVERY_S < KEEP_ALIVE_S


class Line:
    """Used by every mind of the provider; ``close`` may be called by each of them."""

    def __init__(self, sdk: Any, models_path: str, provider: Provider, patience: Patience) -> None:
        """``sdk``: an asynchronous client of either SDK, over ``passage.http_client``."""
        self.sdk = sdk
        self.provider = provider
        self._models_path = models_path
        self._patience = patience
        self._cools_s = 0.0
        """On the loop's clock: from then on a request may find no open connection."""
        self._is_warming = False
        self._width = 1

    def widen(self) -> None:
        """One more route uses it: a hedge finds an open connection beside the one that is waited for."""
        self._width = min(self._width + 1, MAX_WIDTH)

    async def stream(
        self, create: Callable[[], Awaitable[CompletionStream]], question: Question
    ) -> AsyncGenerator[Piece, None]:
        """Streams an answer; see ``engine.Mind.stream``."""
        passage = Passage()

        async def opened() -> CompletionStream:
            nonlocal passage
            stream = await create()
            passage = passage_of(stream.response)
            return stream

        answer = stream_answer(opened, question=question, provider=self.provider, patience=self._patience)
        try:
            async with contextlib.aclosing(answer) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            now_s = asyncio.get_running_loop().time()
            self._cools_s = now_s + WARM_EVERY_S if passage.is_whole else now_s

    async def models(self) -> Any:
        """Returns the provider's list of models: the key is good, the way there open, the line warm.

        Raises:
            MindFailed: it did not come within ``Patience.prove_s``.
        """
        listing: Any = None
        try:
            async with asyncio.timeout(self._patience.prove_s):
                listing = await self.sdk.get(self._models_path, cast_to=object)
        except TimeoutError as error:
            raise failure(error, self.provider) from error
        except self.provider.errors as error:
            raise failure(error, self.provider) from error
        finally:  # a provider that is away is not asked more often than one that is there
            self._cools_s = asyncio.get_running_loop().time() + WARM_EVERY_S
        return listing

    async def keep_warm(self) -> None:
        """Asks for the models if the line was idle, or has lost its connection; see ``engine.Mind``."""
        if self._is_warming or asyncio.get_running_loop().time() < self._cools_s:
            return
        self._is_warming = True
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._width):
                    tasks.create_task(self._warm(), name="warm a line")
        finally:
            self._is_warming = False

    async def _warm(self) -> None:
        with contextlib.suppress(MindFailed):
            await self.models()

    async def close(self) -> None:
        """Closes the connections; more than once is no harm."""
        await self.sdk.close()
