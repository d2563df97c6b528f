"""A model hub on the loopback: ranges, redirects that announce the hash, and the faults of real ones."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from eva.place import free_port
from shared.models import Model, ModelFile


@dataclass
class FakeHub:
    """What the hub has and how it misbehaves; paths are without a leading slash."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    """For each coming answer the bytes after which the connection breaks."""
    statuses: list[int] = field(default_factory=list)
    """For each coming request the status instead of an answer."""
    has_ranges: bool = True
    announces: bool = False
    """Redirects, and names the sha256 on the way as for large files."""
    content_type: str = "application/octet-stream"
    total_lie: int = 0
    """Added to the length that it tells."""
    tells_length: bool = True
    """Else an answer ends where the connection does."""
    range_shift: int = 0
    """Added to the place where it says that a part begins."""
    corrupts: bool = False
    """Sends another content than it announced."""
    loops: bool = False
    """Redirects to where the request came from."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and ``Range`` of what was asked."""
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        hub, path = self.hub, self.path.lstrip("/")
        wanted = self.headers.get("Range", "")
        hub.requests.append((path, wanted))
        if hub.statuses:
            self._answer(hub.statuses.pop(0), b"no")
            return
        stored = path.removeprefix("cdn/")
        body = hub.files.get(stored)
        if body is None:
            self._answer(404, b"not here")
        elif hub.announces and not path.startswith("cdn/"):
            digest = hashlib.sha256(body).hexdigest()
            place = path if hub.loops else f"cdn/{path}"
            self._answer(302, b"", {"Location": f"/{place}", "X-Linked-Etag": f'"{digest}"'})
        else:
            self._send_file(body, int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0)

    def _send_file(self, body: bytes, start: int) -> None:
        hub = self.hub
        if not hub.has_ranges:
            start = 0
        if start >= len(body) and start:
            self._answer(416, b"")
            return
        part = body[start:][:: -1 if hub.corrupts else 1]
        total = len(body) + hub.total_lie
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start + hub.range_shift}-{total - 1}/{total}")
        if hub.tells_length:
            self.send_header("Content-Length", str(len(part) + hub.total_lie))
        else:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", hub.content_type)
        self.end_headers()
        limit = hub.cut_after.pop(0) if hub.cut_after else len(part)
        self.wfile.write(part[:limit])
        if limit < len(part):
            self.close_connection = True

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that has left: whether its end comes before the answer's is chance."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A hub on a port that the kernel chose, for the length of the block."""
    hub = FakeHub()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_url() -> str:
    """An address where nobody listens, now or later."""
    return f"http://127.0.0.1:{free_port('127.0.0.1', 0)}"


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """An address that swallows connections: its queue is full, so that the kernel drops what comes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def silent_hub() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def offered_voice(hub: FakeHub, name: str = "test-voice", *, is_pinned: bool = True) -> Model:
    """Puts a voice on the hub and answers its manifest entry."""
    contents = {
        f"{name}.onnx": bytes(range(256)) * 800,
        f"{name}.onnx.json": b'{"audio": {"sample_rate": 22050}}',
    }
    files = []
    for file, content in contents.items():
        hub.files[f"voices/{file}"] = content
        sha256 = hashlib.sha256(content).hexdigest() if is_pinned else ""
        files.append(ModelFile(file, f"voices/{file}", len(content) if is_pinned else 0, sha256))
    return Model(
        name, "tts", ("en",), "CC0", "test/voices", "main", tuple(files), False, "A voice for tests."
    )
