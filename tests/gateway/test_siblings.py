"""Several gateway processes are one EVA: what each knows of the others, and what that makes of the whole."""

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.gateway.board import Board
from services.gateway.health import Health, ProcessHealth, ProcessStatus, Status
from services.gateway.siblings import Siblings, Told, together

EMPTY = Board().report(0.0)


def own(status: Status, *reasons: str) -> Health:
    return msgspec.structs.replace(EMPTY, status=status, reasons=list(reasons))


def told(status: Status) -> Told:
    return Told(health=ProcessHealth(status=status, sessions=1), metrics="m")


@pytest.mark.parametrize(
    ("mine", "other", "whole", "reasons"),
    [
        ("healthy", "healthy", "healthy", []),
        ("healthy", "degraded", "healthy", []),
        ("healthy", "unhealthy", "degraded", ["Gateway process 1 is not ready."]),
        ("healthy", "absent", "degraded", ["Gateway process 1 does not answer."]),
        ("degraded", "absent", "degraded", ["Gateway process 1 does not answer."]),
        ("unhealthy", "healthy", "unhealthy", ["Gateway process 0 is not ready."]),
    ],
)
def test_a_sibling_that_does_not_serve_degrades_the_whole(
    mine: Status, other: ProcessStatus, whole: Status, reasons: list[str]
) -> None:
    processes = {"0": ProcessHealth(status=mine, sessions=1), "1": ProcessHealth(status=other)}
    health = together(own(mine), processes)
    assert (health.status, health.reasons, health.processes) == (whole, reasons, processes)


def test_what_is_wrong_with_itself_comes_first() -> None:
    processes = {"0": ProcessHealth(status="degraded"), "1": ProcessHealth(status="absent")}
    assert together(own("degraded", "No voice."), processes).reasons == [
        "No voice.",
        "Gateway process 1 does not answer.",
    ]


async def test_those_that_answer_tell_and_the_others_are_absent(tmp_path: Path) -> None:
    names = ["0", "1", "2"]
    one, other = (Siblings(tmp_path, name, names, answer_s=60) for name in "01")
    async with other.telling(lambda: told("degraded")):
        heard = await one.told(told("healthy"))
    assert {name: one.health.status for name, one in heard.items()} == {"0": "healthy", "1": "degraded"}
    statuses: dict[str, Any] = {name: one.status for name, one in one.healths(heard).items()}
    assert statuses == {"0": "healthy", "1": "degraded", "2": "absent"}
    assert set(await one.told(told("healthy"))) == {"0"}, "it tells no more"


async def test_who_stood_still_takes_no_sibling_for_absent(tmp_path: Path) -> None:
    names, answer_s = ["0", "1"], 1.5
    one, other = (Siblings(tmp_path, name, names, answer_s=answer_s) for name in names)

    def tell() -> Told:
        time.sleep(answer_s + 0.1)  # both stand still, as with their machine
        return told("healthy")

    async with other.telling(tell):
        assert set(await one.told(told("healthy"))) == {"0", "1"}


async def test_one_that_takes_the_call_and_says_nothing_is_absent(tmp_path: Path) -> None:
    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    async with await asyncio.start_unix_server(hear, tmp_path / "1"):
        one = Siblings(tmp_path, "0", ["0", "1"], answer_s=0.05)
        assert set(await one.told(told("healthy"))) == {"0"}
