"""``eva bench``: how many people at a time an EVA carries: simulated ones, more and more of them.

Parts: ``bench_people`` plays them, in processes of its own (``bench_person``, who follows ``bench_script``
and keeps account in ``bench_talk``); ``bench_level`` says what a number of them met and which is tried next,
``bench_report`` what that means and what is worse than before, ``bench_plot`` draws it.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from eva.bench_generators import Generators
from eva.bench_level import MOST, OBJECTIVE_MS, Level, next_users, seconds_for
from eva.bench_plot import draw
from eva.bench_report import HEADER, Bench, Engines, as_json, differences, regressions, row, rows, verdict
from eva.bench_script import LINES
from eva.demo import person
from eva.gateway_client import Gateway
from eva.output import columns, progress, result, result_json
from eva.passing import is_ready, passing
from eva.review import Voiceless, served, this_machine
from eva.review_level import voiced_from_s, voiced_until_s
from eva.stack import Stack
from eva.wav import Sound, write_wav
from shared.errors import BadInput, EvaError

ROOM: Final = {"EVA_GATEWAY_MAX_SESSIONS": "10000"}
"""An EVA of the bench's own turns nobody away: what is looked for is what she carries."""
ZERO_COST: Final = ROOM | {"EVA_BENCH_LONG": "1", "EVA_BENCH_EARS": "10000", "EVA_LLM_DISCOVER": "off"}
CHARACTERS_A_SECOND: Final = 16.0
"""So fast people speak, roughly."""
STAND_INS: Final = {stage: ("eva.stand_ins", stage) for stage in ("stt", "llm", "tts")}


class NotReady(EvaError):
    """The bench's own EVA does not get ready; what it lacks was said."""

    code = "not_ready"


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What ``eva bench`` was asked for."""

    data_dir: Path
    url: str = ""
    """Empty: an EVA of its own."""
    is_zero_cost: bool = False
    """That one's engines cost nothing."""
    users: tuple[int, ...] = ()
    """Levels to be tried, all of them; empty: twice as many until it is too many, then once between."""
    most: int = MOST
    seed: int = 0
    seconds: float = 20.0
    """For each level; see ``seconds_for``."""
    objective_ms: float = OBJECTIVE_MS
    out: Path | None = None
    """Where JSON and PNG are written, without their endings; None: below the data directory."""
    baseline: Path | None = None
    is_json: bool = False

    @property
    def engines(self) -> Engines:
        """Whose engines serve."""
        if self.url:
            return "of the url"
        return "zero-cost" if self.is_zero_cost else "own"


async def bench(options: BenchOptions) -> int:
    """Climbs, prints, saves; returns 1 where something is worse than in the baseline.

    Raises:
        NotRunning, GatewayRefused, CannotStart, NotReady, Voiceless: there is nothing to measure.
        BadInput: the baseline cannot be read, or the results cannot be written.
    """
    before = None if options.baseline is None else read_bench(options.baseline)
    async with _eva(options) as (url, stack):
        made = await _measured(options, url, stack)
    worse = [] if before is None else regressions(before, made)
    other = [] if before is None else differences(before, made)
    _print(made, worse, other, options)
    _keep(made, before, options)
    return 1 if worse else 0


@contextlib.asynccontextmanager
async def _eva(options: BenchOptions) -> AsyncIterator[tuple[str, Stack | None]]:
    """Gives the EVA that is to be measured, and her processes where she is the bench's own."""
    if options.url:
        yield options.url, None
        return
    environment, instead = (ZERO_COST, STAND_INS) if options.is_zero_cost else (ROOM, {})
    async with passing(options.data_dir, environment, instead) as stack:
        if not await is_ready(stack):
            raise NotReady("there is nothing to measure")
        yield stack.url, stack


async def _measured(options: BenchOptions, url: str, stack: Stack | None) -> Bench:
    began_s, at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    machine = this_machine()
    async with Gateway(url) as gateway:
        health = await gateway.health()
        sounds = await _sounds(gateway)
    with tempfile.TemporaryDirectory(prefix="eva-bench-") as folder:
        for number, sound in enumerate(sounds):
            write_wav(Path(folder) / f"{number}.wav", sound.rate_hz, sound.pcm)
        async with Generators.ready(url, Path(folder), options.seed) as generators:
            levels = await _climb(options, generators, stack)
    return Bench(
        at=at, url=options.url, engines=options.engines, served=served(health, []),
        eva_version=health.version, machine=machine, seed=options.seed, seconds=options.seconds,
        objective_ms=options.objective_ms, levels=levels, took_s=round(time.monotonic() - began_s, 1),
    )  # fmt: skip


async def _sounds(gateway: Gateway) -> list[Sound]:
    """Returns what people say, spoken by EVA herself, without silence around it. Raises ``Voiceless``."""
    progress("Recording what people say…")
    sounds = [_said(text, await person(gateway, text)) for text in LINES]
    if not all(sound.pcm for sound in sounds):
        raise Voiceless("EVA has no voice, and simulated people speak with it")
    return sounds


def _said(text: str, sound: Sound) -> Sound:
    """Returns the voiced part; a tone that stands for a voice is too short for the text, and comes again."""
    first, last = (round(each(sound) * sound.rate_hz) * 2 for each in (voiced_from_s, voiced_until_s))
    pcm = sound.pcm[first:last]
    wanted = 2 * int(sound.rate_hz * len(text) / CHARACTERS_A_SECOND)
    times = -(-wanted // len(pcm)) if 2 * len(pcm) < wanted and pcm else 1
    return Sound(rate_hz=sound.rate_hz, pcm=pcm * times)


async def _climb(options: BenchOptions, generators: Generators, stack: Stack | None) -> list[Level]:
    levels: list[Level] = []
    while (users := _next(options, levels)) is not None:
        seconds = seconds_for(users, options.seconds)
        progress(f"{users} people, {seconds:.0f} s…")
        level = await generators.level(users, seconds, stack)
        levels.append(level)
        for line in columns([HEADER, row(level)]):
            progress(f"  {line}")
        if why := level.why_not(options.objective_ms):
            progress(f"  too many: {why}")
    return levels


def _next(options: BenchOptions, levels: Sequence[Level]) -> int | None:
    if options.users:
        return next(iter(options.users[len(levels) :]), None)
    return next_users(levels, options.objective_ms, options.most)


def read_bench(file: Path) -> Bench:
    """Returns a bench that was saved. Raises ``BadInput``."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Bench)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}", param="baseline") from error
    except msgspec.DecodeError as error:
        raise BadInput(f"{file} is no bench of EVA's: {error}", param="baseline") from error


def _print(made: Bench, worse: Sequence[str], other: Sequence[str], options: BenchOptions) -> None:
    if options.is_json:
        result_json(as_json(made) | {"regressions": list(worse), "differences": list(other)})
        return
    for line in columns([HEADER, *rows(made)]):
        result(line)
    if any(level.generator.is_limit for level in made.levels):
        result("* the load generator was late or busy itself: on a machine of its own it may be less so")
    result(verdict(made))
    if other:
        result(f"not the same as in the baseline: {', '.join(other)}")
    for what in worse:
        result(f"regression: {what}")
    if options.baseline is not None and not worse:
        result("no regression")


def _keep(made: Bench, before: Bench | None, options: BenchOptions) -> None:
    prefix = options.out or options.data_dir / "benches" / made.at.replace(":", "-")
    table, picture = (prefix.with_name(prefix.name + ending) for ending in (".json", ".png"))
    try:
        prefix.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(json.dumps(as_json(made), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        is_drawn = draw(made, before, picture)
    except OSError as error:
        raise BadInput(f"{prefix} cannot be written: {error.strerror or error}", param="out") from error
    progress(f"Wrote {table}." if not is_drawn else f"Wrote {table} and {picture}.")
    if not is_drawn:
        progress("There is no picture: matplotlib is not installed (`pip install matplotlib`).")
