"""Simulated people on real sockets: with an EVA whose engines cost nothing, with none, and with bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from eva.bench import STAND_INS, ZERO_COST, _said, read_bench
from eva.bench_frames import TEXT
from eva.bench_generators import Generators, _use
from eva.bench_level import Level, Use
from eva.bench_people import Order, Told, play
from eva.bench_person import MIC_RATE_HZ, World
from eva.bench_plot import draw
from eva.bench_report import Bench
from eva.bench_script import LINES
from eva.bench_use import cpu_s, family, memory_mib
from eva.passing import passing
from eva.wav import Sound
from shared.errors import BadInput

pytestmark = [pytest.mark.process, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]
ROOT = Path(__file__).resolve().parents[2]
SPEECH = (16000 * np.sin(np.arange(MIC_RATE_HZ // 2) / 5)).astype("<i2").tobytes()
SOUNDS = [Sound(rate_hz=MIC_RATE_HZ, pcm=SPEECH)] * len(LINES)
NET_S = 120.0


async def talk(url: str, numbers: list[int], seconds: float) -> Told:
    now = time.monotonic()
    order = Order(numbers=numbers, joins_s=[now] * len(numbers), from_s=now, until_s=now + seconds)
    async with asyncio.timeout(NET_S):
        return await play(order, World(url=url, seed=0, sounds=SOUNDS))


async def bench(*words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "eva", "bench", *words,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(NET_S):
        said, progress = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(), progress.decode()


async def test_people_talk_with_an_eva_and_the_command_says_what_they_met(tmp_path: Path) -> None:
    async with passing(tmp_path, ZERO_COST, STAND_INS) as stack:
        async with asyncio.timeout(NET_S):
            await stack.is_ready.wait()

        answered: set[str] = set()
        async with asyncio.timeout(NET_S):  # where a machine stands still for seconds, not all are at once
            while answered != {"spoken", "typed", "push_to_talk"}:
                told = await talk(stack.url, [0, 1, 3], 2.5)
                assert told.generator.people == 3
                answered |= {one.kind for one in told.met if one.outcome == "ok"}
                assert all(one.response_ms is not None for one in told.met if one.outcome == "ok")

        now = time.monotonic()
        used = await _use(stack, now, now + 0.2)
        assert set(used) == {"broker", "gateway", "stt", "llm", "tts"}
        assert all(use.memory_mib > 1 for use in used.values())

        old = tmp_path / "old.json"
        old.write_text(json.dumps(BASELINE))
        words = ["--url", stack.url, "--users", "2", "--seconds", "1", "--baseline", str(old)]
        code, said, progress = await bench(*words, "--out", str(tmp_path / "curve"))
    assert code == 1, progress
    header, curve, *rest = said.splitlines()
    assert (header.split()[0], curve.split()[0].rstrip("*")) == ("users", "2")
    assert any(line.startswith("regression: people carried: 900 → ") for line in rest)
    assert "2 people, 2 s…" in progress
    (level,) = read_bench(tmp_path / "curve.json").levels
    assert (level.users, level.generator.people, level.services) == (2, 2, {})
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


BASELINE = {
    "at": "2026-11-21T20:00:00Z", "url": "", "engines": "own", "served": {}, "eva_version": "0", "seed": 0,
    "seconds": 1.0, "objective_ms": 500.0,
    "machine": {"cpu": "a", "cores": 2, "load": 0.0, "system": "Linux", "python": "3.11"},
    "levels": [{"users": 900, "seconds": 1.0, "turns": 9, "ok": 9, "response": {"p50": 1.0, "p95": 1.0}}],
}  # fmt: skip


async def test_generators_answer_for_those_who_found_nobody(tmp_path: Path) -> None:
    from eva.wav import write_wav  # noqa: PLC0415 - only here

    for number, sound in enumerate(SOUNDS):
        write_wav(tmp_path / f"{number}.wav", sound.rate_hz, sound.pcm)
    async with Generators.ready("http://127.0.0.1:1", tmp_path, 0) as generators:
        level = await generators.level(2, 0.1, None)
    assert (level.turns, level.failures, level.generator.people) == (2, {"not_opened": 2}, 0)
    assert level.services == {}


@contextlib.asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[str]:
    """A server that answers the handshake, then the first message, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for answer in answers:
            writer.write(answer)
            await reader.read(1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


OPENED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
READY = b'{"type":"ready"}'


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"], "not_opened"),
        ([b"SSH-2.0\r\n\r\n"], "not_opened"),
        ([], "not_opened"),
        ([OPENED], "not_opened"),
        ([OPENED, bytes((0x80 | TEXT, len(READY))) + READY], "lost"),
    ],
)
async def test_whoever_is_turned_away_or_lost_is_a_failure_and_ends_nobody_else(
    answers: list[bytes], outcome: str
) -> None:
    async with answering(*answers) as url:
        told = await talk(url, [1], 0.5)
    assert [one.outcome for one in told.met] == [outcome]
    assert told.generator.people == (outcome == "lost")


async def test_what_a_process_and_its_children_use_is_counted() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    pids = family(process.pid)
    assert len(pids) == 2
    assert memory_mib(pids) > memory_mib([process.pid]) > 1
    assert cpu_s(pids) >= cpu_s([process.pid]) > 0
    process.stdin.write(b"\n")
    await process.wait()
    assert family(process.pid) == set()
    assert (cpu_s(pids), memory_mib(pids)) == (0.0, 0.0)


def test_what_is_no_baseline_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_bench(tmp_path / "none.json")
    (tmp_path / "odd.json").write_text("[]")
    with pytest.raises(BadInput, match="no bench of EVA's"):
        read_bench(tmp_path / "odd.json")


def test_without_matplotlib_there_is_no_picture(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; sys.modules['matplotlib'] = None;"
        "from eva.bench_plot import draw; print(draw(None, None, pathlib.Path(sys.argv[1])))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "curve.png")],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
        timeout=NET_S,
    )  # fmt: skip
    assert told.stdout == "False\n"
    assert list(tmp_path.iterdir()) == []


def test_the_picture_shows_services_failures_and_the_baseline(tmp_path: Path) -> None:
    before = msgspec.convert(BASELINE, Bench)
    level = Level(
        users=4, seconds=1.0, turns=9, ok=8, failures={"mute": 1}, response={"p50": 5.0, "p95": 9.0},
        services={"gateway": Use(cores=0.5, memory_mib=80.0)},
    )  # fmt: skip
    plain, whole = tmp_path / "plain.png", tmp_path / "whole.png"
    assert draw(before, None, plain)
    assert draw(msgspec.structs.replace(before, levels=[level]), before, whole)
    heights = [int.from_bytes(file.read_bytes()[20:24], "big") for file in (plain, whole)]
    assert heights[1] > heights[0] > 0


def test_what_stands_for_a_voice_is_as_long_as_its_text_and_a_voice_stays_as_it_is() -> None:
    text = "x" * 32
    quiet = bytes(2 * MIC_RATE_HZ)
    assert _said(text, Sound(rate_hz=MIC_RATE_HZ, pcm=quiet + SPEECH + quiet)).duration_s == pytest.approx(
        2.0, abs=0.1
    )
    voice = SPEECH * 3
    assert _said(text, Sound(rate_hz=MIC_RATE_HZ, pcm=quiet + voice + quiet)).pcm == voice
    assert _said(text, Sound(rate_hz=MIC_RATE_HZ, pcm=quiet)).pcm == b""
