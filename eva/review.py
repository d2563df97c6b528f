"""``eva review``: has real turns with a running EVA and tells what they are worth; exit 1 on a blocker.

Parts: ``review_talk`` and ``review_probes`` see, ``review_judge`` makes rows of it, ``review_card`` compares
them with the last review, ``review_report`` writes it down. Turns come one after the other, so that what is
measured is EVA and not the review itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from eva.chat_client import NotRunning
from eva.demo import person
from eva.gateway_client import Gateway, GatewayRefused
from eva.line import Line
from eva.output import columns, complain, is_plain, progress, result, result_json
from eva.review_break import broken, workers_of
from eva.review_card import Machine, Review, changes
from eva.review_facts import InterruptionSeen, Seen, TurnSeen
from eva.review_history import keep, last_review
from eva.review_judge import judge
from eva.review_level import answer_of
from eva.review_limits import Limit
from eva.review_limits import broken as limits_broken
from eva.review_probes import connects, interruption, memory, read_back, sampled
from eva.review_report import HEADER, as_json, change_lines, findings, rows, verdict_line
from eva.review_talk import Ear, spoken, talking, typed
from eva.strip import describe
from eva.wav import Sound, wav_bytes
from services.gateway.health import Health
from shared.errors import EvaError

LINES = (
    "Hello, how are you today?", "Who are you?", "What can you do for me?", "Tell me a joke, please.",
    "Thank you very much.", "I had a long walk by the river this morning.",
)  # fmt: skip
SPOKEN = ("Hello, how are you today?", "What is my name?", "Thank you very much.")
INTO = "Please stop now, I would like to ask you something else."
SPOKEN_SHARE = 3
"""One turn of so many is spoken."""
READ_BACK = 4
"""So many answers are transcribed; they are heard in full, and this takes as long as it takes."""
CONNECTS = 10
STATES = {"ok": "green", "short": "yellow", "BLOCKER": "bold red", "-": "dim"}


class Voiceless(EvaError):
    """Nobody can speak to EVA."""

    code = "voiceless"


@dataclass(frozen=True, kw_only=True)
class ReviewOptions:
    """What ``eva review`` was asked for."""

    url: str
    folder: Path
    """Of the history."""
    data_dir: Path
    turns: int = 12
    limits: tuple[Limit, ...] = ()
    breaks: bool = False
    every_s: float | None = None
    """None: one review."""
    is_json: bool = False


async def review(options: ReviewOptions) -> int:
    """Reviews once, or again and again until Ctrl-C; returns 1 for a blocker or a broken limit in the last.

    Raises:
        NotRunning, GatewayRefused: no EVA answers there.
        NotOurs: things are to be broken that are not this machine's.
        BadInput: the history's folder cannot be written.
    """
    if options.breaks:
        workers_of(options.data_dir, options.url)
    stop = asyncio.Event()
    if options.every_s is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    code, is_first = 0, True
    while not stop.is_set():
        code = await _once_or_gone(options, is_first=is_first)
        is_first = False
        if options.every_s is None:
            break
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), options.every_s)
    return code


async def _once_or_gone(options: ReviewOptions, *, is_first: bool) -> int:
    """Reviews once; an EVA that is gone ends a watch no more than a blocker does."""
    try:
        made = await one_review(options)
    except (NotRunning, GatewayRefused) as error:
        if options.every_s is None:
            raise
        complain(str(error))
        return 1
    page = keep(options.folder, made)
    _print(made, options, is_first=is_first)
    progress(f"Wrote {page}.")
    return 1 if made.blockers or made.limits_broken else 0


async def one_review(options: ReviewOptions) -> Review:
    """Has the turns and judges them. Raises as ``review``."""
    began_s, at = (
        time.monotonic(),
        datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
    machine = this_machine()
    async with Gateway(options.url) as gateway:
        saw = await _see(options, gateway)
    before = last_review(options.folder, options.url)
    made = Review(
        at=at,
        url=options.url,
        eva_version=saw.after.version,
        machine=machine,
        engines=served(saw.after, saw.turns),
        rows=judge(saw),
        turns=saw.turns,
        since=before.at if before is not None else "",
        took_s=round(time.monotonic() - began_s, 1),
    )
    if before is not None:
        made = msgspec.structs.replace(made, changes=changes(before.rows, made.rows))
    return msgspec.structs.replace(made, limits_broken=limits_broken(options.limits, made.figures))


async def _see(options: ReviewOptions, gateway: Gateway) -> Seen:
    before = await gateway.health()
    progress(f"Reviewing {options.url}: {options.turns} turns…")
    took, failed = await connects(options.url, CONNECTS)
    count = max(1, options.turns // SPOKEN_SHARE)
    async with sampled(gateway) as cards:
        turns = await _typed_turns(options.url, gateway, max(1, options.turns - count))
        progress("Speaking…")
        try:
            sounds = [await _person(gateway, text, turns) for text in (*SPOKEN[:count], INTO)]
        except EvaError as error:
            turns.append(TurnSeen(kind="spoken", said=SPOKEN[0], error=str(error)))
            interrupted = InterruptionSeen(error=str(error))
        else:
            turns += await _spoken_turns(options.url, sounds[:-1], count)
            interrupted = await interruption(options.url, sounds[-1])
    known = await memory(options.url)
    after, is_ready = await gateway.health(), await gateway.is_ready()
    breaks = None
    if options.breaks:
        progress("Killing a worker of each stage in mid-turn…")
        breaks = await broken(options.url, options.data_dir, gateway)
    return Seen(
        before=before, after=after, is_ready=is_ready, connects_ms=took, connects_failed=failed, turns=turns,
        cards=list(cards.seen.values()), has_metrics=cards.has_metrics, interruption=interrupted,
        memory=known, breaks=breaks,
    )  # fmt: skip


async def _typed_turns(url: str, gateway: Gateway, count: int) -> list[TurnSeen]:
    """Has typed turns in one conversation; a conversation that breaks off leaves the rest failed."""
    turns: list[TurnSeen] = []
    try:
        async with talking(url, has_microphone=False) as (talked, ear):
            for number in range(count):
                turn = await typed(talked, ear, LINES[number % len(LINES)])
                # A mind's first answer may be a notice full of names that nobody reads aloud well.
                is_asked = 0 < number <= READ_BACK or count == 1
                turns.append(await _with_back(gateway, turn, talked, ear) if is_asked else turn)
    except EvaError as error:
        turns.append(TurnSeen(kind="typed", said="", error=str(error)))
    return turns


async def _with_back(gateway: Gateway, turn: TurnSeen, talked: Line, ear: Ear) -> TurnSeen:
    if turn.is_mute or turn.outcome != "done":
        return turn
    last = talked.dialogue.turns[-1]
    wav = wav_bytes(last.rate_hz, answer_of(ear.pieces[last.turn_id], last.rate_hz).pcm)
    return msgspec.structs.replace(turn, back=await read_back(gateway, wav))


async def _spoken_turns(url: str, sounds: Sequence[Sound], count: int) -> list[TurnSeen]:
    turns: list[TurnSeen] = []
    try:
        async with talking(url, has_microphone=True) as (talked, ear):
            for number in range(count):
                which = number % len(sounds)
                turns.append(await spoken(talked, ear, SPOKEN[which], sounds[which]))
                await talked.played()
    except EvaError as error:
        turns.append(TurnSeen(kind="spoken", said="", error=str(error)))
    return turns


async def _person(gateway: Gateway, text: str, turns: Sequence[TurnSeen]) -> Sound:
    """Returns a line of the person's, whom EVA's voice speaks. Raises ``Voiceless``: it has none."""
    if all(turn.is_mute for turn in turns):
        raise Voiceless("EVA has no voice, and the review's person speaks with it")
    return await person(gateway, text)


def served(health: Health, turns: list[TurnSeen]) -> dict[str, str]:
    """Returns what serves each stage: as turns have shown it, or else as EVA says."""
    told = {
        name: " ".join(filter(None, (stage.engine, stage.model))) for name, stage in health.stages.items()
    }
    shown = {name: describe(report) for turn in turns for name, report in turn.engines.items()}
    return {name: text for name, text in (told | shown).items() if text}


def this_machine() -> Machine:
    """Returns where the review runs."""
    cpu = platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    return Machine(
        cpu=cpu,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        load=round(os.getloadavg()[0], 2),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def _print(made: Review, options: ReviewOptions, *, is_first: bool) -> None:
    """Shows the scorecard, or in a watch what has changed since it was shown."""
    if options.is_json:
        result_json(as_json(made))
        return
    if is_first:
        _show_table(made)
        for line in findings(made):
            result(f"  {line}")
    result(f"{made.at}  {verdict_line(made)}")
    if made.since:
        told = change_lines(made) or ["nothing has changed"]
        result(f"  since {made.since}:")
        for line in told:
            result(f"    {line}")
    if not is_first:
        for how in made.limits_broken:
            result(f"    limit broken: {how}")


def _show_table(made: Review) -> None:
    if is_plain(sys.stdout):
        for line in columns([HEADER, *rows(made)]):
            result(line)
        return
    from rich.console import Console  # noqa: PLC0415 - only for terminals
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"Review of {made.url}")
    for name in HEADER:
        table.add_column(name, justify="right" if name in {"points", "N"} else "left")
    for cells in rows(made):
        table.add_row(*cells, style=STATES[cells[2]])
    Console().print(table)
