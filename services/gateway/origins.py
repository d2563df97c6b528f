"""Which web pages may speak to this gateway. Pure.

A browser names the page that opens a socket or posts (https://datatracker.ietf.org/doc/html/rfc6454), and no
page can forge or suppress it; so the list is exact and holds whether a key is asked for or not. Who names no
origin is no browser: it passes, because it could as well name any it liked, and because no stock client but
a browser names one. Where no key is asked for there is one more trap: a page whose *own* host name is made to
point here (DNS rebinding) has the same origin as we have. So the host is then to be an address or a name that
no stranger can hand out.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
Place = tuple[str, str, int]
"""Scheme, host in lower case, port."""


def read_origin(text: str) -> Place | None:
    """Returns the parts of an origin; None if no page on the web can have it (``null``, a file)."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    beyond = (parts.path, parts.query, parts.fragment)
    if parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc or any(beyond):
        return None
    if text != text.strip() or any(mark in text for mark in "?#\\") or host.endswith("."):
        return None
    return parts.scheme, host, port if port is not None else _DEFAULT_PORTS[parts.scheme]


def read_host(text: str, scheme: str) -> tuple[str, int] | None:
    """Returns host and port of a ``Host`` header; where it names no port, the scheme's."""
    place = read_origin(f"{scheme}://{text}")
    return None if place is None else (place[1], place[2])


def is_local(host: str) -> bool:
    """Whether a host is this machine, by a name that nobody else can give away."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_fixed(host: str) -> bool:
    """Whether no DNS server decides where a host is: it is an address, or ``localhost``."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def is_welcome(origin: str | None, host: str, allowed: frozenset[str], *, is_keyless: bool) -> bool:
    """Whether a page of this origin may speak to us, who are reached by ``host`` (the header's).

    ``allowed``: origins as ``read_allowed`` returns them, and ``*`` for all.
    """
    if origin is None:
        return True
    place = read_origin(origin.lower())
    if place is None:
        return False
    if "*" in allowed or spell(place) in allowed or is_local(place[1]):
        return True
    ours = read_host(host.lower(), place[0])
    return ours == place[1:] and (not is_keyless or is_fixed(place[1]))


def spell(place: Place) -> str:
    """Returns an origin as a browser spells it: a port that goes without saying is left out."""
    scheme, host, port = place
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{name}:{port}"


def read_allowed(text: str) -> frozenset[str]:
    """Returns an allow-list with commas between its origins, or ``*``.

    Raises:
        ValueError: an entry is no origin; names it.
    """
    allowed = set()
    for entry in filter(None, (part.strip().lower() for part in text.split(","))):
        place = read_origin(entry)
        if place is None and entry != "*":
            raise ValueError(
                f"{entry!r} is no origin: scheme, host and perhaps a port, as https://eva.example:8443"
            )
        allowed.add(entry if place is None else spell(place))
    return frozenset(allowed)
