"""A look at a broker that somebody else runs, before anything is started on it."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from eva.place import CannotStart

OLDEST = (2, 9, 23)
"""Older servers lose or redeliver work in ways that were fixed since."""
TIMEOUT_S = 10.0


def without_password(url: str) -> str:
    """Returns a broker's address as it may be shown."""
    first, _, _ = url.partition(",")
    parts = urlsplit(first if "://" in first else f"nats://{first}")
    return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or 4222}"


def version_of(text: str) -> tuple[int, ...]:
    """Returns ``2.10.7-RC.1`` as ``(2, 10, 7)``; what is no number counts as 0."""
    parts = text.lstrip("v").split("-")[0].split(".")
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


def judge(info: dict[str, Any], shown_url: str) -> str:
    """Returns the version that a server's INFO tells. Pure.

    Raises:
        CannotStart: it is too old, or has no JetStream.
    """
    version = str(info.get("version", ""))
    if version_of(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise CannotStart(f"the broker at {shown_url} is too old: {version or 'unknown'}, needed is {oldest}")
    if not info.get("jetstream"):
        raise CannotStart(
            f"the broker at {shown_url} has no JetStream", hint="Start it with: nats-server -js"
        )
    return version


async def probe(url: str) -> str:
    """Returns the version of the broker at ``url``, from the first line that a NATS server says.

    Raises:
        CannotStart: nobody or no broker answers, it is too old, or has no JetStream.
    """
    shown = without_password(url)
    first, _, _ = url.partition(",")
    parts = urlsplit(first if "://" in first else f"nats://{first}")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 4222)
            try:
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        raise CannotStart(f"no broker answers at {shown}") from error
    word, _, said = line.decode(errors="replace").partition(" ")
    try:
        info = json.loads(said) if word == "INFO" else None
    except json.JSONDecodeError:
        info = None
    if not isinstance(info, dict):
        raise CannotStart(f"what answers at {shown} is no NATS server")
    return judge(info, shown)
