"""What the tests of conversations on the page share: a real EVA, and a mind that says what it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from eva.place import free_port
from tests.e2e.house import House, house
from tests.fakes.provider import FakeProvider
from tests.page.browser import a_browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(is_steady=True) as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    wishes = {
        "EVA_PORT": str(free_port("127.0.0.1", 0)),  # it is there again for a gateway that comes back
        "EVA_LLM_BASE_URL": provider.base_url,
        "EVA_GATEWAY_SPECULATION": "0",
        "EVA_CANARY_EVERY_S": "600",
    }
    async with house(tmp_path_factory.mktemp("home"), **wishes) as home:
        yield home
