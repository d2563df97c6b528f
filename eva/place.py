"""Where an EVA runs: its data directory, held by one ``eva up`` at a time, and its port.

The lock is the kernel's (``flock``), so it is free again however its holder ended.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom

from shared.errors import EvaError

QUIET = range(15_000, 32_000)
"""Ports that no kernel gives to whoever asks for any: what is free now is so when it is listened on."""
TRIES = 20


class CannotStart(EvaError):
    """EVA cannot run here; ``hint`` says what to do."""

    code = "cannot_start"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@contextlib.contextmanager
def held(data_dir: Path, url: str) -> Iterator[None]:
    """Makes the data directory and holds it.

    Raises:
        CannotStart: it cannot be written, or another ``eva up`` holds it.
    """
    try:
        (data_dir / "logs").mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "eva.lock").open("a+")
    except OSError as error:
        raise CannotStart(
            f"the data directory {data_dir} cannot be written: {error.strerror}",
            hint="Choose another: eva up --data-dir DIR (or set EVA_DATA_DIR).",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise CannotStart(
                f"EVA already runs on the data directory {data_dir} ({lock.read().strip() or 'starting'})",
                hint="Use that one, or give this one its own: eva up --data-dir DIR --port 0.",
            ) from error
        lock.truncate(0)
        lock.write(f"pid {os.getpid()}, {url}\n")
        lock.flush()
        yield
        lock.truncate(0)


def free_port(host: str, port: int) -> int:
    """Returns ``port``, or for 0 any that is free, after finding that it can be listened on.

    Raises:
        CannotStart: it is in use, or the host is no address of this machine.
    """
    if port == 0:
        for quiet in SystemRandom().sample(QUIET, TRIES):
            with contextlib.suppress(CannotStart):
                return _listenable(host, quiet)
    return _listenable(host, port)


def _listenable(host: str, port: int) -> int:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(
                f"port {port} of {host} is in use",
                hint="Choose another: eva up --port 8080 (0: any free one).",
            ) from error
        raise CannotStart(f"{host}:{port} cannot be listened on: {error.strerror}") from error


def url_of(host: str, port: int) -> str:
    """Returns the address at which this machine itself reaches a service that listens on ``host``."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - a comparison
    return f"http://{f'[{name}]' if ':' in name and not name.startswith('[') else name}:{port}"
