"""Attacks on a gateway's process, with somebody who talks beside them: what is closed, and how."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.abuse.target import Companion, Target, target

ANSWERED_S = 10.0
"""A net: some hundredths of it are usual."""

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    folder: Path = tmp_path_factory.mktemp("abuse")
    async with target(folder, EVA_GATEWAY_MAX_SESSIONS="50") as running:
        yield running


async def beside(gateway: Target, kind: str, *, seconds: float) -> tuple[dict[str, int], float]:
    """Attacks while somebody talks, who stays connected. Returns the answers, and the longest life."""
    async with gateway.companion() as companion:
        await companion.ask()
        talking = asyncio.create_task(companion.talk())
        told: dict[str, Any] = await gateway.attack(kind, seconds=seconds)
        assert not talking.done(), talking
        await companion.pause(talking)
    is_well(companion)
    await gateway.until_empty()
    async with gateway.companion() as another:
        await another.ask()
    assert not another.failed
    return told["answers"], told["lived_s"]


def is_well(companion: Companion) -> None:
    """Each turn was answered with sound, and none had to be waited for as long as an attack lasts."""
    assert not companion.failed
    assert len(companion.took_s) > 1
    assert max(companion.took_s) < ANSWERED_S


async def test_heads_that_never_end_are_cut_off_with_408(gateway: Target) -> None:
    answers, _ = await beside(gateway, "slow_loris", seconds=45)
    assert set(answers) <= {"408", "reset"}
    assert sum(answers.values()) == 200
    assert (await gateway.errors())["stalled"] == 200


async def test_a_flood_of_pings_is_closed_with_1008(gateway: Target) -> None:
    answers, _ = await beside(gateway, "ping_flood", seconds=1)
    assert set(answers) <= {"101", "1008", "reset"}
    assert (await gateway.errors())["ping_flood"] == answers["101"]


async def test_endless_fragments_are_closed_with_1008(gateway: Target) -> None:
    answers, _ = await beside(gateway, "fragments", seconds=1)
    assert set(answers) <= {"101", "1008", "reset"}
    assert (await gateway.errors())["fragments"] == answers["101"]


async def test_what_is_deflated_is_never_inflated(gateway: Target) -> None:
    answers, _ = await beside(gateway, "deflate_bomb", seconds=1)
    assert answers == {"101": 20, "1002": 20}


async def test_clients_that_never_read_are_ended_and_their_turns_with_them(gateway: Target) -> None:
    gateway.workers.answer, gateway.workers.sound_ms = "One sentence. And another one.", 5000
    told = await gateway.attack("never_reads", seconds=90)
    gateway.workers.answer, gateway.workers.sound_ms = "Hello there.", 200
    assert told["answers"] == {"reset": 4}
    assert (await gateway.errors())["slow_client"] == 4
    async with gateway.companion() as companion:
        await companion.ask()
    assert not companion.failed


async def test_of_a_storm_as_many_get_in_as_there_is_room_for_and_the_others_are_told_so(
    gateway: Target,
) -> None:
    answers, _ = await beside(gateway, "storm", seconds=1)
    assert answers["101"] > 0
    assert answers.get("stayed", 0) < 50
    assert answers["101"] + answers["503"] == 2000
    assert (await gateway.errors())["busy"] == answers["503"]


async def test_foreign_pages_are_refused(gateway: Target) -> None:
    answers, _ = await beside(gateway, "wrong_origin", seconds=1)
    assert set(answers) == {"403"}


async def test_keys_that_are_guessed_are_refused(tmp_path: Path) -> None:
    key = secrets.token_hex(32)
    async with (
        target(tmp_path, key=key) as guarded,
        guarded.companion(authorization=f"Bearer {key}") as companion,
    ):
        await companion.ask()
        talking = asyncio.create_task(companion.talk())
        told = await guarded.attack("wrong_key", seconds=1)
        assert not talking.done(), talking
        await companion.pause(talking)
        is_well(companion)
        assert set(told["answers"]) == {"401"}
        assert "eva-0000" not in guarded.home["gateway"].said()


async def test_sound_far_faster_than_time_is_told_of_and_closed_with_1008(gateway: Target) -> None:
    answers, _ = await beside(gateway, "too_much_sound", seconds=60)
    assert answers == {"101": 1, "1008": 1}
    assert (await gateway.errors())["rate_limited"] >= 1
