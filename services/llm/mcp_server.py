"""One server of the Model Context Protocol: connected to, watched, and connected to again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

import httpx2
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CONNECTION_CLOSED

from services.llm.mcp_config import ServerSpec
from services.llm.mcp_tools import arguments, capped, flat
from shared.messages import ToolSpec
from shared.observe import Log

log = Log("eva.llm")

OPEN_S: Final = 15.0
"""For starting it, greeting it and asking what it has: a program that is fetched first takes its time."""
CHECK_EVERY_S: Final = 10.0
PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
MOST_PAGES: Final = 20
UNAVAILABLE: Final = "The function is not available now."


class McpServer:
    """``changed`` is called when ``tools`` are others."""

    def __init__(
        self, spec: ServerSpec, changed: Callable[[], None], *, check_every_s: float = CHECK_EVERY_S
    ) -> None:
        self.spec = spec
        self.tools: Sequence[ToolSpec] = ()
        """Those that it had when it was last there."""
        self._changed = changed
        self._check_every_s = check_every_s
        self._client: Client | None = None
        self._doubt = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def is_there(self) -> bool:
        """Whether it can be called."""
        return self._client is not None

    def stop(self) -> None:
        """Ends ``run``: the library swallows a cancellation that comes while a connection breaks."""
        self._stopped.set()
        self._doubt.set()

    async def run(self) -> None:
        """Keeps the connection until ``stop``; pauses longer from failure to failure."""
        pause_s = PAUSE_S
        while not self._stopped.is_set():
            try:
                async with self._connection():
                    pause_s = PAUSE_S
                    await self._watch()
            except Exception as error:  # noqa: BLE001 - whatever a foreign server does must not end the mind
                log.warning("tools.lost", server=self.spec.name, reason=_reason(error), again_in_s=pause_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopped.wait()
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def call(self, name: str, text: str) -> str:
        """Calls a function with its arguments as JSON; returns its result, or in words what went wrong."""
        client = self._client
        if client is None:
            return UNAVAILABLE
        try:
            given = arguments(text)
        except ValueError:
            return "The arguments are no JSON object."
        try:
            async with asyncio.timeout(self.spec.timeout_s):
                result = await client.call_tool(name, given)
        except TimeoutError:
            log.warning("tool.slow", server=self.spec.name, tool=name)
            self._doubt.set()
            return f"The function gave no result within {self.spec.timeout_s:g} s."
        except MCPError as error:
            self._failed(name, "MCPError")
            return UNAVAILABLE if error.code == CONNECTION_CLOSED else capped(f"Failed: {error.message}")
        except Exception as error:  # noqa: BLE001 - a foreign server may answer anything
            self._failed(name, _reason(error))
            return "The function failed."
        said = flat(result.content, result.structured_content)
        return capped(f"Failed: {said}") if result.is_error else said

    def _failed(self, name: str, reason: str) -> None:
        log.warning("tool.failed", server=self.spec.name, tool=name, reason=reason)
        self._doubt.set()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(OPEN_S):
                client = await stack.enter_async_context(await self._made(stack))
                self.tools = await _listed(client)
            self._client = client
            self._changed()
            log.info("tools.ready", server=self.spec.name, tools=len(self.tools))
            try:
                yield
            finally:
                self._client = None
                self._changed()

    async def _made(self, stack: contextlib.AsyncExitStack) -> Client:
        spec = self.spec
        if spec.url:
            timeout = httpx2.Timeout(OPEN_S, read=None)  # calls are bounded one by one
            http = httpx2.AsyncClient(headers=spec.headers, timeout=timeout)
            await stack.enter_async_context(http)
            return Client(streamable_http_client(spec.url, http_client=http), cache=None)
        start = StdioServerParameters(
            command=spec.command, args=list(spec.args), env=dict(spec.env), cwd=spec.cwd
        )
        return Client(stdio_client(start, errlog=stack.enter_context(_errors())), cache=None)

    async def _watch(self) -> None:
        """Asks now and then, and at every doubt, what it has; raises when it does not answer."""
        assert self._client is not None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._check_every_s):
                    await self._doubt.wait()
            if self._stopped.is_set():
                return
            self._doubt.clear()
            async with asyncio.timeout(OPEN_S):
                tools = await _listed(self._client)
            if tools != self.tools:
                self.tools = tools
                self._changed()


@contextlib.contextmanager
def _errors() -> Iterator[TextIO]:
    """Where a server prints to: what it prints may hold a person's words."""
    if logging.getLogger("eva.llm").isEnabledFor(logging.DEBUG):
        yield sys.stderr
    else:
        with Path(os.devnull).open("w") as nowhere:
            yield nowhere


async def _listed(client: Client) -> Sequence[ToolSpec]:
    tools: list[ToolSpec] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += [
            ToolSpec(name=tool.name, description=tool.description or "", parameters=tool.input_schema)
            for tool in page.tools
        ]
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools


def _reason(error: BaseException) -> str:
    """Names an error without its text, which may hold what was asked or answered."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
