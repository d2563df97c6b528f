"""What waits to be sent to one client: the sink of its session.

TCP's own back-pressure is useless for cancelling (about 64 s of speech were measured to fit into its
buffers before a write blocks), so the queue is ours: sound of an interrupted turn is taken out of it again,
and a client that lets it run full is told so and let go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.chat_protocol import (
    AudioEvent,
    ErrorEvent,
    Interrupted,
    ServerEvent,
    TurnDone,
    TurnStarted,
)

MAX_EVENTS = 4000
MAX_AUDIO_MS = 60_000.0
POLICY, TRY_AGAIN_LATER = 1008, 1013
SESSION_ENDED = frozenset({"session_taken_over", "session_erased"})


@dataclass(frozen=True, slots=True)
class Item:
    """One event, and the binary message behind it if it is an ``AudioEvent``."""

    event: ServerEvent
    payload: bytes


@dataclass(frozen=True, slots=True)
class Farewell:
    """How the socket is to be closed."""

    code: int
    reason: str


class Outbox:
    """A queue with one reader. ``count_error`` is told the code of each error that the client is told."""

    def __init__(
        self,
        count_error: Callable[[str], None],
        *,
        max_audio_ms: float = MAX_AUDIO_MS,
        max_events: int = MAX_EVENTS,
    ) -> None:
        self.farewell: Farewell | None = None
        self._count_error = count_error
        self._max_audio_ms, self._max_events = max_audio_ms, max_events
        self._items: deque[Item] = deque()
        self._audio_ms = 0.0
        self._more = asyncio.Event()
        self._turns: set[str] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def emit(self, event: ServerEvent, payload: bytes = b"") -> None:
        """Queues an event; nothing any more once the queue has been finished."""
        self._follow(event)
        if self.farewell is not None:
            return
        self._items.append(Item(event, payload))
        self._more.set()
        if isinstance(event, AudioEvent):
            self._audio_ms += event.duration_ms
        if self._audio_ms > self._max_audio_ms or len(self._items) > self._max_events:
            self._items.clear()
            self._let_go("slow_client", "the client does not read what it is sent", TRY_AGAIN_LATER)
        elif isinstance(event, ErrorEvent) and event.code in SESSION_ENDED:
            # Not at once: the terminal event of the turn in flight is on its way.
            asyncio.get_running_loop().call_soon(self.finish, POLICY, event.code)

    def drop_audio(self, turn_id: str) -> None:
        """Takes out the sound of this turn that waits."""
        kept = [item for item in self._items if _turn_of_audio(item.event) != turn_id]
        self._items = deque(kept)
        self._audio_ms = sum(item.event.duration_ms for item in kept if isinstance(item.event, AudioEvent))

    def finish(self, code: int, reason: str = "") -> None:
        """Takes nothing more; ``get`` returns None once what waits has been taken. The first call counts."""
        if self.farewell is None:
            self.farewell = Farewell(code, reason)
        self._more.set()

    async def get(self) -> Item | None:
        """Returns the next item; None at the end."""
        while not self._items:
            if self.farewell is not None:
                return None
            self._more.clear()
            await self._more.wait()
        item = self._items.popleft()
        if isinstance(item.event, AudioEvent):
            self._audio_ms -= item.event.duration_ms
        return item

    async def quiet(self) -> None:
        """Returns when no turn is in flight."""
        await self._quiet.wait()

    def _follow(self, event: ServerEvent) -> None:
        match event:
            case TurnStarted(turn_id=turn_id):
                self._turns.add(turn_id)
            case TurnDone(turn_id=turn_id) | Interrupted(turn_id=turn_id):
                self._turns.discard(turn_id)
            case ErrorEvent(turn_id=turn_id, code=code):
                self._count_error(code)
                self._turns.discard(turn_id or "")
            case _:
                return
        (self._quiet.clear if self._turns else self._quiet.set)()

    def _let_go(self, code: str, message: str, close_code: int) -> None:
        event = ErrorEvent(code=code, message=message)
        self._follow(event)
        self._items.append(Item(event, b""))
        self.finish(close_code, code)


def _turn_of_audio(event: ServerEvent) -> str | None:
    return event.turn_id if isinstance(event, AudioEvent) else None
