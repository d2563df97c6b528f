"""Three real ``nats-server`` on loopback that are one cluster; each can be killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from eva.broker import find_server
from eva.place import free_port
from shared.bus.nats import NatsBus, connect
from shared.bus.nats_link import Link
from shared.errors import EvaError

T = TypeVar("T")
WAIT_S = 60.0
"""A net: what does not come within it never does."""
LOOK_S = 0.02
USER, PASSWORD = "eva", "loopback"
_CONFIG = """\
server_name: "{name}"
listen: "127.0.0.1:{port}"
log_file: {log}
max_payload: 512KB
ping_interval: "2s"
ping_max: 2
write_deadline: "2s"
jetstream {{ store_dir: {store}, max_memory_store: 64MB, max_file_store: 256MB }}
cluster {{ name: "eva", listen: "127.0.0.1:{route}", no_advertise: true, routes: [{routes}] }}
accounts {{ EVA {{ jetstream: enabled, users: [ {{ user: {user}, password: {password} }} ] }} }}
"""


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody has, each once; nor does the kernel lend them while a server is dead."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port("127.0.0.1", 0))
    return [*ports]


async def until_done(step: Callable[[], Awaitable[T]]) -> T:
    """Does it again until it succeeds, as EVA does: a cluster without leaders for a moment refuses."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(EvaError):
                return await step()
            await asyncio.sleep(LOOK_S)


class Node:
    """One server."""

    def __init__(self, name: str, folder: Path, port: int) -> None:
        self.name, self.port = name, port
        self.folder = folder
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts it; it may not serve yet."""
        with (self.folder / "out").open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                find_server(), "-c", self.folder / "nats.conf", stdout=out, stderr=out
            )

    async def kill(self) -> None:
        """SIGKILL: nobody is told."""
        if self._process is not None and self.is_running:
            self._process.kill()
            await self._process.wait()


class Cluster:
    """The servers together; has what a house wants of its broker."""

    user, password = USER, PASSWORD

    def __init__(self, folder: Path, size: int = 3) -> None:
        ports = free_ports(2 * size)
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports[size:])
        self.nodes: list[Node] = []
        for number in range(size):
            node = Node(f"n{number + 1}", folder / f"node{number + 1}", ports[number])
            node.folder.mkdir(parents=True)
            (node.folder / "nats.conf").write_text(
                _CONFIG.format(
                    name=node.name, port=node.port, route=ports[size + number], routes=routes,
                    log=json.dumps(str(node.folder / "nats.log")),
                    store=json.dumps(str(node.folder / "store")), user=USER, password=PASSWORD,
                )
            )  # fmt: skip
            self.nodes.append(node)
        self._bus: NatsBus | None = None

    @property
    def url(self) -> str:
        """Of all of them."""
        return ",".join(node.url for node in self.nodes)

    @property
    def environment(self) -> dict[str, str]:
        """For a service's process."""
        return {"EVA_NATS_URL": self.url, "EVA_NATS_USER": USER, "EVA_NATS_PASSWORD": PASSWORD}

    async def connect(self, name: str = "test", **options: Any) -> NatsBus:
        """Returns a new connection to any of them; the caller closes it."""
        return await connect(self.url, name=name, user=USER, password=PASSWORD, **options)

    async def start(self) -> None:
        """Starts all and waits until they store things."""
        await asyncio.gather(*(node.start() for node in self.nodes))
        self._bus = await until_done(lambda: self.connect("watcher"))
        await self.until_formed()

    async def stop(self) -> None:
        """Ends all, whatever state they are in."""
        if self._bus is not None:
            await self._bus.close()
        for node in self.nodes:
            await node.kill()

    async def until_formed(self) -> None:
        """Waits until all that is stored has a leader, and every server that runs has all of it."""
        running = sum(node.is_running for node in self.nodes)
        async with asyncio.timeout(WAIT_S):
            while not await self._is_formed(running):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(LOOK_S)

    async def _is_formed(self, running: int) -> bool:
        assert self._bus is not None
        try:
            await self._bus.bucket("formed", ttl_s=3600)
        except EvaError:
            return False
        for name in (await self.asked("STREAM.NAMES")).get("streams") or ():
            of = (await self.asked(f"STREAM.INFO.{name}")).get("cluster", {})
            there = [each for each in of.get("replicas", []) if each["current"] and not each.get("offline")]
            if not of.get("leader") or 1 + len(there) < running:
                return False
        return True

    async def asked(self, action: str) -> dict[str, Any]:
        """Calls JetStream's API, as often as it takes, and returns its answer: it may be an error."""
        assert self._bus is not None
        link: Link = self._bus._control
        async with asyncio.timeout(WAIT_S):
            while True:
                with contextlib.suppress(EvaError):
                    reply = await link.request(f"$JS.API.{action}", b"", timeout_s=1.0)
                    answer: dict[str, Any] = json.loads(reply.data)
                    return answer
                await asyncio.sleep(LOOK_S)

    async def leaders(self, queue: str) -> tuple[Node, Node]:
        """Returns who leads a queue's stream and who its consumer; waits until both have one."""
        by_name = {node.name: node for node in self.nodes}
        async with asyncio.timeout(WAIT_S):
            while True:
                with contextlib.suppress(KeyError):
                    stream = await self.asked(f"STREAM.INFO.{queue}")
                    consumer = await self.asked(f"CONSUMER.INFO.{queue}.{queue}")
                    found = by_name[stream["cluster"]["leader"]], by_name[consumer["cluster"]["leader"]]
                    if all(node.is_running for node in found):
                        return found
                await asyncio.sleep(LOOK_S)
