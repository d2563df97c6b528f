import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.fakes.gateway import RunningGateway, running_gateway
from tests.fakes.virtual_time import VirtualTimeLoop
from tests.gateway.rig import Place, make_place


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A gateway's inside needs no real time: a machine that stalls makes none of its patience end."""
    is_inside = "place" in getattr(item, "fixturenames", ())
    return {"virtual": VirtualTimeLoop} if is_inside else {"real": asyncio.new_event_loop}


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway() as running:
        yield running


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with make_place() as place:
        yield place
