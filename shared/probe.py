"""A worker's door for whoever looks after its process, where a port is set: probes, and its figures.

Alive is who answers: a blocked event loop does not. Ready is whose own facts say so and whose broker is
there: what a worker could do without one, nobody could ask for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

from shared.bus import Bus
from shared.errors import EvaError
from shared.messages import Facts

REQUEST_BYTES = 4096
REQUEST_S = 2.0


class PortTaken(EvaError):
    """The port for probes cannot be listened on."""


Page = Callable[[str], tuple[bytes, str]]
"""Returns a page of figures and its content type, as an ``Accept`` header wants them."""


def verdict(path: str, facts: Facts, *, is_up: bool) -> tuple[int, dict[str, object]]:
    """Returns status and body of an answer."""
    if path == "/livez":
        return 200, {"alive": True}
    if path != "/readyz":
        return 404, {"error": "There is /livez, /readyz and /metrics."}
    reasons = [] if is_up else ["The broker is not reachable."]
    if facts.state not in {"ready", "degraded"}:
        reasons.append(f"This worker is {facts.state}.")
    return (503 if reasons else 200), {"ready": not reasons, "stage": facts.stage, "reasons": reasons}


@contextlib.asynccontextmanager
async def probed(port: int, facts: Callable[[], Facts], bus: Bus, page: Page) -> AsyncIterator[None]:
    """Answers probes, on all addresses, until the caller is done; ``port`` 0: none. Raises ``PortTaken``."""
    if not port:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].partition(b"?")[0].decode("ascii", "replace")
                if path == "/metrics":
                    writer.write(_packed(200, *page(accepted(head))))
                else:
                    status, body = verdict(path, facts(), is_up=bus.is_up)
                    writer.write(_packed(status, json.dumps(body).encode(), "application/json"))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, "0.0.0.0", port, limit=REQUEST_BYTES)  # noqa: S104 - of a container, or asked for
    except OSError as error:
        raise PortTaken(f"EVA_METRICS_PORT: {port} cannot be used: {error.strerror}") from error
    async with server:
        yield


def accepted(head: bytes) -> str:
    """Returns what a request's ``Accept`` header says; empty: it has none."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"accept":
            return value.strip().decode("ascii", "replace")
    return ""


def _packed(status: int, body: bytes, content_type: str) -> bytes:
    reason = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}[status]
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body
