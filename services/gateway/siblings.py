"""The other processes of one gateway: what each of them tells, for whoever asks one of them.

Each tells on a socket of its own in a folder that only they share: it is asked by being connected to, and
answers with one JSON document within ``ANSWER_S``, or it is absent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import msgspec

from services.gateway.health import Health, ProcessHealth

ANSWER_S = 1.0
LOOKS = 3
"""How often within that it is looked for: a process that stood still itself has not waited for long."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one process tells."""

    health: ProcessHealth
    metrics: str
    """In Prometheus's text format."""
    openmetrics: str = ""
    """The same in OpenMetrics' format, with exemplars."""


ABSENT = ProcessHealth(status="absent")
_TROUBLES = {"absent": "does not answer", "unhealthy": "is not ready"}


def together(own: Health, processes: dict[str, ProcessHealth]) -> Health:
    """Returns the health of all processes behind an address, as one of them sees it. Pure.

    A sibling that does not serve degrades the whole: who comes in next may meet it.
    """
    troubles = [
        f"Gateway process {name} {_TROUBLES[process.status]}."
        for name, process in processes.items()
        if process.status in _TROUBLES
    ]
    is_worse = own.status == "healthy" and bool(troubles)
    return msgspec.structs.replace(
        own,
        status="degraded" if is_worse else own.status,
        reasons=own.reasons + troubles,
        processes=processes,
    )


class Siblings:
    """The processes that share a folder; ``name`` is this one's, ``names`` are all of theirs."""

    def __init__(self, folder: Path, name: str, names: Iterable[str], *, answer_s: float = ANSWER_S) -> None:
        """``answer_s``: so soon they answer, or are absent."""
        self.name, self._folder, self._answer_s = name, folder, answer_s
        self._others = sorted(set(names) - {name})

    @contextlib.asynccontextmanager
    async def telling(self, tell: Callable[[], Told]) -> AsyncIterator[None]:
        """Answers the others for as long as the context lasts."""

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                writer.write(msgspec.json.encode(tell()))
                await writer.drain()
            writer.close()

        path = self._folder / self.name
        path.unlink(missing_ok=True)  # of the process whose place this one has taken
        server = await asyncio.start_unix_server(answer, path)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def told(self, own: Told) -> dict[str, Told]:
        """Returns what those of them tell that answer, by name; ``own``: of this one."""
        answers = await asyncio.gather(*map(self._ask, self._others))
        others = {name: told for name, told in zip(self._others, answers, strict=True) if told is not None}
        return dict(sorted({**others, self.name: own}.items()))

    def healths(self, told: dict[str, Told]) -> dict[str, ProcessHealth]:
        """Returns how all of them are, by name; ``told``: what those tell that answer."""
        names = sorted({self.name, *self._others})
        return {name: told[name].health if name in told else ABSENT for name in names}

    async def _ask(self, name: str) -> Told | None:
        answer = asyncio.create_task(self._read(name), name=f"sibling {name}")
        try:
            for _ in range(LOOKS):
                await asyncio.wait({answer}, timeout=self._answer_s / LOOKS)
                if answer.done():
                    return answer.result()
            return None
        finally:
            answer.cancel()
            await asyncio.wait({answer})

    async def _read(self, name: str) -> Told | None:
        try:
            reader, writer = await asyncio.open_unix_connection(self._folder / name)
        except OSError:
            return None
        try:
            return msgspec.json.decode(await reader.read(), type=Told)
        except (OSError, msgspec.DecodeError):
            return None
        finally:
            writer.close()
