"""Several gateway processes behind one port, as an operator starts them."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway.processes import Share
from services.gateway.server import AddressInUse, can_share, listen, reserve

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not can_share(), reason="this kernel does not share a port among processes"),
]
WAIT_S = 120.0
ANSWER_S = 5.0
"""Half of those who ask meet the one that hangs; the other one asks it in vain for a second."""
NOBODY = "nats://127.0.0.1:1"


class Gateway:
    """The parent, and what is heard of its processes."""

    def __init__(self, parent: asyncio.subprocess.Process, url: str) -> None:
        self.parent, self.url = parent, url

    async def get(self, path: str, timeout_s: float = WAIT_S) -> httpx.Response:
        """One answer, over a connection of its own."""
        async with httpx.AsyncClient(trust_env=False, timeout=timeout_s) as http:
            return await http.get(f"{self.url}{path}")

    async def health(self) -> dict[str, Any]:
        """What one of them says; nothing, where the one that was met does not answer."""
        try:
            health: dict[str, Any] = (await self.get("/health", ANSWER_S)).json()
        except httpx.TransportError:
            return {"processes": {}}
        return health

    async def figures(self, *names: str) -> str:
        """Returns their figures once those of all are there: one that is busy for a second is left out."""
        async with asyncio.timeout(WAIT_S):
            while told_in(page := (await self.get("/metrics")).text) != set(names):  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.05)
        return page

    async def until_all(self, *names: str) -> None:
        async with asyncio.timeout(WAIT_S):
            while there(await self.health()) != set(names):  # noqa: ASYNC110 - other processes' state is polled
                await asyncio.sleep(0.05)

    async def until_one_is_absent(self) -> dict[str, Any]:
        """Returns what is said then."""
        async with asyncio.timeout(WAIT_S):
            while len(there(health := await self.health())) != 1:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        return health

    def children(self) -> set[int]:
        """Process ids."""
        pid = self.parent.pid
        return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def there(health: dict[str, Any]) -> set[str]:
    """The processes that answer."""
    return {name for name, process in health["processes"].items() if process["status"] != "absent"}


def told_in(page: str) -> set[str]:
    """The processes whose figures stand on the page."""
    return set(re.findall(r'eva_build_info{process="(\d+)",', page))


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


async def port_of(parent: asyncio.subprocess.Process) -> int:
    """Returns the port that the kernel chose, as the log tells it."""
    assert parent.stderr is not None
    async with asyncio.timeout(WAIT_S):
        while "gateway.processes" not in (line := (await parent.stderr.readline()).decode()):
            assert line, "it ended before it had a port"
    return int(line.rpartition("port=")[2])


@asynccontextmanager
async def gateway(count: int, **env: str) -> AsyncIterator[Gateway]:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.gateway"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "EVA_PORT": "0",
            "EVA_NATS_URL": NOBODY,
            "EVA_GATEWAY_PROCESSES": str(count),
            **env,
        },
    )
    try:
        yield Gateway(parent, f"http://127.0.0.1:{await port_of(parent)}")
    finally:
        if parent.returncode is None:
            parent.terminate()
        await parent.communicate()


async def test_two_processes_share_a_port_tell_of_both_outlive_one_another_and_end_together() -> None:
    async with gateway(2) as running:
        await running.until_all("0", "1")
        page = await running.figures("0", "1")
        assert page.count("# TYPE eva_build_info gauge") == 1

        before = running.children()
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(WAIT_S):
            while len(running.children() - before) != 1:  # noqa: ASYNC110 - other processes' state is polled
                await asyncio.sleep(0.05)
        assert running.children() & before == before - {victim}
        await running.until_all("0", "1")

        children = running.children()
        running.parent.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_S):
            _, said = await running.parent.communicate()
        assert running.parent.returncode == 0
        assert not alive(children)
        assert "Traceback" not in said.decode()


async def test_one_that_hangs_is_named() -> None:
    async with gateway(2) as running:
        await running.until_all("0", "1")
        hangs = min(running.children())
        os.kill(hangs, signal.SIGSTOP)
        try:
            health = await running.until_one_is_absent()
        finally:
            os.kill(hangs, signal.SIGCONT)
        (answers,) = there(health)
        (silent,) = {"0", "1"} - {answers}
        assert f"Gateway process {silent} does not answer." in health["reasons"]
        await running.until_all("0", "1")


async def test_the_death_of_the_parent_is_the_death_of_all() -> None:
    async with gateway(2) as running:
        await running.until_all("0", "1")
        children = running.children()
        running.parent.kill()
        async with asyncio.timeout(WAIT_S):
            while alive(children):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)


def test_a_port_that_somebody_has_is_not_shared_with_him() -> None:
    with listen("127.0.0.1", 0, is_shared=True) as taken, pytest.raises(AddressInUse):
        reserve("127.0.0.1", taken.getsockname()[1])


def test_a_process_reads_from_its_command_line_what_its_parent_wrote() -> None:
    for share in (
        Share(name="3", folder=Path("/tmp/x")),
        Share(name="0", folder=Path("/tmp/x"), listener=7),
    ):
        assert Share.of(share.words()) == share
    assert Share.of([]) is None
