"""The command and a gateway that asks for keys, as processes: it works with one, and none is in any log."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.keys import KEY_PREFIX
from tests.e2e.house import ROOT, WAIT_S, House, house

pytestmark = pytest.mark.process


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[tuple[House, str]]:
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    file = tmp_path / "keys"
    file.write_text(key + "\n")
    variables = {"EVA_GATEWAY_AUTH": "on", "EVA_API_KEYS_FILE": str(file), "EVA_LOG_LEVEL": "DEBUG"}
    async with house(tmp_path / "eva", **variables) as ready:
        yield ready, key


async def command(home: House, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Runs ``eva``; returns exit code, stdout and stderr."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EVA_")}
    told = {"PYTHONPATH": str(ROOT), "EVA_URL": home.url, "EVA_DATA_DIR": str(home.folder), **variables}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "eva", *arguments,
        env=kept | home.server.environment | told, cwd=home.folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(WAIT_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_talks_with_a_key_and_no_key_is_in_any_log(home: tuple[House, str]) -> None:
    ready, key = home
    say = ("say", "Hello!", "--no-audio")
    code, _, told = await command(ready, *say)
    assert code == 1
    assert "EVA_API_KEY" in told
    code, answer, told = await command(ready, *say, EVA_API_KEY=key)
    assert (code, bool(answer.strip())) == (0, True), told

    code, made, told = await command(ready, "keys", "add", "phone")
    assert code == 0, told
    stored = made.strip()
    async with asyncio.timeout(WAIT_S):
        while (await command(ready, *say, EVA_API_KEY=stored))[0] != 0:
            pass
    code, _, told = await command(ready, "keys", "revoke", "phone")
    assert code == 0, told
    async with asyncio.timeout(WAIT_S):
        while (await command(ready, *say, EVA_API_KEY=stored))[0] == 0:
            pass

    logs = [file for file in ready.folder.rglob("*.log") if file.is_file()]
    assert {"gateway.log", "llm.log", "nats.log"} <= {file.name for file in logs}
    for file in logs:
        text = file.read_bytes()
        assert key.encode() not in text, file
        assert stored.encode() not in text, file
