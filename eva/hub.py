"""Fetches files from a model hub: resumed, hashed while they stream, renamed only when they are whole.

A hub that cannot be reached is said at once, because EVA runs without it; a connection that breaks while
bytes flow is taken up again where it broke. What arrived is never used before its hash is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import Field

from eva.model_store import FetchFailed, HubUnreachable, Meter
from shared.errors import ConfigError
from shared.models import ModelFile
from shared.settings import CommonSettings

_TRIES = 6
_BACKOFF_S = 0.5
_BLOCK_BYTES = 1 << 18
_PROGRESS_BYTES = 1 << 20  # So much since the last break, and the tries count from the start again.
_OK, _PARTIAL, _NOT_FOUND, _RANGE_REFUSED, _TOO_MANY, _SERVER_ERRORS = 200, 206, 404, 416, 429, 500


class HubSettings(CommonSettings):
    """Settings of ``eva models``."""

    hub_url: str = Field("https://huggingface.co", description="Where `eva models pull` gets models from.")


class _Again(Exception):
    """The transfer broke and may be taken up again."""


@dataclass(frozen=True)
class HttpHub:
    """A hub at an address; one object serves one pull."""

    url: str
    client: httpx.Client
    connect_timeout_s: float
    pause: Callable[[float], None] = time.sleep

    def reach(self) -> None:
        """Raises ``HubUnreachable`` unless somebody answers in time: look-up and all addresses together."""
        address = httpx.URL(self.url)
        if urllib.request.getproxies().get(address.scheme) and not urllib.request.proxy_bypass(address.host):
            return  # The proxy looks the name up; its own connect timeout holds.
        answers: queue.Queue[str] = queue.Queue(1)
        port = address.port or (443 if address.scheme == "https" else 80)

        def connect() -> None:
            try:
                socket.create_connection((address.host, port), self.connect_timeout_s).close()
            except OSError as error:
                answers.put(error.strerror or str(error))
            else:
                answers.put("")

        # A thread, because neither a name's look-up nor the sum over its addresses can be limited otherwise.
        threading.Thread(target=connect, daemon=True).start()
        try:
            reason = answers.get(timeout=self.connect_timeout_s)
        except queue.Empty:
            reason = f"no answer within {self.connect_timeout_s:g} s"
        if reason:
            raise HubUnreachable(self.url, reason)

    def fetch(self, file: ModelFile, target: Path, meter: Meter) -> str:
        """As ``eva.model_store.Hub``."""
        transfer = _Transfer(self, file, target.with_name(target.name + ".part"), meter)
        try:
            digest = transfer.run()
        finally:
            meter.end()
        transfer.part.replace(target)
        return digest


@contextlib.contextmanager
def open_hub(url: str, connect_timeout_s: float, read_timeout_s: float = 20.0) -> Iterator[HttpHub]:
    """A hub at an ``http(s)://`` address.

    Raises:
        ConfigError: the address is none.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError("EVA_HUB_URL: must start with http:// or https://")
    timeout = httpx.Timeout(read_timeout_s, connect=connect_timeout_s)
    with httpx.Client(timeout=timeout, follow_redirects=True, headers={"User-Agent": "eva"}) as client:
        yield HttpHub(url.rstrip("/"), client, connect_timeout_s)


class _Transfer:
    """One file on its way into its ``.part``."""

    def __init__(self, hub: HttpHub, file: ModelFile, part: Path, meter: Meter) -> None:
        self.hub, self.file, self.part, self.meter = hub, file, part, meter
        self._was_answered = False
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)

    def run(self) -> str:
        """Tries until the file is whole and right; answers its sha256."""
        is_resumed = self._have() > 0
        failures = 0
        while True:
            before = self._have()
            try:
                expected = self._stream()
            except httpx.TooManyRedirects as error:
                raise FetchFailed(self.file.name, "the hub sends from one address to the next") from error
            except (httpx.TransportError, _Again) as error:
                reason = str(error) or type(error).__name__
                if not self._was_answered:
                    raise HubUnreachable(self.hub.url, reason) from error
            else:
                if self._is_right(expected):
                    return self._sha256.hexdigest()
                self.part.unlink()
                reason = "its content is not what it should be (wrong hash); it was removed"
                if not is_resumed:  # Else what lay here may have been another file: once more from the start.
                    raise FetchFailed(self.file.name, reason)
                is_resumed = False
            failures = 1 if self._have() - before >= _PROGRESS_BYTES else failures + 1
            if failures == _TRIES:
                raise FetchFailed(self.file.name, f"{reason}; given up after {_TRIES} tries")
            self.hub.pause(_BACKOFF_S * 2 ** (failures - 1))

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _is_right(self, expected: str) -> bool:
        if expected:
            return self._sha256.hexdigest() == expected
        return not self.file.md5 or self._md5.hexdigest() == self.file.md5

    def _stream(self) -> str:
        """Appends what is missing, hashing all of it; answers the sha256 that it should have, if known."""
        have = self._take_up()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self.hub.client.stream("GET", f"{self.hub.url}/{self.file.url}", headers=headers) as answer:
            self._was_answered = True
            expected = self.file.sha256 or _announced(answer)
            if have and answer.status_code == _RANGE_REFUSED:
                if have == self.file.size_bytes:
                    return expected
                self.part.unlink()
                raise _Again("the hub refused to go on where it broke off")
            _refuse(self.file, answer)
            if have and answer.status_code != _PARTIAL:
                self.part.unlink()
                have = self._take_up()
            total = _total_bytes(answer, have)
            if self.file.size_bytes and total and total != self.file.size_bytes:
                reason = f"the hub offers {total} bytes instead of {self.file.size_bytes}"
                raise FetchFailed(self.file.name, reason)
            total = total or self.file.size_bytes
            self.meter.begin(self.file.name, total)
            self._append(answer, have)
        if self._have() < total:
            raise _Again("the hub broke off")
        return expected

    def _take_up(self) -> int:
        """Hashes what is here already; answers its length in bytes."""
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        if self.file.size_bytes and self._have() > self.file.size_bytes:
            self.part.unlink()
        if not self.part.exists():
            return 0
        with self.part.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                self._hash(block)
        return self._have()

    def _hash(self, block: bytes) -> None:
        self._sha256.update(block)
        if self.file.md5:
            self._md5.update(block)

    def _append(self, answer: httpx.Response, have: int) -> None:
        with self.part.open("ab") as out:
            for block in answer.iter_raw():  # As it comes: a break shall lose nothing that arrived.
                out.write(block)
                self._hash(block)
                have += len(block)
                self.meter.show(have)
            out.flush()
            os.fsync(out.fileno())


def _refuse(file: ModelFile, answer: httpx.Response) -> None:
    """Raises for an answer that is not the file: at once for what stays so, ``_Again`` for what may pass."""
    status = answer.status_code
    if status == _TOO_MANY or status >= _SERVER_ERRORS:
        raise _Again(f"the hub answered {status}")
    if status not in {_OK, _PARTIAL}:
        what = "has no such file" if status == _NOT_FOUND else "refuses it"
        raise FetchFailed(file.name, f"the hub {what} ({status}, {file.url})")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise FetchFailed(file.name, "a web page came instead of it (a portal, or the wrong EVA_HUB_URL?)")


def _announced(answer: httpx.Response) -> str:
    """The sha256 that the hub names for a large file (its Git LFS object id), else an empty string."""
    for step in (*answer.history, answer):
        digest = step.headers.get("X-Linked-Etag", "").removeprefix("W/").strip('"')
        if re.fullmatch("[0-9a-f]{64}", digest):
            return str(digest)
    return ""


def _total_bytes(answer: httpx.Response, have: int) -> int:
    """Length of the whole file by the answer's headers, 0 if they do not say."""
    if answer.status_code == _PARTIAL:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise _Again("the hub went on at another place than asked")
        return int(match[2])
    return int(answer.headers.get("Content-Length", "0"))
