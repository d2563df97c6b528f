"""Servers of the Model Context Protocol, as their file names them. Pure.

The shape is the one that other programs use: ``{"mcpServers": {"name": {…}}}``, with ``command``, ``args``
and ``env`` for one that is started and spoken to by its standard streams, ``url`` and ``headers`` for one
that is there already (streamable HTTP). ``timeoutS`` bounds each call; what else such files hold is ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

TIMEOUT_S = 5.0
LONGEST_S = 60.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True, kw_only=True)
class ServerSpec:
    """One server: either ``command`` or ``url``."""

    name: str
    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict, repr=False)
    """Besides the few variables that every program needs; of EVA's own it gets none."""
    cwd: str | None = None
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = TIMEOUT_S
    """Of each call."""


class _Entry(msgspec.Struct, frozen=True, rename={"timeout_s": "timeoutS"}):
    command: str = ""
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None
    url: str = ""
    headers: dict[str, str] = {}
    timeout_s: float = TIMEOUT_S
    disabled: bool = False


class _File(msgspec.Struct, frozen=True, rename={"servers": "mcpServers"}):
    servers: dict[str, _Entry]


def parse_servers(text: str | bytes) -> tuple[ServerSpec, ...]:
    """Returns the servers in order, those that are ``disabled`` left out.

    Raises:
        ValueError: it is no such file; says where.
    """
    try:
        entries = msgspec.json.decode(text, type=_File).servers
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    return tuple(_server(name, entry) for name, entry in entries.items() if not entry.disabled)


def _server(name: str, entry: _Entry) -> ServerSpec:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r}: a server's name has 1 to 32 letters, digits, _ and -")
    if bool(entry.command) == bool(entry.url):
        raise ValueError(f"{name}: either a command or a url")
    if entry.url and (
        urlsplit(entry.url).scheme not in {"http", "https"} or not urlsplit(entry.url).hostname
    ):
        raise ValueError(f"{name}: the url is to begin with http:// or https://")
    if not 0 < entry.timeout_s <= LONGEST_S:
        raise ValueError(f"{name}: timeoutS is more than 0 and at most {LONGEST_S:g}")
    return ServerSpec(
        name=name,
        command=entry.command,
        args=tuple(entry.args),
        env=entry.env,
        cwd=entry.cwd,
        url=entry.url,
        headers=entry.headers,
        timeout_s=entry.timeout_s,
    )
