"""Where a broker is, as ``EVA_NATS_URL`` says: addresses, and whose certificate is trusted.

``tls://host:4222?ca=/path/to/ca.pem``: an authority of one's own is named behind the address, as databases'
URLs do it, so that a worker on another machine needs one variable.
"""

from __future__ import annotations

import ssl
from urllib.parse import parse_qs, urlsplit

from shared.errors import BusDown


def shown(url: str) -> str:
    """Returns a server's address without credentials."""
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    return f"{parts.scheme}://{parts.hostname}:{parts.port or 4222}"


def read_address(url: str) -> tuple[list[str], ssl.SSLContext | None]:
    """Returns the servers (``url`` names one, or several with commas) and how they prove themselves.

    Raises:
        BusDown: the authority's file cannot be read.
    """
    parts = [part.strip() for part in url.split(",") if part.strip()]
    servers = [part.partition("?")[0] for part in parts]
    files = [file for part in parts for file in parse_qs(part.partition("?")[2]).get("ca", [])]
    if not any(server.startswith("tls://") for server in servers):
        return servers, None
    try:
        return servers, ssl.create_default_context(cafile=files[0] if files else None)
    except OSError as error:  # ssl.SSLError is one
        raise BusDown(f"{files[0]} is no certificate of an authority: {error.strerror or error}") from error
