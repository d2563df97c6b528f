"""Chat completions as both SDKs stream them: deadlines per token, one kind of failure, no vendor named.

A provider's own words are not repeated in a reason: they may quote the conversation, and reasons are logged.
The deadline stands on the *first text*, not on the request: a provider that has sent headers and then
nothing is as silent as one that cannot be reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.llm.engine import MindFailed, Usage
from shared.messages import ChatMessage


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a provider is waited for, in seconds."""

    connect_s: float = 1.0
    first_token_s: float = 1.5
    between_tokens_s: float = 2.0
    prove_s: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Provider:
    """What differs between providers when something goes wrong."""

    engine: str
    errors: tuple[type[Exception], ...]
    """Of the SDK, of the HTTP library below it, and ``ValueError`` for what cannot be parsed."""
    key_name: str
    """The setting that holds its key."""


class CompletionStream(Protocol):
    """What an SDK returns for ``stream=True``."""

    def __aiter__(self) -> AsyncIterator[Any]:
        """Yields chunks."""

    async def close(self) -> None:
        """Ends the request."""


def as_dicts(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Returns the messages as the SDKs take them."""
    return [{"role": message.role, "content": message.content} for message in messages]


async def stream_text(
    opened: Callable[[], Awaitable[CompletionStream]],
    *,
    provider: Provider,
    patience: Patience,
    remaining_s: float,
) -> AsyncGenerator[str | Usage, None]:
    """Yields the answer's text as it comes, then what the provider counted. Raises ``MindFailed``."""
    loop = asyncio.get_running_loop()
    wait_s, awaited = min(patience.first_token_s, remaining_s), "first"
    due_s = loop.time() + wait_s
    try:
        async with asyncio.timeout_at(due_s):
            stream = await opened()
        try:
            chunks = aiter(stream)
            while True:
                async with asyncio.timeout_at(due_s):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                for piece in _pieces(chunk, provider.engine):
                    yield piece
                    wait_s, awaited = patience.between_tokens_s, "next"
                if awaited == "next":
                    due_s = loop.time() + wait_s
        finally:
            await stream.close()
    except TimeoutError as error:
        raise MindFailed(provider.engine, f"no {awaited} token within {wait_s:.1f} s") from error
    except provider.errors as error:
        raise failure(error, provider) from error


def _pieces(chunk: Any, engine: str) -> Iterator[str | Usage]:
    """SDKs do not validate what they parse, so nothing is taken for granted here."""
    extra = getattr(chunk, "x_groq", None)
    if error := getattr(extra, "error", None):
        raise MindFailed(engine, f"stopped early ({str(error)[:40]})")
    for choice in getattr(chunk, "choices", None) or ():
        text = getattr(getattr(choice, "delta", None), "content", None)
        if isinstance(text, str) and text:
            yield text
    usage = getattr(extra, "usage", None) or getattr(chunk, "usage", None)
    counted = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
    if isinstance(counted[0], int) and isinstance(counted[1], int):
        yield Usage(input_tokens=counted[0], output_tokens=counted[1])


def failure(error: Exception, provider: Provider) -> MindFailed:
    """Tells an SDK's error in our words."""
    status = getattr(error, "status_code", None)
    response = getattr(error, "response", None)
    if status in {401, 403}:
        return MindFailed(
            provider.engine,
            f"{provider.key_name} was refused ({status})",
            hint=f"put a valid {provider.key_name} into .env and start EVA again",
        )
    if isinstance(status, int):
        retry_after_s = _seconds(response.headers.get("retry-after", "")) if response is not None else None
        return MindFailed(provider.engine, f"answered {status}", retry_after_s=retry_after_s)
    if isinstance(error, ValueError):
        return MindFailed(provider.engine, "sent something that is no chat completion")
    name = type(error).__name__
    if "Timeout" in name:
        return MindFailed(provider.engine, "did not answer in time")
    if "Connect" in name:
        return MindFailed(provider.engine, "could not be reached")
    return MindFailed(provider.engine, f"stopped ({name})")


def _seconds(header: str) -> float | None:
    try:
        return max(0.0, float(header))
    except ValueError:
        return None
