"""``eva keys`` as an operator meets it: processes, a real broker, and what is left in its store."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eva.api_keys import read_all, stored_keys
from eva.broker import Broker, running_broker
from eva.credentials import api_key, authorization, refusal
from shared.bus.nats import connect
from shared.keys import KEYS_BUCKET, is_secret_of

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def eva(tmp_path: Path) -> Command:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("EVA_")}
        environment = {**kept, "PYTHONPATH": str(ROOT), "EVA_DATA_DIR": str(tmp_path / "data"), **variables}
        return subprocess.run(
            [sys.executable, "-m", "eva", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


@pytest.mark.process
def test_a_key_is_shown_once_listed_without_its_secret_and_revoked_by_its_name(
    eva: Command, tmp_path: Path
) -> None:
    made = eva("keys", "add", "kitchen", "--sessions", "2", "--audio-s-per-day", "3600")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert secret.startswith("eva_sk_")
    assert len(secret) >= 50
    assert secret not in made.stderr

    listed = eva("keys", "list")
    assert "kitchen" in listed.stdout
    assert "holds" in listed.stdout
    assert "2 at a time, 3600 s of sound a day" in listed.stdout
    assert secret not in listed.stdout
    [row] = json.loads(eva("keys", "list", "--json").stdout)
    assert row["limits"] == {"sessions": 2, "audio_s_per_day": 3600.0, "tokens_per_min": 0}
    assert "digest" not in row

    again = eva("keys", "add", "kitchen")
    assert (again.returncode, again.stdout) == (2, "")
    assert "choose another name" in again.stderr

    assert eva("keys", "revoke", "kitchen").returncode == 0
    assert "revoked" in eva("keys", "list").stdout
    gone = eva("keys", "revoke", row["id"])
    assert gone.returncode == 2
    assert "no key that holds" in gone.stderr
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    assert secret.encode() not in stored  # its hash is there, and nothing else


@pytest.mark.process
async def test_the_keys_are_those_of_the_broker_that_runs_or_is_named(tmp_path: Path, eva: Command) -> None:
    broker = Broker(tmp_path / "data")
    url = await broker.start()
    try:
        assert running_broker(tmp_path / "data") == (url, broker.user, broker.password)
        made = await asyncio.to_thread(eva, "keys", "add", "beside")
        elsewhere = {"EVA_NATS_URL": url, "EVA_NATS_USER": broker.user, "EVA_NATS_PASSWORD": broker.password}
        other = str(tmp_path / "other")
        named = await asyncio.to_thread(eva, "keys", "add", "named", "--data-dir", other, **elsewhere)
        assert (made.returncode, named.returncode) == (0, 0), made.stderr + named.stderr
        bus = await connect(url, name="test", user=broker.user, password=broker.password)
        try:
            records = await read_all(await bus.bucket(KEYS_BUCKET, ttl_s=0))
        finally:
            await bus.close()
        assert [record.name for record in records] == ["beside", "named"]
        assert is_secret_of(records[0], made.stdout.strip())
    finally:
        await broker.stop()
    assert running_broker(tmp_path / "data") is None
    assert running_broker(tmp_path / "nowhere") is None


@pytest.mark.process
async def test_what_was_made_without_a_running_eva_is_there_when_it_runs(
    tmp_path: Path, eva: Command
) -> None:
    assert (await asyncio.to_thread(eva, "keys", "add", "early")).returncode == 0
    async with stored_keys(tmp_path / "data") as bucket:
        assert [record.name for record in await read_all(bucket)] == ["early"]


@pytest.mark.process
def test_off_on_an_open_address_is_refused_with_what_mends_it(eva: Command) -> None:
    done = eva("up", "--host", "0.0.0.0", EVA_GATEWAY_AUTH="off")
    assert done.returncode == 2
    assert done.stderr.startswith("eva: EVA_GATEWAY_AUTH: ")
    assert "eva keys add" in done.stderr


def test_the_commands_key_comes_from_the_environment_or_a_file_of_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVA_API_KEY", raising=False)
    monkeypatch.setenv("EVA_SECRETS_DIR", str(tmp_path))
    assert (api_key(), authorization()) == ("", {})
    (tmp_path / "eva_api_key").write_text("from a file\n")
    assert api_key() == "from a file"
    (tmp_path / ".env").write_text("EVA_API_KEY=from .env\n")
    assert api_key() == "from .env"
    monkeypatch.setenv("EVA_API_KEY", "from here")
    assert authorization() == {"authorization": "Bearer from here"}


def test_a_refusal_is_told_in_eva_s_words() -> None:
    assert refusal(403, b'{"error": {"message": "not from there"}}') == "not from there"
    assert refusal(502, b"<html>") == "HTTP 502"
    assert refusal(401, b'{"error": {"message": "no key"}}').startswith("no key; EVA_API_KEY")
