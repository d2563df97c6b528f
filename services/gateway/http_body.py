"""Bodies of requests, with bounds on their length, on their time and on how many are held."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from fastapi import Request
from starlette.requests import ClientDisconnect

from services.gateway.chat_protocol import choices
from services.gateway.door import Busy
from services.gateway.problems import ClientGone, Stalled, TooLarge
from shared.errors import BadInput

MAX_BODY_BYTES = 65_536
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long a body may take, seconds."""

    stalled_s: float = 10.0
    """Nothing comes for so long."""
    body_s: float = 120.0
    """In all."""


PATIENCE = Patience()


class Room:
    """Room for so many large bodies in the gateway's memory."""

    def __init__(self, places: int) -> None:
        self._places, self._taken = places, 0

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """One of them, for as long as the context lasts. Raises ``Busy``."""
        if self._taken >= self._places:
            raise Busy(f"{self._taken} recordings are being transcribed, as many as there may be")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


def declared_bytes(request: Request) -> int:
    """Returns how long the body says that it is; 0: it does not."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else 0


async def read_parts(
    request: Request, most: int, patience: Patience = PATIENCE, *, what: str = "a body"
) -> AsyncGenerator[bytes, None]:
    """Yields the body as it comes.

    Raises:
        TooLarge: it has more than ``most`` bytes; where it says so itself, before any of it is read.
        Stalled, ClientGone: it does not come, or nobody sends it any more.
    """
    if declared_bytes(request) > most:
        raise TooLarge(f"{what} may have {most} bytes")
    size, until, parts = 0, time.monotonic() + patience.body_s, request.stream()
    while True:
        try:
            async with asyncio.timeout(min(patience.stalled_s, until - time.monotonic())):
                part = await anext(parts, None)
        except TimeoutError:
            reason = f"nothing came for {patience.stalled_s:g} s, or not all within {patience.body_s:g} s"
            raise Stalled(reason) from None
        except ClientDisconnect:
            raise ClientGone("the client is gone") from None
        if part is None:
            return
        size += len(part)
        if size > most:
            raise TooLarge(f"{what} may have {most} bytes")
        yield part


async def read_body(request: Request, kind: type[T], *, most: int = MAX_BODY_BYTES) -> T:
    """Reads a JSON body.

    Raises:
        TooLarge, Stalled, ClientGone: as ``read_parts``.
        BadInput: it is no JSON, or a field is missing or of the wrong type; names it.
    """
    body = b"".join([part async for part in read_parts(request, most)])
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        reason, found, path = str(error).rpartition(" - at `$.")
        param = path.rstrip("`") if found else _missing(str(error))
        raise BadInput((reason or path) + choices(reason, param), param=param) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}") from error


def _missing(reason: str) -> str | None:
    """Returns the field of the body itself that msgspec misses (``… missing required field `text```)."""
    before, found, field = reason.partition("missing required field `")
    return field.partition("`")[0] if found and before.startswith("Object ") else None
