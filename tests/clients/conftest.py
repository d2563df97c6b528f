"""One EVA for all tests of clients: it asks for keys, as one on a network does."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.keys import KEY_PREFIX
from tests.clients.place import Place
from tests.e2e.house import house
from tests.fakes.provider import FakeProvider


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("clients")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    file = folder / "keys"
    file.write_text(key + "\n")
    async with FakeProvider(is_steady=True) as provider:
        variables = {
            "EVA_LLM_BASE_URL": provider.base_url,
            "EVA_GATEWAY_AUTH": "on",
            "EVA_API_KEYS_FILE": str(file),
        }
        async with house(folder / "eva", **variables) as home:
            yield Place(home, provider, key)
