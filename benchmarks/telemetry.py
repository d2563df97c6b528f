"""What figures and traces cost a turn: writes its part of ``docs/benchmarks.md``.

    python -m benchmarks.telemetry [--quick] [--out docs/benchmarks.md]

Three EVAs stand side by side: one that nobody looks at; one whose figures a Prometheus reads every 5 s; one
that sends its traces to a collector as well. They get the same typed turns, turn about, and what counts is
the processor time of their services (``/proc``), so that whatever else the machine does is the same for all.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import math
import statistics
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvloop

from benchmarks.figures import columns, machine, write_part
from benchmarks.house import House, house
from benchmarks.talker import talker
from benchmarks.turn import NO_NETWORK, OFFLINE, TEXT_ONLY_RATE, ZERO
from eva.place import free_port
from services.gateway.chat_protocol import Timeline
from services.gateway.metrics import Metrics
from services.gateway.turn_io import TurnReport
from shared.messages import RouteReport
from tests.fakes.collector import collecting

SCRAPE_EVERY_S = 5.0
TALKERS = 4
WORKERS = ("stt", "llm", "tts")
ENGINES = {"real": OFFLINE, "none": ZERO}
WAYS = ("off", "figures", "figures and traces")
UNPACED = {**NO_NETWORK, "EVA_GATEWAY_AHEAD_S": "600"}
"""Sound leaves as it is made: nobody listens, and a turn costs the same."""
TRACES_WITHIN_S = 30.0
COUNTED = 20_000
"""Times that the gateway's own counting is repeated; nobody can switch that off."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    turns: dict[str, int]
    """A round, by engines."""


FULL = Size(rounds=12, turns={"real": 20, "none": 600})
QUICK = Size(rounds=2, turns={"real": 8, "none": 40})


@dataclass
class Way:
    """One of the three, and its processor time for each round, milliseconds a turn."""

    built: House
    cpu_ms: list[float] = field(default_factory=list)

    def cpu_s(self) -> float:
        """Returns what its services have used."""
        return sum(self.built.cpu_s(name) for name in self.built.commands)


@contextlib.asynccontextmanager
async def looked_at(modules: Mapping[str, Sequence[str]], **traced: str) -> AsyncIterator[House]:
    """An EVA whose figures are read, and that sends its traces where ``traced`` says."""
    ports = {name: free_port("127.0.0.1", 0) for name in WORKERS}
    own = {name: {"EVA_METRICS_PORT": str(port)} for name, port in ports.items()}
    async with house(modules, {**UNPACED, **traced}, own=own) as built:
        pages = [built.url, *(f"http://127.0.0.1:{port}" for port in ports.values())]
        reading = asyncio.create_task(read([f"{page}/metrics" for page in pages]))
        try:
            yield built
        finally:
            reading.cancel()


async def read(urls: Sequence[str]) -> None:
    """Reads pages as Prometheus does, until cancelled."""
    wanted = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    async with httpx.AsyncClient(trust_env=False, headers=wanted, timeout=30) as client:
        while True:
            for url in urls:
                (await client.get(url)).raise_for_status()
            await asyncio.sleep(SCRAPE_EVERY_S)


async def ask(built: House, turns: int) -> None:
    """Has ``TALKERS`` people ask so many questions between them."""

    async def one() -> None:
        async with talker(built.socket_url, TEXT_ONLY_RATE) as client:
            for _ in range(turns // TALKERS):
                await client.typed("tell me a joke")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(TALKERS):
            tasks.create_task(one())


async def side_by_side(engines: str, size: Size) -> dict[str, Way]:
    """Returns the three after all rounds; the order within a round goes round, too."""
    modules, turns = ENGINES[engines], size.turns[engines]
    async with contextlib.AsyncExitStack() as stack:
        collector = await stack.enter_async_context(collecting())
        ways = {
            "off": Way(await stack.enter_async_context(house(modules, {**UNPACED}))),
            "figures": Way(await stack.enter_async_context(looked_at(modules))),
            "figures and traces": Way(
                await stack.enter_async_context(looked_at(modules, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url))
            ),
        }
        for way in ways.values():
            await ask(way.built, turns)
        for number in range(size.rounds):
            for place in range(len(WAYS)):
                way = ways[WAYS[(number + place) % len(WAYS)]]
                before_s = way.cpu_s()
                await ask(way.built, turns)
                way.cpu_ms.append(1000 * (way.cpu_s() - before_s) / (turns // TALKERS * TALKERS))
        async with asyncio.timeout(TRACES_WITHIN_S):
            while not collector.spans:  # noqa: ASYNC110 - another process sends them every 5 s
                await asyncio.sleep(0.1)
    return ways


def counting_ms() -> float:
    """Returns what the gateway's own counting of a turn takes."""
    metrics = Metrics()
    line = Timeline(llm_ms=100, tts_ms=50, send_ms=1, response_ms=151, first_sound_ms=151, total_ms=200)
    report = TurnReport(
        outcome="completed",
        code="",
        is_spoken=False,
        is_canary=False,
        wanted_audio=True,
        has_audio=True,
        timeline=line,
        route=RouteReport(route="groq:big", queue_ms=1, first_token_ms=90, first_segment_ms=95),
        trace_id="ab" * 16,
    )
    began_s = time.process_time()
    for _ in range(COUNTED):
        metrics.turn_over(report)
    return 1000 * (time.process_time() - began_s) / COUNTED


def rows(ways: Mapping[str, Way], own_ms: float) -> list[list[str]]:
    """Returns the table's lines: the mean of a turn, and the median of the rounds' ratios to ``off``."""
    off = ways["off"].cpu_ms
    lines = []
    for name, way in ways.items():
        ratios = sorted(100 * (on / base - 1) for on, base in zip(way.cpu_ms, off, strict=True))
        share = "—"
        if name != "off":
            share = f"{statistics.median(ratios):+.1f} ({ratios[0]:+.1f} … {ratios[-1]:+.1f})"
        lines.append([name, f"{len(off)}", f"{statistics.mean(way.cpu_ms):.2f}", share])
    lines.append(["of which the gateway counts in any case", "", f"{own_ms:.3f}", ""])
    return lines


async def measure_all(size: Size) -> str:
    """Measures; returns the part of the page."""
    when = dt.datetime.now(tz=dt.UTC).date().isoformat()
    what = (
        "Processor time of a typed turn, gateway and workers together. Three EVAs side by side get the same "
        f"turns, {TALKERS} at a time, turn about; percent: the median of the rounds' ratios, and their range."
    )
    texts = [
        "## Figures and traces",
        f"`python -m benchmarks.telemetry`, {when}, on {machine()}.",
        what,
    ]
    own_ms, measured = counting_ms(), dict[str, dict[str, Way]]()
    for engines, words in (
        ("real", "With the engines that need no download (companion, espeak-ng)"),
        ("none", "With engines that cost nothing: the machinery alone"),
    ):
        sys.stderr.write(f"{words}\n")
        ways = measured[engines] = await side_by_side(engines, size)
        heading = f"### {words}, {size.turns[engines]} turns a round"
        titles = ["", "rounds", "CPU ms a turn", "% of `off`"]
        texts += [heading, columns(titles, rows(ways, own_ms))]
    return "\n\n".join([*texts, conclusion(measured["none"], measured["real"])])


def conclusion(machinery: Mapping[str, Way], real: Mapping[str, Way]) -> str:
    """Returns what figures and traces cost a turn: seen where little else costs, told of a real turn."""
    turn_ms = statistics.mean(real["off"].cpu_ms)
    told = []
    for name in WAYS[1:]:
        pairs = zip(machinery[name].cpu_ms, machinery["off"].cpu_ms, strict=True)
        more_ms = [on - off for on, off in pairs]
        mean_ms, error_ms = statistics.mean(more_ms), statistics.stdev(more_ms) / math.sqrt(len(more_ms))
        share = f"{100 * mean_ms / turn_ms:.1f} ± {100 * error_ms / turn_ms:.1f} %"
        told.append(f"{name} {mean_ms:.2f} ± {error_ms:.2f} ms, which is {share}")
    return (
        "They cost the same whatever the engines do, so the machinery alone shows it best (mean and standard "
        f"error): {'; '.join(told)} of a turn with real engines. Comparing those directly has more noise."
    )


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a fraction of the turns")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    options = parser.parse_args()
    page = uvloop.run(measure_all(QUICK if options.quick else FULL))
    write_part(options.out, "telemetry", page)
    print(page)


if __name__ == "__main__":
    main()
