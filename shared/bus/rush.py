"""When a work item does not wait for its queue, and what becomes of its second copy. Pure.

A cluster whose node dies elects new leaders for the queues that it led, which takes 5 to 8 s: nothing is
confirmed, or nothing that is confirmed is given to anybody. An item that is held up is **rushed**: workers
are asked who is free, and one of them is given it directly. Its copy in the queue, if there is one, is for
nobody any more, so it does not matter that an item may be rushed which only seemed to be held up.

All times are seconds of one clock, which is passed in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

PATIENCE_S = 0.3
"""For the broker to say that it has an item."""
QUICK_S = 0.03
"""As ``PATIENCE_S``, from a queue that was silent just now: ten times what one needs that is not. Without
any, an item would go both ways at once whenever the queue has come back."""
SILENT_S = 2.0
"""A queue that did not confirm an item in time is gone round soon for so long, counted from the last."""
STORE_WITHIN_S = 2.0
"""Who has neither the queue's word nor a worker by then is told that the item is nowhere."""
BUSY_WITHIN_S = 5.0
"""As ``STORE_WITHIN_S``, in a cluster where there are workers and all are busy: there a queue comes back."""
STILL_S = 1.5
"""Longer than anything takes that is done about an item: this process stood still, and what it waits for may
have come meanwhile. Once, that time is not counted."""
UNTAKEN_S = 0.25
"""In a cluster: stored, and taken up by nobody. Doubled each time that nobody is free. An answer goes through
two queues, whose consumers may have lost their leaders together. Where it was only late, a worker is given it
a moment early, and its copy is for nobody."""
LYING_S = 0.05
"""As ``UNTAKEN_S``, from a queue in which an item was lying just now."""
WATCHED_FOR_S = 15.0
"""Two elections; then an item that is stored waits for its turn like any other."""
AGAIN_S = 0.1
"""Between two times that workers are asked while the queue says nothing."""
REMEMBERED = 8192
"""Items that a worker remembers; more than all workers together begin within ``KNOWN_FOR_S``."""
KNOWN_FOR_S = 60.0
"""As long as a queue keeps ids apart; then the same id may be another item."""


class Word(Enum):
    """What the queue said of an item."""

    NONE = auto()
    STORED = auto()
    NO_QUEUE = auto()
    """Nobody keeps such a queue, or nobody does now."""
    LOST = auto()
    """It was asked as often as it is asked, and said nothing."""


class Step(Enum):
    """What is to be done about an item."""

    WAIT = auto()
    RUSH = auto()
    DONE = auto()
    """It is where it belongs."""
    NOBODY = auto()
    """There is no queue, and no worker either."""
    NOWHERE = auto()
    """Nobody has confirmed it in time."""


class Trust:
    """How long one queue's word is waited for, and a worker's, after what was seen of them last."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s, self._silent_until, self._lies_until = patience_s, -1.0, -1.0

    def patience_s(self, now: float) -> float:
        """Returns how long an item published now waits before it is rushed."""
        return QUICK_S if now < self._silent_until else self._patience_s

    def untaken_s(self, now: float) -> float:
        """Returns how long an item stored now may lie in the queue before it is rushed."""
        return LYING_S if now < self._lies_until else UNTAKEN_S

    def confirmed(self, item: Item, now: float) -> None:
        """The queue has said in time that it has an item."""
        self._silent_until = -1.0
        item.stored(now, self.untaken_s(now))

    def missed(self, now: float) -> None:
        """It has not."""
        self._silent_until = now + SILENT_S

    def was_lying(self, now: float) -> None:
        """An item that it had was given to a worker past it, who had not got it."""
        self._lies_until = now + SILENT_S

    def was_given(self) -> None:
        """A worker has got an item from it."""
        self._lies_until = -1.0


@dataclass(kw_only=True)
class Item:
    """One item on its way to a worker."""

    begun_at: float
    patience_s: float
    is_watched: bool
    """Whether who takes it up says so: in a cluster."""
    word: Word = Word.NONE
    stored_at: float = 0.0
    is_taken: bool = False
    """A worker has it in hand, or had it."""
    is_deserted: bool = False
    """There was no worker when it was last asked for one."""
    asked: int = 0
    """How often workers were asked who is free."""
    asked_at: float = 0.0
    untaken_s: float = UNTAKEN_S
    """How long it may lie in its queue."""
    seen_at: float = field(init=False)
    """When it was last decided about."""
    is_forgiven: bool = False
    """Time in which the process stood still was taken off."""

    def __post_init__(self) -> None:
        self.seen_at = self.begun_at

    def stored(self, now: float, untaken_s: float = UNTAKEN_S) -> None:
        """The queue has it."""
        if self.word is not Word.STORED:
            self.word, self.stored_at, self.asked, self.untaken_s = Word.STORED, now, 0, untaken_s

    def nobody_free(self, now: float, *, is_deserted: bool) -> None:
        """Workers were asked in vain; ``is_deserted``: there are none."""
        self.asked, self.asked_at, self.is_deserted = self.asked + 1, now, is_deserted

    def step(self, now: float) -> tuple[Step, float]:
        """Returns what is to be done, and until when nothing is if it is to wait."""
        since, self.seen_at = self.seen_at, now
        if now - since > STILL_S and not self.is_forgiven and self.word is not Word.STORED:
            self.begun_at, self.is_forgiven = self.begun_at + now - since, True
        if self.is_taken:
            return Step.DONE, now
        if self.word is Word.STORED:
            return self._stored_step(now)
        if self.word is Word.NO_QUEUE and self.asked and self.is_deserted:
            return Step.NOBODY, now
        waits = self.is_watched and not self.is_deserted
        ends_at = self.begun_at + (BUSY_WITHIN_S if waits else STORE_WITHIN_S)
        if now >= ends_at or (self.word is Word.LOST and self.asked and not waits):
            return Step.NOWHERE, now
        due = self.begun_at + self.patience_s if not self.asked else self.asked_at + AGAIN_S
        if self.word is not Word.NONE and not self.asked:
            due = now
        return (Step.RUSH, now) if now >= due else (Step.WAIT, min(due, ends_at))

    def _stored_step(self, now: float) -> tuple[Step, float]:
        if not self.is_watched or now >= self.begun_at + WATCHED_FOR_S:
            return Step.DONE, now
        since = self.asked_at if self.asked else self.stored_at
        due = since + (UNTAKEN_S * 2**self.asked if self.asked else self.untaken_s)
        return (Step.RUSH, now) if now >= due else (Step.WAIT, due)


class Copy(Enum):
    """What a delivery is to the worker that gets it."""

    NEW = auto()
    SPARE = auto()
    """Somebody has it or had it: it is to be acknowledged, not to be done."""
    IN_HAND = auto()
    """This very worker is at it: what is said of the one holds for the other."""


@dataclass
class _Known:
    until: float
    is_rushed: bool
    is_in_hand: bool = False


@dataclass
class Ledger:
    """The items that one worker knows of, by their id; "" is no id and is never known."""

    capacity: int = REMEMBERED
    _known: OrderedDict[str, _Known] = field(default_factory=OrderedDict)

    def judge(self, item_id: str, number: int, now: float) -> Copy:
        """Returns what to do with a delivery from the queue. ``number``: 1 the first time.

        A first delivery of an id that came from the queue before is another item: the queue itself keeps
        ids apart for as long as they are to be kept apart.
        """
        known = self._find(item_id, now)
        if known is None:
            return Copy.NEW
        if known.is_in_hand:
            return Copy.IN_HAND
        return Copy.SPARE if known.is_rushed or number > 1 else Copy.NEW

    def knows(self, item_id: str, now: float) -> bool:
        """Whether somebody has the item or had it, as far as this worker was told."""
        return self._find(item_id, now) is not None

    def begin(self, item_id: str, now: float, *, is_rushed: bool) -> None:
        """This worker takes it up."""
        self._note(item_id, _Known(now + KNOWN_FOR_S, is_rushed, is_in_hand=True))

    def rushed_elsewhere(self, item_id: str, now: float) -> None:
        """Another worker was given it directly. Who has it in hand goes on."""
        known = self._find(item_id, now)
        if known is None or not known.is_in_hand:
            self._note(item_id, _Known(now + KNOWN_FOR_S, is_rushed=True))

    def end(self, item_id: str, *, is_done: bool) -> None:
        """It is done, or is to be done again by whoever gets it."""
        known = self._known.get(item_id)
        if known is None:
            return
        if is_done:
            known.is_in_hand = False
        else:
            del self._known[item_id]

    def _find(self, item_id: str, now: float) -> _Known | None:
        known = self._known.get(item_id)
        return known if known is not None and (known.is_in_hand or now < known.until) else None

    def _note(self, item_id: str, known: _Known) -> None:
        if not item_id:
            return
        self._known[item_id] = known
        self._known.move_to_end(item_id)
        if len(self._known) > self.capacity:
            self._known.popitem(last=False)


HAS, FREE, TAKEN, BUSY = b"has ", b"free ", b"taken", b"busy"
"""What workers answer: the first two to all that are asked, with their name behind the word."""


def choose(answers: Iterable[bytes]) -> tuple[bool, str]:
    """Returns whether a worker has the item already, and else the name of the first that is free, or ""."""
    free = ""
    for said in answers:
        if said.startswith(HAS):
            return True, ""
        if said.startswith(FREE) and not free:
            free = said.removeprefix(FREE).decode("ascii", "replace")
    return False, free
