"""What waits to be sent to one client: the sink of its session.

TCP's own back-pressure is useless for cancelling (about 64 s of speech were measured to fit into its
buffers before a write blocks), so the queue is ours. Sound leaves at the pace at which it is played
(``pace``); sound of an interrupted turn is taken out again; a client that falls behind is told so and let go.

What the order guarantees, whatever waits:

- Sound, and the words and shapes that belong to it, keep their order among themselves.
- What ends a turn comes behind all of its sound, and the next turn comes behind it.
- What tells of a turn (``Place.BESIDE_SOUND``) does not wait for the sound in front of it.
- What concerns no answer, or how it is played (``Place.FIRST``), waits for nothing: that somebody
  speaks, a transcript, a pause. What has the same place keeps its order.

With the end of the queue (``finish``) what still waits leaves as fast as it is taken.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import msgspec

from services.gateway.chat_protocol import (
    AudioEvent,
    ErrorEvent,
    FinalEvent,
    Interrupted,
    OngoingTurn,
    Pause,
    Ready,
    Resume,
    ServerEvent,
    SpeechStartedEvent,
    TurnDone,
    TurnStarted,
    VisemesEvent,
    WordsEvent,
)
from services.gateway.pace import FOR_EVER, Pace
from services.gateway.parked import Unsent

MAX_EVENTS = 20_000
MAX_AUDIO_MS = 900_000.0
MAX_BYTES = 32 * 1024 * 1024
SLOW_S = 5.0
"""A client is let go once its playback has stood still for so long, by its own fault (``Pace.stalled_s``)."""
POLICY, TRY_AGAIN_LATER = 1008, 1013
SESSION_ENDED = frozenset({"session_taken_over", "session_erased"})


class Place(Enum):
    """Where in the queue something is put."""

    IN_LINE = auto()
    """Behind everything."""
    BESIDE_SOUND = auto()
    """In front of the sound at the end of the queue."""
    FIRST = auto()
    """In front of all sound."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """One event, and the binary message behind it if it has one."""

    event: Any
    """A ``ServerEvent``, or what a dialect tells its client."""
    payload: bytes = b""
    """Sound as it is sent, or before it is encoded: what is dropped need not be."""
    sound_of: str | None = None
    """The turn whose sound this is or belongs to: it leaves at the pace of the sound, is dropped with it."""
    audio_ms: float = 0.0
    """Duration of the sound."""
    place: Place = Place.IN_LINE
    """Of what is no sound."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """How the socket is to be closed."""

    code: int
    reason: str


Leave = Callable[[Callable[[Item], Any], Item], bool]


class Outbox:
    """A queue with one reader.

    Args:
        count_error: is told the code of each error that the client is told.
        ahead_s: how far sound may be ahead of its playing; infinite: it leaves as fast as it is taken.
        max_audio_ms: sound that may wait.
        max_events: items that may wait.
        clock: seconds, monotonic.
    """

    __slots__ = (
        "_audio_ms", "_bytes", "_clock", "_count_error", "_encode", "_is_idle", "_is_spoken_to", "_items",
        "_leave", "_max_audio_ms", "_max_events", "_more", "_pace", "_quiet", "_turns", "farewell",
    )  # fmt: skip

    def __init__(
        self,
        count_error: Callable[[str], None],
        *,
        ahead_s: float = FOR_EVER,
        max_audio_ms: float = MAX_AUDIO_MS,
        max_events: int = MAX_EVENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.farewell: Farewell | None = None
        self._count_error = count_error
        self._pace, self._clock = Pace(ahead_s), clock
        self._max_audio_ms, self._max_events = max_audio_ms, max_events
        self._items: deque[tuple[Item, float]] = deque()
        self._audio_ms, self._bytes = 0.0, 0
        self._more = asyncio.Event()
        self._leave: Leave = _stays
        self._encode: Callable[[Item], Any] = _as_it_is
        self._is_idle = False
        """Whoever takes from the queue waits, and nothing waits in it."""
        self._turns: set[str] = set()
        self._is_spoken_to = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    def emit(self, event: ServerEvent, payload: bytes = b"") -> None:
        """Queues an event of ours; nothing any more once the queue has been finished."""
        if type(event) is AudioEvent:  # the most frequent by far
            ms = event.duration_ms
            item = Item(event, payload, event.turn_id, ms)
            if self._is_idle:
                now = self._clock()
                if not self._pace.wait_s(ms, now) and self._leave(self._encode, item):
                    self._pace.leave(ms, now, now)
                    return
            self.put(item)
            return
        self.follow(event)
        self.put(item_of(event, payload))
        if isinstance(event, ErrorEvent) and event.code in SESSION_ENDED:
            # Not at once: the terminal event of the turn in flight is on its way.
            asyncio.get_running_loop().call_soon(self.finish, POLICY, event.code)

    def put(self, item: Item) -> None:
        """Queues what is ready to be sent; a dialect that puts its own events lets ``follow`` see ours."""
        if self.farewell is not None:
            return
        now = self._clock()
        if item.sound_of is None:
            if isinstance(item.event, Pause):
                self._pace.hold(now)
            elif isinstance(item.event, Resume):
                self._pace.release(now)
        if self._is_idle and self._leaves_now(item, now):
            return
        self._is_idle = False
        self._items.insert(self._place(item), (item, now))
        self._audio_ms += item.audio_ms
        self._bytes += len(item.payload)
        self._more.set()
        if (
            self._audio_ms > self._max_audio_ms
            or len(self._items) > self._max_events
            or self._bytes > MAX_BYTES
        ):
            self._let_go()

    def leave_by(self, leave: Leave, encode: Callable[[Item], Any]) -> None:
        """What need not wait is given to this function in place of being queued, if it returns True.

        It gets what makes an item messages, and the item.
        """
        self._leave, self._encode = leave, encode

    def drop_audio(self, turn_id: str) -> None:
        """Takes out the sound of this turn that waits; what the client had of it is over."""
        self._items = deque(entry for entry in self._items if entry[0].sound_of != turn_id)
        self._audio_ms = sum(item.audio_ms for item, _ in self._items)
        self._bytes = sum(len(item.payload) for item, _ in self._items)
        self._pace.clear()
        self._more.set()

    def abandon(self) -> Unsent:
        """Takes out all that waits, and forgets the turns in flight: they go on elsewhere."""
        unsent = Unsent([item.event for item, _ in self._items], self._audio_ms)
        self._items.clear()
        self._audio_ms, self._bytes = 0.0, 0
        self._turns.clear()
        self._is_spoken_to = False
        self._quiet.set()
        self._more.set()
        return unsent

    def finish(self, code: int, reason: str = "") -> None:
        """Takes nothing more; ``get`` returns None once what waits has been taken. The first call counts."""
        if self.farewell is None:
            self.farewell = Farewell(code, reason)
        self._is_idle = False
        self._more.set()

    async def get(self) -> Item | None:
        """Returns the next item once it may leave; None at the end."""
        while (wait_s := self._wait_s()) > 0:
            self._is_idle = not self._items
            self._more.clear()
            await self._for(wait_s)
        self._is_idle = False
        if not self._items:
            return None
        item, queued_at = self._items.popleft()
        self._audio_ms -= item.audio_ms
        self._bytes -= len(item.payload)
        if item.sound_of is not None:
            self._pace.leave(item.audio_ms, queued_at, self._clock())
            if self._pace.stalled_s > SLOW_S and self.farewell is None:
                self._let_go()
                return await self.get()
        return item

    async def quiet(self) -> None:
        """Returns when no turn is in flight and nobody speaks, before anything else can happen."""
        while not self._quiet.is_set():
            await self._quiet.wait()

    def follow(self, event: ServerEvent) -> None:
        """Takes note of what begins and ends, and of errors, whichever way the client is told."""
        match event:
            case AudioEvent():  # the most frequent by far
                return
            case SpeechStartedEvent():
                self._is_spoken_to = True
            case FinalEvent():  # a turn that follows begins before anybody else can look
                self._is_spoken_to = False
            case TurnStarted(turn_id=turn_id):
                self._turns.add(turn_id)
            case Ready(turn=OngoingTurn(turn_id=turn_id, is_over=False)):
                self._turns.add(turn_id)
            case TurnDone(turn_id=turn_id) | Interrupted(turn_id=turn_id):
                self._turns.discard(turn_id)
            case ErrorEvent(turn_id=turn_id, code=code):
                self._count_error(code)
                self._turns.discard(turn_id or "")
            case _:
                return
        (self._quiet.clear if self._turns or self._is_spoken_to else self._quiet.set)()

    def _leaves_now(self, item: Item, now: float) -> bool:
        """Lets an item leave at once, with nothing in front of it; returns whether it has left."""
        if item.sound_of is None:
            return self._leave(self._encode, item)
        if self._pace.wait_s(item.audio_ms, now) > 0 or not self._leave(self._encode, item):
            return False
        self._pace.leave(item.audio_ms, now, now)
        return True

    def _wait_s(self) -> float:
        """Returns how long nothing can be taken; 0: something, or the end, is there."""
        if self.farewell is not None:
            return 0.0
        if not self._items:
            return FOR_EVER
        item = self._items[0][0]
        return 0.0 if item.sound_of is None else self._pace.wait_s(item.audio_ms, self._clock())

    async def _for(self, wait_s: float) -> None:
        """Waits for so long, or for news."""
        timer = None
        if wait_s < FOR_EVER:
            timer = asyncio.get_running_loop().call_later(wait_s, self._more.set)
        try:
            await self._more.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _place(self, item: Item) -> int:
        """Returns the place in the queue for an item."""
        end = len(self._items)
        if item.sound_of is not None or item.place is Place.IN_LINE:
            return end
        if item.place is Place.FIRST:
            return next((at for at, (other, _) in enumerate(self._items) if other.sound_of is not None), end)
        while end and self._items[end - 1][0].sound_of is not None:
            end -= 1
        return end

    def _let_go(self) -> None:
        """Says to a client that does not keep up that it is over, and nothing else any more."""
        self._items.clear()
        event = ErrorEvent(code="slow_client", message="the client does not read what it is sent")
        self.follow(event)
        self._items.append((Item(event), self._clock()))
        self._audio_ms, self._bytes = 0.0, 0
        self.finish(TRY_AGAIN_LATER, "slow_client")


def _stays(_encode: Callable[[Item], Any], _item: Item) -> bool:
    return False


def _as_it_is(item: Item) -> Item:
    return item


def item_of(event: ServerEvent, payload: bytes = b"") -> Item:
    """Returns one of our own events as it is queued."""
    match event:
        case AudioEvent(turn_id=turn_id, duration_ms=duration_ms):
            return Item(event, payload, sound_of=turn_id, audio_ms=duration_ms)
        case WordsEvent(turn_id=turn_id) | VisemesEvent(turn_id=turn_id):
            return Item(event, sound_of=turn_id)
        case TurnDone() | Interrupted() | ErrorEvent(turn_id=str()):
            return Item(event)
        case Pause() | Resume():
            return Item(event, place=Place.FIRST)
        case _:
            has_turn = getattr(event, "turn_id", None) is not None
            return Item(event, place=Place.BESIDE_SOUND if has_turn else Place.FIRST)
