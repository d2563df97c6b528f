"""The list of routes as the configuration writes it, and the names that the routes go by.

    groq:llama-3.3-70b-versatile, openai:http://127.0.0.1:11434/v1:llama3.2:3b companion

Pure. A name stands in logs, metrics and reports, so it never holds a key: an address with user-info is
refused, and no error repeats it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["groq", "openai", "companion"]

_SEPARATOR = re.compile(r"[,\s]+")
_ADDRESSED = re.compile(
    r"""(?P<url>https?://
        (?P<user>[^/@]*@)?
        (?P<host>\[[0-9a-f:.]+\]|[^/:@\[\]]+) (?::(?P<port>\d+))?
        (?P<path>/[^:]*)?)
        (?::(?P<model>.*))?""",
    re.VERBOSE | re.IGNORECASE,
)
_MAX_PORT = 65535


class BadRouteList(ValueError):
    """The list cannot be used; ``part`` is the entry at fault, without what may be secret in it."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part!r}: {reason}")
        self.part, self.reason = part, reason


@dataclass(frozen=True, kw_only=True)
class RouteSpec:
    """One route: whose model, and which."""

    kind: Kind
    model: str = ""
    """Empty for ``openai``: the server's first one."""
    base_url: str = ""
    """With its version path; empty for ``openai``: the server that is found on this machine."""

    @property
    def name(self) -> str:
        """Unlike any other's of the list; see ``engine.Mind.route``."""
        if self.kind == "companion":
            return self.kind
        where = [host_of(self.base_url)] if self.base_url else []
        if self.kind == "openai" and not where:
            where = ["local"]
        return ":".join([self.kind, *where, *filter(None, [self.model])])


def parse_routes(text: str) -> tuple[RouteSpec, ...]:
    """Returns the routes in order, ``companion`` last if it is not named; none for an empty text.

    Raises:
        BadRouteList: an entry is none, or stands there twice.
    """
    specs = [_route(part) for part in _SEPARATOR.split(text.strip()) if part]
    if specs and not any(spec.kind == "companion" for spec in specs):
        specs.append(RouteSpec(kind="companion"))
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise BadRouteList(name, "stands there twice")
    if specs and specs[-1].kind != "companion":
        raise BadRouteList("companion", "must be the last, as it always answers")
    return tuple(specs)


def parse_keys(text: str) -> dict[str, str]:
    """Returns the keys by ``host`` or ``host:port``: ``api.example.org=sk-1, 10.0.0.2:8000=sk-2``.

    Raises:
        BadRouteList: an entry is no such pair; it is told by its number only.
    """
    keys: dict[str, str] = {}
    for number, part in enumerate((part for part in _SEPARATOR.split(text.strip()) if part), start=1):
        host, equals, key = part.partition("=")
        if not equals or not host or not key:
            raise BadRouteList(f"entry {number}", "must be host=key")
        keys[host.casefold()] = key
    return keys


def host_of(url: str) -> str:
    """Returns ``host`` or ``host:port`` of an address, without user-info."""
    return urlsplit(url).netloc.rpartition("@")[2].casefold()


def _route(part: str) -> RouteSpec:
    kind, _, rest = part.partition(":")
    match kind.casefold():
        case "companion":
            if rest:
                raise BadRouteList(part, "companion has no model")
            return RouteSpec(kind="companion")
        case "groq":
            if not rest:
                raise BadRouteList(part, "names no model: groq:<model>")
            return RouteSpec(kind="groq", model=rest)
        case "openai":
            return _addressed(part, rest)
    shown = part if "@" not in part else f"{kind}:…"
    raise BadRouteList(shown, "begins with none of groq:, openai:, companion")


def _addressed(part: str, rest: str) -> RouteSpec:
    found = _ADDRESSED.fullmatch(rest)
    if found is None:
        shown = part if "@" not in part else "openai:…"
        raise BadRouteList(shown, "needs an address and a model: openai:http://host:port/v1:<model>")
    if found["user"]:
        raise BadRouteList(
            f"openai:…@{found['host']}", "a key does not belong into the address, but into EVA_LLM_API_KEY"
        )
    if found["port"] and not 0 < int(found["port"]) <= _MAX_PORT:
        raise BadRouteList(part, f"{found['port']} is no port")
    if not (found["path"] or "").strip("/"):
        raise BadRouteList(part, "the address needs its version path, /v1 mostly")
    if not found["model"]:
        raise BadRouteList(part, "names no model behind the address")
    return RouteSpec(kind="openai", model=found["model"], base_url=found["url"].rstrip("/"))
