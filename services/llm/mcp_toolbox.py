"""The functions of all servers that are configured, under one name each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from services.llm.mcp_config import ServerSpec
from services.llm.mcp_tools import names
from shared.messages import ToolSpec, ToolUse

if TYPE_CHECKING:
    from services.llm.mcp_server import McpServer


class McpToolbox:
    """A ``Toolbox``; the protocol's library is loaded when it is opened, beside everything else."""

    def __init__(self, servers: Sequence[ServerSpec], *, check_every_s: float | None = None) -> None:
        """``check_every_s``: how often a server is asked whether it is there; None: as is usual."""
        self._configured = servers
        self._checks = {} if check_every_s is None else {"check_every_s": check_every_s}
        self._servers: dict[str, McpServer] = {}
        self._named: Mapping[str, tuple[str, ToolSpec]] = {}
        self.specs: Sequence[ToolSpec] = ()
        """The functions that can be called now, in the order of the configuration."""

    async def open(self) -> None:
        """Connects, and keeps connected until it is cancelled."""
        server = await asyncio.to_thread(_library)
        self._servers = {spec.name: server(spec, self._update, **self._checks) for spec in self._configured}
        async with asyncio.TaskGroup() as tasks:
            for name, one in self._servers.items():
                tasks.create_task(one.run(), name=f"tools {name}")
            try:
                await asyncio.get_running_loop().create_future()  # until it is cancelled
            finally:
                for one in self._servers.values():
                    one.stop()

    async def call(self, use: ToolUse) -> str:
        """Runs one within its time limit; returns its result, or in words what went wrong. Never raises."""
        found = self._named.get(use.name)
        if found is None:
            return f"There is no function {use.name}."
        server, spec = found
        return await self._servers[server].call(spec.name, use.arguments)

    async def close(self) -> None:
        """Has nothing left to close: ``open`` does it when it is cancelled."""

    def _update(self) -> None:
        """Names stay what they are while a server is away."""
        self._named = names({name: server.tools for name, server in self._servers.items()})
        self.specs = [
            msgspec.structs.replace(spec, name=name)
            for name, (server, spec) in self._named.items()
            if self._servers[server].is_there
        ]


def _library() -> type[McpServer]:
    """Takes a second or two. Its own log lines may quote what was asked and answered."""
    from services.llm.mcp_server import McpServer  # noqa: PLC0415 - only if it is used

    if not logging.getLogger("eva.llm").isEnabledFor(logging.DEBUG):
        for name in ("mcp", "httpx2"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    return McpServer
