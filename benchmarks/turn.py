"""What a turn costs, on this machine: writes its part of ``docs/benchmarks.md``.

    python -m benchmarks.turn [--quick] [--out docs/benchmarks.md]

(a) orchestration of a typed turn with engines that cost nothing, beside the raw four-hop chain;
(b) the WebSocket's opening; (c) typed and spoken turns with the engines that need no download;
(d) memory of each process; (e) 20 sessions with sound both ways, beside a bare WebSocket.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime as dt
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import uvloop

from benchmarks.figures import Figure, figure, machine, table, write_part
from benchmarks.house import House, house
from benchmarks.raw_chain import Mode, measure
from benchmarks.talker import Turn, connect_ms, talker
from benchmarks.two_way import two_way

ZERO = {name: ["eva.stand_ins", name] for name in ("stt", "llm", "tts")}
OFFLINE = {name: [f"services.{name}"] for name in ("stt", "llm", "tts")}
NO_NETWORK = {"EVA_LLM_DISCOVER": "off"}
TEXT_ONLY_RATE = {"audio_out": {"format": "pcm", "rate_hz": 24000}}
MIC_RATE_HZ = 16000
TURNS_A_SESSION = 20
RAW_RUNS = 3
SPOKEN = ("what time is it", "tell me a joke", "what is your name")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    turns: int
    connects: int
    typed: int
    spoken: int
    two_way: int


FULL = Size(turns=2000, connects=300, typed=200, spoken=24, two_way=20)
QUICK = Size(turns=200, connects=50, typed=20, spoken=3, two_way=4)


async def orchestration(size: Size) -> list[Figure]:
    """(a): our chain beside the raw one, alone and with 20 turns in flight, against the same broker."""
    figures: list[Figure] = []
    async with house(ZERO, NO_NETWORK) as built:
        os.environ["RAW_USER"], os.environ["RAW_PASSWORD"] = built.user, built.password
        for in_flight in (1, 20):
            core = await raw("core", built, size.turns, in_flight)
            work = await raw("work", built, size.turns, in_flight)
            turns = await typed_turns(built, size.turns, in_flight)
            name = f"EVA typed turn → first audio, {in_flight} in flight"
            audio = figure(name, [turn.first_audio_ms for turn in turns])
            ratio = f"p50 {audio.p50 / work.p50:.2f} × raw work queues"
            done = figure(
                f"EVA typed turn → turn_done, {in_flight} in flight", [turn.total_ms for turn in turns]
            )
            figures += [core, work, dataclasses.replace(audio, note=ratio), done]
        paced = await typed_turns(built, size.turns, 20, every_s=0.5)
        figures.append(
            figure(
                "EVA typed turn → first audio, 20 sessions, 40 turns/s",
                [turn.first_audio_ms for turn in paced],
            )
        )
    return figures


async def raw(mode: Mode, built: House, turns: int, in_flight: int) -> Figure:
    """Returns the best of three runs of the raw chain: it varies with how the broker batches."""
    name = f"raw {'work-queue' if mode == 'work' else 'core'} chain, {in_flight} in flight"
    runs = [await measure(mode, built.nats_url, turns=turns, in_flight=in_flight) for _ in range(RAW_RUNS)]
    return min((figure(name, run) for run in runs), key=lambda item: item.p50)


async def typed_turns(built: House, count: int, in_flight: int, *, every_s: float = 0.0) -> list[Turn]:
    """Returns ``count`` turns, ``in_flight`` sessions asking at once, or each every so many seconds."""
    turns: list[Turn] = []

    async def one(number: int) -> None:
        await asyncio.sleep(every_s * number / in_flight)
        left = count // in_flight
        while left > 0:
            async with talker(built.socket_url, TEXT_ONLY_RATE) as client:
                await client.typed("warm up")
                for _ in range(min(left, TURNS_A_SESSION)):
                    turn = await client.typed("hello")
                    turns.append(turn)
                    await asyncio.sleep(max(0.0, every_s - turn.total_ms / 1000))
            left -= TURNS_A_SESSION

    async with asyncio.TaskGroup() as tasks:
        for number in range(in_flight):
            tasks.create_task(one(number))
    return turns


async def opening(built: House, size: Size) -> list[Figure]:
    """(b): until the socket is open, and until the session is ready."""
    samples = [await connect_ms(built.socket_url) for _ in range(size.connects)]
    return [
        figure("WebSocket open", [sample[0] for sample in samples]),
        figure("session ready", [sample[1] for sample in samples]),
    ]


def stages(name: str, turns: list[Turn]) -> list[Figure]:
    """Returns the parts of the turns' own timelines, which add up to the response."""
    parts = ["endpoint_ms", "stt_ms", "llm_ms", "tts_ms", "send_ms", "response_ms"]
    samples = {part: [turn.done["timeline"][part] for turn in turns] for part in parts}
    return [
        figure(f"{name}: {part.removesuffix('_ms')}", values)
        for part, values in samples.items()
        if any(values)
    ]


async def offline_turns(built: House, size: Size) -> list[Figure]:
    """(c): typed and spoken turns with espeak-ng, pocketsphinx and the companion."""
    async with talker(built.socket_url, TEXT_ONLY_RATE) as client:
        typed = [await client.typed(SPOKEN[number % 3]) for number in range(size.typed)]
    lines = [await speech(built, text) for text in SPOKEN]
    spoken: list[Turn] = []
    start = {"audio_in": {"rate_hz": MIC_RATE_HZ}, "language": "en", **TEXT_ONLY_RATE}
    async with talker(built.socket_url, start) as client:
        for number in range(size.spoken):
            async with asyncio.TaskGroup() as tasks:
                speaking = tasks.create_task(client.speak(lines[number % 3], MIC_RATE_HZ))
                turn = await client.answer(0.0)
                speaking.cancel()
            spoken.append(turn)
    return [*stages("typed", typed), *stages("spoken", spoken)]


async def speech(built: House, text: str) -> bytes:
    """Returns a spoken line, with quiet before it and long quiet behind it."""
    async with httpx.AsyncClient(base_url=built.url, trust_env=False, timeout=30) as client:
        body = {"text": text, "format": "pcm", "sample_rate_hz": MIC_RATE_HZ, "language": "en"}
        reply = await client.post("/tts", json=body)
        reply.raise_for_status()
    noise = np.random.default_rng(0).normal(0, 20, 8 * MIC_RATE_HZ).astype("<i2").tobytes()
    return noise[: MIC_RATE_HZ // 2] + reply.content[: len(reply.content) // 2 * 2] + noise


async def measure_all(size: Size) -> str:
    """Runs everything; returns the page."""
    progress("(a) orchestration")
    first = await orchestration(size)
    progress("(b) opening, (c) offline engines, (d) memory")
    async with house(OFFLINE, NO_NETWORK) as built:
        second = await opening(built, size)
        third = await offline_turns(built, size)
        memory = {name: built.memory_mib(name) for name in built.pids}
    progress("(e) sound both ways")
    both = await two_way(size.two_way)
    when = dt.datetime.now(tz=dt.UTC).date().isoformat()
    rows = "\n".join(f"| {name} | {rss:.0f} | {pss:.0f} |" for name, (rss, pss) in memory.items())
    return "\n".join(
        [
            "## Turns",
            "",
            f"`python -m benchmarks.turn`, {when}, on {machine()}.",
            "Everything runs on these cores at once: clients, four services, broker. Milliseconds; p99 only",
            "where N is at least 100.",
            "",
            "### (a) Orchestration of a typed turn, engines that cost nothing",
            "",
            "The raw chain is four processes that pass 1 KB on over the same broker, through the plain",
            "client library (the best of three runs); ours is a real WebSocket, gateway, LLM and TTS worker,",
            "and the way back. `20 in flight`: 20 sessions that each ask again the moment they are answered,",
            "which keeps both cores busy; `40 turns/s`: 20 sessions that each ask twice a second.",
            "",
            table(first, "ms"),
            "",
            "### (b) Opening a WebSocket",
            "",
            table(second, "ms"),
            "",
            "### (c) Turns with the engines that need no download",
            "",
            "pocketsphinx, companion, espeak-ng. In each turn the parts add up to the response;",
            "their percentiles do not.",
            "",
            table(third, "ms"),
            "",
            "### (d) Memory per service with its child processes, after (c)",
            "",
            "| MiB | resident | proportional |",
            "|---|--:|--:|",
            rows,
            "",
            "### (e) 20 sessions, 20 ms frames both ways, one gateway process",
            "",
            "From the last frame that a client sends to the first sound that it gets; zero-cost engines.",
            "",
            both,
            "",
        ]
    )


def progress(line: str) -> None:
    """Says what is being measured."""
    sys.stderr.write(line + "\n")


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    options = parser.parse_args()
    page = uvloop.run(measure_all(QUICK if options.quick else FULL))
    write_part(options.out, "turns", page)
    print(page)


if __name__ == "__main__":
    main()
