"""The way round a queue that is held up, on a NATS server: ``shared.bus.rush`` decides, this does it.

Who publishes (``Sender``) waits for the queue's word first. Without it in time, it asks all workers of the
stage at once who is free, which finds one at the first go where a queue group would pick one that is busy;
whoever has the item says so instead. In a cluster it also learns from the workers that an item was taken
up, since an item can be stored and lie there: a queue and its consumer have leaders of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from nats.aio.msg import Msg

from shared import subjects
from shared.bus.nats_door import ITEM_ID, SUBJECT
from shared.bus.nats_link import Link
from shared.bus.nats_pull import TAKEN_BY
from shared.bus.nats_store import ApiFailed, confirmed, store, with_id
from shared.bus.rush import PATIENCE_S, TAKEN, Item, Step, Trust, Word, choose
from shared.errors import BusDown, EvaError, NoResponders, QueueFull, RequestTimedOut
from shared.observe import Log

log = Log("eva.bus")

ANSWER_WITHIN_S = 0.4
"""For workers to say who is free: one that computes a voice on a full machine may need a moment."""
GATHER_S = 0.02
"""After the first answer: who has the item already may be a moment slower than who is free."""
ACCEPT_WITHIN_S = 0.3
_NOBODY, _NO_LEADER = "503", 503


@dataclass(kw_only=True)
class _Parcel:
    """An item on its way, and what was heard of it."""

    subject: str
    payload: bytes
    message_id: str
    headers: dict[str, str]
    item: Item
    news: asyncio.Event = field(default_factory=asyncio.Event)
    failure: EvaError | None = None
    """What the queue refused it with."""


@dataclass
class _Answers:
    """What workers say who were asked once."""

    said: list[bytes] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)
    is_deserted: bool = False


class Sender:
    """Brings items to workers: by their queue, or past it."""

    def __init__(self, link: Link, *, patience_s: float = PATIENCE_S) -> None:
        self._link = link
        self._trust: defaultdict[str, Trust] = defaultdict(lambda: Trust(patience_s))
        """By the stage's subject."""
        self._name = subjects.new_token()
        self._watched: dict[str, _Parcel] = {}
        """By id: those that are stored, or rushed, and of which nobody has said that they are in hand."""
        self._watching: set[asyncio.Task[None]] = set()
        self._hearing: asyncio.Task[None] | None = None
        self._inbox, self._asked = "", 0
        self._answers: dict[str, _Answers] = {}
        """By the subject of the answer."""
        self.rushed = 0
        """Items that workers were given past the queue."""

    async def send(
        self, subject: str, payload: bytes, *, message_id: str, headers: dict[str, str] | None = None
    ) -> None:
        """Returns when the queue, or a worker, has the item, at most 2 s later (5 s in a cluster).

        Raises ``QueueFull``, ``BusDown``, ``NoResponders``.
        """
        now, trust = _clock()(), self._trust[subjects.rush(subject)]
        is_watched = self._link.is_clustered and bool(message_id)
        item = Item(begun_at=now, patience_s=trust.patience_s(now), is_watched=is_watched)
        parcel = _Parcel(
            subject=subject, payload=payload, message_id=message_id, headers=dict(headers or {}), item=item
        )
        if is_watched:
            await self._listen(parcel)
        try:
            if self._link.is_up:
                await self._store_once(parcel, trust)
            if item.word is not Word.STORED:
                trust.missed(_clock()())
                await self._go_round(parcel, trust)
        except BaseException:
            self._watched.pop(message_id, None)
            raise
        if item.step(_clock()())[0] is Step.DONE:
            self._watched.pop(message_id, None)
        else:
            self._begin_watching(parcel, trust)

    async def close(self) -> None:
        """Watches over nothing any more."""
        tasks = [*self._watching, *([self._hearing] if self._hearing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------ the queue

    async def _store_once(self, parcel: _Parcel, trust: Trust) -> None:
        try:
            await confirmed(
                self._link,
                parcel.subject,
                parcel.payload,
                timeout_s=parcel.item.patience_s,
                headers=with_id(parcel.headers, parcel.message_id),
            )
        except NoResponders:
            parcel.item.word = Word.NO_QUEUE
            return
        except ApiFailed as failed:
            if failed.status != _NO_LEADER:
                raise
            return
        except (RequestTimedOut, BusDown):
            return
        trust.confirmed(parcel.item, _clock()())

    async def _store(self, parcel: _Parcel, trust: Trust) -> None:
        item = parcel.item
        try:
            await store(
                self._link,
                parcel.subject,
                parcel.payload,
                message_id=parcel.message_id,
                headers=parcel.headers,
            )
        except NoResponders:
            item.word = Word.NO_QUEUE
        except QueueFull as full:
            parcel.failure = full
        except BusDown as error:
            item.word = Word.LOST
            log.warning("bus.not_stored", reason=str(error))
        else:
            trust.confirmed(item, _clock()())
        finally:
            parcel.news.set()

    # ------------------------------------------------------------ past the queue

    async def _go_round(self, parcel: _Parcel, trust: Trust) -> None:
        """Waits for the queue and asks the workers, until one of them has the item."""
        item, clock = parcel.item, _clock()
        storing = asyncio.create_task(self._store(parcel, trust), name="store")
        try:
            while item.word is not Word.STORED:
                if parcel.failure is not None:
                    raise parcel.failure
                step, until = item.step(clock())
                match step:
                    case Step.RUSH:
                        await self._rush(parcel)
                        if storing.done() and item.word in {Word.NO_QUEUE, Word.LOST}:
                            storing = asyncio.create_task(self._store(parcel, trust), name="store")
                    case Step.WAIT:
                        await _news(parcel, until - clock())
                    case Step.DONE:
                        return
                    case Step.NOBODY:
                        raise NoResponders(parcel.subject)
                    case Step.NOWHERE:
                        raise BusDown(f"nobody has confirmed an item for {parcel.subject}")
        finally:
            storing.cancel()
            await asyncio.gather(storing, return_exceptions=True)

    async def _rush(self, parcel: _Parcel) -> bool:
        """Gives an item to whoever is free, if anybody is; returns whether somebody was given it."""
        is_deserted = is_given = False
        with contextlib.suppress(BusDown, NoResponders, RequestTimedOut):
            answers = await self._ask(parcel)
            is_deserted = answers is None
            has_it, free = choose(answers or ())
            is_given = not has_it and bool(free) and await self._give(parcel, free)
            parcel.item.is_taken |= has_it or is_given
        if parcel.item.is_taken:
            log.info("bus.rushed", subject=subjects.rush(parcel.subject))
        else:
            parcel.item.nobody_free(_clock()(), is_deserted=is_deserted)
        return is_given

    async def _ask(self, parcel: _Parcel) -> list[bytes] | None:
        """Returns what workers answer, in the order of their coming; None: there are none."""
        await self._until_hearing()
        self._asked += 1
        reply, heard = f"{self._inbox}.{self._asked}", _Answers()
        self._answers[reply] = heard
        try:
            where = f"{subjects.rush(parcel.subject)}.free"
            await self._link.publish(where, parcel.message_id.encode(), reply=reply)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await heard.first.wait()
            if heard.said:
                await asyncio.sleep(GATHER_S)
        finally:
            del self._answers[reply]
        return None if heard.is_deserted else heard.said

    async def _answered(self, message: Msg) -> None:
        heard = self._answers.get(message.subject)
        if heard is None:
            return
        if (message.headers or {}).get("Status") == _NOBODY:
            heard.is_deserted = True
        else:
            heard.said.append(message.data)
        heard.first.set()

    async def _until_hearing(self) -> None:
        """Hears what workers say, from the first time on that this is needed. Raises ``BusDown``."""
        hearing = self._hearing
        if hearing is None or (hearing.done() and (hearing.cancelled() or hearing.exception())):
            self._inbox = self._link.new_inbox()
            hearing = self._hearing = asyncio.create_task(self._hear(), name="hear-workers")
        done, _ = await asyncio.wait({hearing}, timeout=ANSWER_WITHIN_S)
        if not done:
            raise BusDown("the broker does not answer")
        hearing.result()

    async def _hear(self) -> None:
        await self._link.subscribe(f"{self._inbox}.*", self._answered)
        if self._link.is_clustered:
            await self._link.subscribe(subjects.taken_up(self._name), self._taken_up)

    async def _give(self, parcel: _Parcel, consumer: str) -> bool:
        reply = await self._link.request(
            f"{subjects.rush(parcel.subject)}.to.{consumer}",
            parcel.payload,
            timeout_s=ACCEPT_WITHIN_S,
            headers={**parcel.headers, ITEM_ID: parcel.message_id, SUBJECT: parcel.subject},
        )
        self.rushed += reply.data == TAKEN
        return reply.data == TAKEN

    # ------------------------------------------------------------ stored, and taken up by nobody

    async def _listen(self, parcel: _Parcel) -> None:
        """Has workers say that they have the item in hand."""
        with contextlib.suppress(BusDown):
            await self._until_hearing()
            parcel.headers[TAKEN_BY] = subjects.taken_up(self._name)
            self._watched[parcel.message_id] = parcel

    async def _taken_up(self, message: Msg) -> None:
        parcel = self._watched.pop(message.data.decode("utf-8", "replace"), None)
        if parcel is not None:
            self._trust[subjects.rush(parcel.subject)].was_given()
            parcel.item.is_taken = True
            parcel.news.set()

    def _begin_watching(self, parcel: _Parcel, trust: Trust) -> None:
        task = asyncio.create_task(self._watch(parcel, trust), name="watch")
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _watch(self, parcel: _Parcel, trust: Trust) -> None:
        clock = _clock()
        try:
            while (step := parcel.item.step(clock()))[0] is not Step.DONE:
                if step[0] is Step.WAIT:
                    await _news(parcel, step[1] - clock())
                    continue
                trust.missed(clock())
                if await self._rush(parcel):
                    trust.was_lying(clock())
        finally:
            self._watched.pop(parcel.message_id, None)


async def _news(parcel: _Parcel, within_s: float) -> None:
    """Waits until something is heard of an item, or for so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, within_s)):
            await parcel.news.wait()
    parcel.news.clear()


def _clock() -> Callable[[], float]:
    return asyncio.get_running_loop().time
