"""The floor: four processes that only pass 1 KB on over NATS, as fast as the client library can.

gateway -> a -> b -> c -> gateway, in ``core`` mode over queue groups, in ``work`` mode over JetStream work
queues on the three work hops (file storage, explicit acknowledgement, the next item stored before the last
is acknowledged). It is the peer that EVA's own chain is measured against, in the same run.

    python -m benchmarks.raw_chain worker core 0 nats://…      one of the three workers
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Literal

import nats
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext

Mode = Literal["core", "work"]
HOPS = 3
PAYLOAD = os.urandom(1024)
DONE = "raw.done"


async def connect(url: str, user: str, password: str) -> Client:
    """Connects with the defaults of the library."""
    return await nats.connect(url, user=user or None, password=password or None)


def following(hop: int) -> str:
    """Returns where a hop sends to."""
    return DONE if hop + 1 == HOPS else f"raw.{hop + 1}"


async def core_worker(client: Client, hop: int) -> None:
    """Passes messages on, forever."""

    async def pass_on(message: Msg) -> None:
        await client.publish(following(hop), message.data)

    await client.subscribe(f"raw.{hop}", queue="raw", cb=pass_on)
    await client.publish("raw.ready", b"")
    await asyncio.Event().wait()


async def work_worker(client: Client, hop: int) -> None:
    """Pulls items, stores the next one, acknowledges; forever. One pull for up to 8 items is outstanding."""
    stream: JetStreamContext = client.jetstream()
    pull = await stream.pull_subscribe(f"raw.{hop}", durable=f"raw{hop}", stream=f"RAW{hop}")
    await client.publish("raw.ready", b"")

    async def pass_on(message: Msg) -> None:
        if hop + 1 == HOPS:
            await client.publish(DONE, message.data)
        else:
            await stream.publish(following(hop), message.data)
        await message.ack()

    async def puller() -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                for message in await pull.fetch(1, timeout=5):
                    await pass_on(message)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(puller())


async def run_worker(mode: Mode, hop: int, url: str) -> None:
    """One worker process."""
    client = await connect(url, os.environ.get("RAW_USER", ""), os.environ.get("RAW_PASSWORD", ""))
    await (core_worker if mode == "core" else work_worker)(client, hop)


@contextlib.asynccontextmanager
async def workers(mode: Mode, client: Client, url: str) -> AsyncIterator[None]:
    """Runs the three worker processes."""
    if mode == "work":
        manager = client.jsm()
        for hop in range(HOPS):
            await manager.add_stream(
                StreamConfig(
                    name=f"RAW{hop}",
                    subjects=[f"raw.{hop}"],
                    retention=RetentionPolicy.WORK_QUEUE,
                    storage=StorageType.FILE,
                )
            )
    ready = await client.subscribe("raw.ready")
    command = [sys.executable, "-m", "benchmarks.raw_chain", "worker", mode]
    processes = [await asyncio.create_subprocess_exec(*command, str(hop), url) for hop in range(HOPS)]
    try:
        for _ in processes:
            await ready.next_msg(timeout=20)
        await ready.unsubscribe()
        yield
    finally:
        for process in processes:
            process.terminate()
            await process.wait()
        if mode == "work":
            for hop in range(HOPS):
                await client.jsm().delete_stream(f"RAW{hop}")


async def measure(mode: Mode, url: str, *, turns: int, in_flight: int) -> list[float]:
    """Returns the milliseconds of ``turns`` round trips with ``in_flight`` of them at any time."""
    client = await connect(url, os.environ.get("RAW_USER", ""), os.environ.get("RAW_PASSWORD", ""))
    stream = client.jetstream()
    waiting: dict[bytes, asyncio.Future[None]] = {}

    async def arrived(message: Msg) -> None:
        waiting.pop(message.data[:16]).set_result(None)

    await client.subscribe(DONE, cb=arrived)
    samples: list[float] = []

    async def one() -> float:
        key = os.urandom(16)
        future = waiting[key] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        if mode == "core":
            await client.publish("raw.0", key + PAYLOAD)
        else:
            await stream.publish("raw.0", key + PAYLOAD)
        await asyncio.wait_for(future, 10)
        return 1000 * (time.perf_counter() - began)

    async def loop(count: int) -> None:
        samples.extend([await one() for _ in range(count)])

    async with workers(mode, client, url):
        await loop(20)
        samples.clear()
        await asyncio.gather(*(loop(turns // in_flight) for _ in range(in_flight)))
    await client.close()
    return samples


if __name__ == "__main__":
    _, _, chosen, number, address = sys.argv
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(run_worker("core" if chosen == "core" else "work", int(number), address))
