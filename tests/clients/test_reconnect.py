"""Who is cut off comes back by the client's own means, and EVA remembers what was said."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.clients.node import SNIPPETS, flags, needs_node, workplace
from tests.clients.place import ANSWER, SAID, WAIT_S, Cable, Place, cable, ended
from tests.clients.wires import by_openai_node, by_websockets

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]
REMEMBERED = [("user", "I like tea."), ("assistant", ANSWER), ("user", "Do you?")]


async def two_turns_and_a_cut(place: Place, line: Cable, folder: Path, *command: str) -> None:
    """Runs a snippet that takes its turns from stdin; between the two its connection is reset."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=place.environment(line.url), stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None

    async def until(start: str) -> None:
        while not (said := (await process.stdout.readline()).decode()).startswith(start):  # type: ignore[union-attr]
            assert said, f"it ended before it said {start}"

    try:
        async with asyncio.timeout(WAIT_S):
            process.stdin.write(b"I like tea.\n")
            await until(f"eva: {ANSWER}")
            line.cut()
            await until("reconnecting")
            await until("session")
            process.stdin.write(b"Do you?\n")
            await until(f"eva: {ANSWER}")
            process.stdin.close()
            assert await process.wait() == 0
    finally:
        await ended(process)
    assert line.taken == 2


@pytest.mark.compatible("openai-python", "reconnect")
async def test_the_stock_client_comes_back_to_its_session(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    async with cable(place.url) as line:
        script = str(SNIPPETS / "python" / "openai_reconnect.py")
        await two_turns_and_a_cut(place, line, tmp_path, sys.executable, script)
    assert place.told == REMEMBERED


@needs_node
@pytest.mark.compatible("plain JavaScript", "reconnect", "typed turn")
async def test_a_program_without_any_package_comes_back_to_its_session(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    folder = workplace(tmp_path, has_packages=False)
    async with cable(place.url) as line:
        await two_turns_and_a_cut(place, line, folder, "node", *flags(), "plain.mjs")
    assert place.told == REMEMBERED


@needs_node
@pytest.mark.compatible("openai-node", "reconnect")
async def test_the_stock_client_in_node_comes_back_to_its_session(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    async with cable(place.url) as line, by_openai_node(place, tmp_path, url=line.url) as somebody:
        await somebody.ask("I like tea.", output_modalities=["text"])
        line.cut()
        await somebody.hears("session.created", count=2)
        await somebody.ask("Do you?", output_modalities=["text"])
    assert place.told == REMEMBERED


@pytest.mark.compatible("websockets", "reconnect")
async def test_who_names_the_session_goes_on_with_it_on_another_socket(place: Place, tmp_path: Path) -> None:
    place.will(SAID)
    async with cable(place.url) as line:
        async with by_websockets(place, tmp_path, url=line.url) as somebody:
            await somebody.ask("I like tea.", output_modalities=["text"])
            session_id = somebody.of("session.created")[0]["session"]["id"]
            line.cut()
            await somebody.until_closed()
        async with by_websockets(place, tmp_path, url=line.url, session_id=session_id) as somebody:
            await somebody.ask("Do you?", output_modalities=["text"])
    assert place.told == REMEMBERED
