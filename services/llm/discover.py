"""Looks for a language model on this machine, where the usual servers listen.

Only loopback is asked, and only an answer that is a list of models counts: some other program may own
the port. EVA's own gateway is never asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

CONNECT_S = 1.0
ANSWER_S = 2.0
"""Waited for only where somebody listens and says nothing; on a busy machine an answer takes its time."""


async def discover(ports: Sequence[int]) -> str:
    """Returns the base URL of the first server, in the order of ``ports``, that has a model, or ""."""
    timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
        urls = [f"http://127.0.0.1:{port}/v1" for port in ports]
        found = await asyncio.gather(*(_has_models(client, url) for url in urls))
    return next((url for url, is_there in zip(urls, found, strict=True) if is_there), "")


async def _has_models(client: httpx.AsyncClient, url: str) -> bool:
    try:
        answer = await client.get(f"{url}/models")
        return answer.status_code == 200 and bool(model_names(answer.json()))
    except (httpx.HTTPError, ValueError, RecursionError):
        return False


def model_names(listing: Any) -> list[str]:
    """Returns the models of a ``GET /models`` answer that can hold a conversation, as far as names tell."""
    entries = listing.get("data") if isinstance(listing, dict) else None
    names = [entry.get("id") for entry in entries or () if isinstance(entry, dict)]
    return [name for name in names if isinstance(name, str) and name and "embed" not in name.casefold()]
