from collections.abc import AsyncIterator

import pytest

from tests.fakes.gateway import RunningGateway, running_gateway


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway() as running:
        yield running
