"""20 sessions with 20 ms frames both ways: the latency that is added, and what a session costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator

import numpy as np
from websockets.asyncio.client import connect

from benchmarks.figures import Figure, figure, table
from benchmarks.house import TICKS_A_SECOND, House, house
from benchmarks.talker import FRAME_S, Talker, talker
from eva.place import free_port

SESSIONS = 20
ANSWER_S = 1.0
SPEECH_S = 1.0
RATE_HZ = 16000
LOUD = (0.5 * 32767 * np.sin(np.arange(int(RATE_HZ * FRAME_S)) / 5)).astype("<i2").tobytes()
QUIET = bytes(len(LOUD))
START = {"audio_in": {"rate_hz": RATE_HZ}, "audio_out": {"format": "pcm", "rate_hz": 24000}}
ZERO = {name: ["eva.stand_ins", name] for name in ("stt", "llm", "tts")}


async def two_way(turns: int) -> str:
    """Measures EVA and the bare peer, one after the other; returns two tables."""
    environment = {"EVA_BENCH_PACED_S": str(ANSWER_S), "EVA_LLM_DISCOVER": "off"}
    async with house(ZERO, environment) as built:
        ours, gateway_share, others = await _run(built, turns)
    async with bare() as peer:
        theirs, peer_share, _ = await _run(peer, turns)
    ratio = f"p50 {ours.p50 - theirs.p50:+.2f} ms against the peer"
    figures = [
        Figure(ours.name, ours.n, ours.p50, ours.p95, ours.p99, ours.worst, ratio),
        Figure("bare FastAPI WebSocket", theirs.n, theirs.p50, theirs.p95, theirs.p99, theirs.worst),
    ]
    shares = [
        f"| {name} | {100 * share:.2f} |" for name, share in {"gateway": gateway_share, **others}.items()
    ]
    return "\n".join(
        [
            table(figures, "ms"),
            "",
            "| process | % of a core per session |",
            "|---|--:|",
            *shares,
            f"| bare FastAPI WebSocket | {100 * peer_share:.2f} |",
        ]
    )


async def _run(built: House, turns: int) -> tuple[Figure, float, dict[str, float]]:
    """Returns the latencies, and each process's share of a core per session."""
    samples: list[float] = []
    before = {name: built.cpu_s(name) for name in built.pids}
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(SESSIONS):
            tasks.create_task(_session(built.socket_url, number, turns, samples))
    wall_s = time.perf_counter() - began
    shares = {name: (built.cpu_s(name) - before[name]) / wall_s / SESSIONS for name in built.pids}
    gateway = shares.pop("gateway")
    return figure("EVA, last frame in → first audio out", samples), gateway, shares


async def _session(url: str, number: int, turns: int, samples: list[float]) -> None:
    """One person: speaks for a second, listens for a second, with the microphone always on."""
    await asyncio.sleep(number * (SPEECH_S + ANSWER_S) / SESSIONS)
    async with talker(url, START) as client:
        samples.extend([await _turn(client) for _ in range(turns)])


async def _turn(client: Talker) -> float:
    await client.speak(LOUD * int(SPEECH_S / FRAME_S), RATE_HZ)
    began = time.perf_counter()
    await client.send(json.dumps({"type": "end_of_speech"}))
    async with asyncio.TaskGroup() as tasks:
        microphone = tasks.create_task(_quiet(client))
        turn = await client.answer(began)
        microphone.cancel()
    return turn.first_audio_ms


async def _quiet(client: Talker) -> None:
    while True:
        await asyncio.sleep(FRAME_S)
        await client.send(QUIET)


@contextlib.asynccontextmanager
async def bare() -> AsyncIterator[House]:
    """Runs the peer."""
    port = free_port("127.0.0.1", 0)
    command = [sys.executable, "-m", "benchmarks.bare", str(port), str(ANSWER_S)]
    process = await asyncio.create_subprocess_exec(*command)
    built = House(f"http://127.0.0.1:{port}", "", "", "", {"gateway": process.pid})
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    async with connect(built.socket_url, proxy=None):
                        break
                await asyncio.sleep(1 / TICKS_A_SECOND)
        yield built
    finally:
        process.terminate()
        await process.wait()
