"""Calls of functions as they stream: pieces by index, put together to whole calls.

Pure. A call is whole when the next one begins or the answer ends; it is given out then, and nothing can be
added to it. Some servers leave out the index or the id, or send each call whole under the same index: a new
id with a name begins a new call. Chunks are the SDKs' objects, which nobody has validated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from shared.messages import ToolUse

MAX_CALLS: Final = 32
MAX_ARGUMENT_CHARS: Final = 65_536
"""Of all calls of one answer."""


class BadCall(ValueError):
    """The provider's pieces do not make calls."""


@dataclass(slots=True)
class _Open:
    index: int | None
    id: str
    name: str
    arguments: str


class ToolDeltas:
    """The calls of one answer."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        """``new_id``: makes an id for a call that came without."""
        self._new_id = new_id
        self._open: _Open | None = None
        self._given: set[int | None] = set()
        self._calls = 0
        self._chars = 0

    @property
    def is_open(self) -> bool:
        """Whether a call has begun that is not whole yet."""
        return self._open is not None

    def feed(self, deltas: Iterable[Any]) -> list[ToolUse]:
        """Takes the next pieces; returns the calls that are whole now. Raises ``BadCall``."""
        whole: list[ToolUse] = []
        for delta in deltas:
            function = getattr(delta, "function", None)
            index = getattr(delta, "index", None)
            piece = _Open(
                index=index if isinstance(index, int) else None,
                id=_text(getattr(delta, "id", None)),
                name=_text(getattr(function, "name", None)),
                arguments=_arguments(getattr(function, "arguments", None)),
            )
            self._chars += len(piece.arguments)
            if self._chars > MAX_ARGUMENT_CHARS:
                raise BadCall("calls with too long arguments")
            if self._continues(piece):
                self._extend(piece)
            else:
                whole += self.finish()
                self._begin(piece)
        return whole

    def finish(self) -> list[ToolUse]:
        """The answer is at its end; returns the last call, if there is one. Raises ``BadCall``."""
        call, self._open = self._open, None
        if call is None:
            return []
        if not call.name:
            raise BadCall("a call of nothing")
        self._given.add(call.index)
        return [ToolUse(id=call.id or self._new_id(), name=call.name, arguments=call.arguments or "{}")]

    def _continues(self, piece: _Open) -> bool:
        call = self._open
        if call is None or (piece.index is not None and piece.index != call.index):
            return False
        is_another = bool(piece.id and call.id and piece.id != call.id and piece.name)
        is_nameless_another = piece.index is None and bool(piece.name and call.name and not piece.id)
        return not (is_another or is_nameless_another)

    def _extend(self, piece: _Open) -> None:
        assert self._open is not None
        self._open.id = self._open.id or piece.id
        self._open.name = self._open.name or piece.name
        self._open.arguments += piece.arguments

    def _begin(self, piece: _Open) -> None:
        if piece.index in self._given and not piece.name:
            raise BadCall("more of a call that was whole")
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise BadCall("too many calls")
        self._open = piece


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _arguments(value: object) -> str:
    """Some servers send the arguments as an object instead of its text."""
    return json.dumps(value) if isinstance(value, dict) else _text(value)
