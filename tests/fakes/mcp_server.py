"""A server of the Model Context Protocol for tests, made with the protocol's own library.

``python -m tests.fakes.mcp_server`` speaks by its standard streams; with ``--port`` by streamable HTTP, and
asks for the header ``x-key: s3cret`` there. ``--tools`` chooses what it has.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.types import ImageContent, TextContent


async def weather(city: str) -> str:
    """Tells the weather."""
    return f"It is sunny in {city}."


async def fail() -> str:
    """Fails."""
    raise ValueError("the sensor is broken")


async def sleep(seconds: float) -> str:
    """Takes so long."""
    await asyncio.sleep(seconds)
    return "awake"


async def long() -> str:
    """Says much."""
    return "é" * 20_000


async def blocks() -> list[TextContent | ImageContent]:
    """Answers with more than text."""
    return [
        TextContent(type="text", text="one"),
        ImageContent(type="image", data="AA==", mime_type="image/png"),
        TextContent(type="text", text="two"),
    ]


async def environment() -> str:
    """Lists the names of its environment's variables."""
    return " ".join(sorted(os.environ))


async def pid() -> str:
    """Tells its process id."""
    return str(os.getpid())


async def die() -> str:
    """Ends the server."""
    os._exit(3)


TOOLS = {tool.__name__: tool for tool in (weather, fail, sleep, long, blocks, environment, pid, die)}


class _Locked:
    """Lets in who has the key."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (b"x-key", b"s3cret") not in scope["headers"]:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._app(scope, receive, send)


def main() -> None:
    """Serves until its input ends, or for ever."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", default="weather")
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    server = MCPServer("test")
    for name in options.tools.split(","):
        server.add_tool(TOOLS[name])
    if options.port is None:
        print("a line that nobody is to read", file=sys.stderr)  # noqa: T201 - as servers do
        server.run("stdio")
    else:
        app = _Locked(server.streamable_http_app(host="127.0.0.1"))
        uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="error")


if __name__ == "__main__":
    main()
