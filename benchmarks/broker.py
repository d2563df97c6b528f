"""What the broker itself takes for each frame of a microphone: ``python -m benchmarks.broker``.

One ``nats-server``; one process that publishes the frames of many microphones (640 bytes, each 50 times a
second, all on one connection, as a gateway does) and one that hears them all, by plain sockets; the server's
processor time by /proc, messages by its own count. In a cluster two frames of three take a route as well.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.figures import machine
from eva.broker import Broker

FRAME_BYTES, EVERY_S = 640, 0.02
GROUPS = 20
"""People begin to speak when they like: one of twenty frames comes in each millisecond."""
TICK = os.sysconf("SC_CLK_TCK")
SETTLE_S = 1.5
_CONTEXT = multiprocessing.get_context("spawn")


class Line:
    """A connection to the broker that answers its pings; what else comes is thrown away."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    @classmethod
    async def open(cls, url: str, user: str, password: str) -> Line:
        """Connects."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        told = {"verbose": False, "pedantic": False, "user": user, "pass": password}
        writer.write(f"CONNECT {json.dumps(told)}\r\n".encode())
        return cls(reader, writer)

    async def listen(self) -> None:
        """Until the broker is gone."""
        while data := await self._reader.read(1 << 20):
            if b"PING\r\n" in data:
                self.writer.write(b"PONG\r\n")


def publish(url: str, user: str, password: str, streams: int) -> None:
    """The process that sends the frames of so many microphones, for as long as the broker lives."""

    async def run() -> None:
        line = await Line.open(url, user, password)
        listening = asyncio.create_task(line.listen())
        frame = bytes(FRAME_BYTES)
        frames = [b"PUB eva.v1.mic.w.s%d %d\r\n%b\r\n" % (n, FRAME_BYTES, frame) for n in range(streams)]
        groups = [b"".join(frames[n::GROUPS]) for n in range(GROUPS)]
        due_s = time.monotonic()
        while not listening.done():
            for group in groups:
                line.writer.write(group)
                await line.writer.drain()
                due_s += EVERY_S / GROUPS
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    with contextlib.suppress(OSError):
        asyncio.run(run())


def hear(url: str, user: str, password: str) -> None:
    """The process that hears them all."""

    async def run() -> None:
        line = await Line.open(url, user, password)
        line.writer.write(b"SUB eva.v1.mic.> 1\r\n")
        await line.listen()

    with contextlib.suppress(OSError):
        asyncio.run(run())


@contextlib.contextmanager
def running(run: Callable[..., None], *words: object) -> Iterator[SpawnProcess]:
    """A process of ours for as long as the context lasts."""
    process = _CONTEXT.Process(target=run, args=words, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


def processor_s(pid: int) -> float:
    """Returns the processor time of a process so far, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def count(folder: Path) -> tuple[int, int]:
    """Returns how many messages the broker of a data directory has taken in and given out."""
    (ports,) = (folder / "broker").glob("*.ports")
    monitor = json.loads(ports.read_text(encoding="utf-8"))["monitoring"][0]
    with urllib.request.urlopen(f"{monitor}/varz") as answer:
        told = json.load(answer)
    return told["in_msgs"], told["out_msgs"]


async def measure(streams: int, seconds: float) -> tuple[float, float]:
    """Returns messages a second, and core-seconds for each that was passed on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder)
        who = (await broker.start(), broker.user, broker.password)
        assert broker.pid is not None
        try:
            with running(hear, *who), running(publish, *who, streams):
                await asyncio.sleep(SETTLE_S)
                before, spent_s, began_s = count(folder), processor_s(broker.pid), time.monotonic()
                await asyncio.sleep(seconds)
                after, spent_s = count(folder), processor_s(broker.pid) - spent_s
                took_s = time.monotonic() - began_s
        finally:
            await broker.stop()
    passed = min(after[0] - before[0], after[1] - before[1])
    return passed / took_s, spent_s / passed


def main() -> None:
    """Prints the rows of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--streams", type=int, nargs="+", default=[100, 400, 1000])
    wish = parser.parse_args()
    print(f"`python -m benchmarks.broker`, on {machine()}.\n")
    print("| microphones | frames/s | % of a core | µs of processor a frame |\n|--:|--:|--:|--:|")
    for streams in wish.streams:
        rate, each_s = asyncio.run(measure(streams, wish.seconds))
        print(f"| {streams} | {rate:.0f} | {100 * rate * each_s:.1f} | {1e6 * each_s:.1f} |")


if __name__ == "__main__":
    main()
