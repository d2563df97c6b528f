"""Functions of other servers as a language model knows them: names, arguments, results as text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from shared.messages import ToolSpec

MAX_RESULT_BYTES = 16_384
MAX_NAME_CHARS = 64
"""As providers of models take it."""
_CUT = " … (cut)"
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


def names(tools: Mapping[str, Sequence[ToolSpec]]) -> dict[str, tuple[str, ToolSpec]]:
    """Returns by the name for the model the server and the function there.

    The server that comes first keeps a name that several have; those of the others begin with their server's.
    """
    named: dict[str, tuple[str, ToolSpec]] = {}
    for server, specs in tools.items():
        for spec in specs:
            named[_free(spec.name, server, named)] = (server, spec)
    return named


def _free(name: str, server: str, taken: Mapping[str, object]) -> str:
    fit = _UNFIT.sub("_", name)[:MAX_NAME_CHARS] or "_"
    if fit in taken:
        fit = f"{server}_{fit}"[:MAX_NAME_CHARS]
    number = 2
    stem = fit
    while fit in taken:
        fit = f"{stem[: MAX_NAME_CHARS - 4]}_{number}"
        number += 1
    return fit


def arguments(text: str) -> dict[str, Any]:
    """Reads a call's arguments as the model wrote them. Raises ``ValueError`` if they are no JSON object."""
    try:
        read = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("no JSON") from error
    if not isinstance(read, dict):
        raise ValueError("no object")  # noqa: TRY004 - for the caller both are the model's mistake
    return read


def flat(content: Iterable[Any], structured: Any = None) -> str:
    """Returns a result as text: blocks of text as they are, others by what they are, one below the other."""
    parts = [part for part in map(_block, content) if part]
    if not parts and structured is not None:
        parts = [json.dumps(structured, ensure_ascii=False)]
    return capped("\n".join(parts))


def _block(block: Any) -> str:
    kind = getattr(block, "type", "")
    if kind == "text":
        return str(block.text)
    if kind == "resource":
        return str(getattr(block.resource, "text", "") or f"[{block.resource.uri}]")
    if kind == "resource_link":
        return f"[{block.uri}]"
    return f"[{kind}]"


def capped(text: str) -> str:
    """Cuts what is longer than ``MAX_RESULT_BYTES``, and says so."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= MAX_RESULT_BYTES:
        return encoded.decode()
    return encoded[: MAX_RESULT_BYTES - len(_CUT.encode())].decode(errors="ignore") + _CUT
