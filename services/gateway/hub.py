"""All sessions of one gateway process: routes what comes from the bus to the session that it belongs to.

A session is a task of the hub's, not of its client's connection: a client that is lost may come back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from services.gateway.chat_protocol import Has, Start
from services.gateway.claims import Verdict, as_told, judge, open_record
from services.gateway.conversation import Conversation, Dialogue
from services.gateway.lasting import ERASED, TAKEN_OVER, LastingSession
from services.gateway.loudspeaker import Sink
from services.gateway.memory import check_session_id, name_of
from services.gateway.parked import Client
from services.gateway.session import Session
from services.gateway.surroundings import Surroundings
from shared import subjects
from shared.bus import Subscription
from shared.errors import BusDown, EvaError, NoResponders
from shared.messages import AnyMessage, SessionClaim, SessionHandedOver, SessionRecord, SessionTaken
from shared.observe import Log

log = Log("eva.gateway")

FINISH_S = 2.0
"""How long what is still to be published may take when a client has gone. What is to be remembered is stored
beside, however long the store takes: a cluster may be electing its leader."""
STORE_S = 4.0
"""How long that may take when the gateway itself goes."""
CLAIM_S = 1.0
"""How long a gateway that holds a session may take to hand it over; then its memory has to do."""
NOTHING = Has(turn_id="", ms=0.0)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a session is opened."""

    remember: bool
    is_live: bool
    conversation: Dialogue | None
    owner: str


class Hub:
    """Opens sessions and hands them their messages."""

    def __init__(self, around: Surroundings) -> None:
        self.sessions: dict[str, Session] = {}
        """The newest of each conversation, by its name (``memory.name_of``)."""
        self._by_key: dict[str, Session] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        """By the session's key."""
        self._insisting: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """By the session's key: it is to be told again who holds it."""
        self.around = around

    async def subscribe(self) -> list[Subscription]:
        """Begins to listen to all workers' events, and reads the work along as checkpoints."""
        bus, gw = self.around.bus, self.around.gw
        made: list[Subscription] = []
        try:
            made.append(await bus.subscribe(subjects.events_of_gateway(gw), self._deliver))
            made.append(await bus.subscribe(subjects.work_of_gateway("tts", gw), self._deliver))
            made.append(await bus.subscribe(subjects.TAKEN_ALL, self._taken))
        except EvaError:  # who tries again must not hear everything twice
            for subscription in made:
                await subscription.close()
            raise
        return made

    def _deliver(self, subject: str, message: AnyMessage) -> None:
        session = self._by_key.get(subjects.session_of(subject))
        if session is not None:
            session.deliver(message)

    @contextlib.asynccontextmanager
    async def session(
        self,
        start: Start,
        sink: Sink,
        *,
        remember: bool = True,
        is_live: bool = True,
        conversation: Dialogue | None = None,
        owner: str = "",
    ) -> AsyncIterator[Session]:
        """Opens a session, or resumes the one that ``start`` names; a client that had it loses it.

        With a ``Client`` as its sink it outlives the context for a while, where its ``leave`` was called.

        ``is_live``: somebody listens, so that silence has to be bridged; not so where a file is made.
        ``conversation``: what was said before, kept by the caller; nothing is loaded then.
        ``owner``: the id of the API key that it belongs to; another key's session is none of that name.

        Raises:
            BadInput: the session id cannot be one.
        """
        sid = subjects.new_token() if start.session_id is None else check_session_id(start.session_id)
        kind = _Kind(remember, is_live, conversation, owner)
        session = self._come_back(sid, start, sink, owner) or await self._open(sid, start, sink, kind)
        running = self._running[session.key]
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(_watch(running), name=f"watch {sid}")
                try:
                    yield session
                finally:
                    watching.cancel()
        finally:
            if not isinstance(session, LastingSession) or session.client is sink:
                await _end(session, running)

    async def claim(self, sid: str, has: Has = NOTHING, *, owner: str = "") -> SessionRecord | None:
        """Returns what is remembered of a session, having ended it wherever it goes on; None: nothing is.

        ``has``: what its client has of a turn.
        """
        name = name_of(sid, owner)
        claim = SessionClaim(gw=self.around.gw, turn_id=has.turn_id, ms=has.ms, heard=has.heard)
        older, record = self.sessions.get(name), None
        if older is not None and not older.is_finished:
            record = older.hand_over(claim, TAKEN_OVER)
        elif older is not None:
            await asyncio.wait({self._running[older.key]}, timeout=FINISH_S)  # it is being stored
        else:
            record = await self._ask_holder(name, claim)
        if record is None or not (record.turns or record.pending):
            return await self._load(sid, owner)
        self.around.memory.keep_again(sid, owner=owner)
        return record

    async def recall(self, sid: str, *, owner: str = "") -> SessionRecord | None:
        """As ``claim``, for who cannot go on with a turn: its question stands among what was said."""
        record = await self.claim(sid, owner=owner)
        return open_record(record, now=0.0, within_s=0.0, can_go_on=False)[0]

    async def erase(self, sid: str, *, owner: str = "") -> bool:
        """Ends a session wherever it goes on and forgets what was said; False if there was none.

        Raises:
            BadInput: the id cannot be one.
            BusDown: the store cannot be reached.
        """
        name = name_of(sid, owner)
        live = self.sessions.get(name)
        if live is not None:
            live.finish(because=ERASED)
            was_live = True
        else:
            claim = SessionClaim(gw=self.around.gw, erases=True)
            was_live = await self._ask_holder(name, claim) is not None
        return await self.around.memory.erase(sid, owner=owner) or was_live

    async def close(self) -> None:
        """Ends all sessions, those whose clients are waited for, too."""
        sessions = list(self._by_key.values())
        for session in sessions:
            session.finish()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=FINISH_S)
        for session in sessions:
            session.hurry()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=STORE_S)
        for running in self._running.values():
            running.cancel()

    def _come_back(self, sid: str, start: Start, sink: Sink, owner: str) -> LastingSession | None:
        session = self.sessions.get(name_of(sid, owner))
        if not isinstance(session, LastingSession) or not isinstance(sink, Client):
            return None
        if not session.can_come_back(start):
            return None
        session.come_back(sink, msgspec.structs.replace(start, session_id=sid))
        return session

    async def _open(self, sid: str, start: Start, sink: Sink, kind: _Kind) -> Session:
        around = self.around if kind.is_live else self.around.unbridged()
        record, pending, has = None, None, start.has or NOTHING
        if start.session_id is not None and kind.remember and kind.conversation is None:
            record, pending = open_record(
                await self.claim(sid, has, owner=kind.owner),
                now=around.wall(),
                within_s=around.policy.turn_s + around.grace_s,
                can_go_on=isinstance(sink, Client),
            )
        make = LastingSession if isinstance(sink, Client) else Session
        session = make(
            sid,
            around,
            sink,  # type: ignore[arg-type] # a client, where one is needed
            kind.conversation or Conversation(record),
            remember=kind.remember,
            owner=kind.owner,
        )
        older = self.sessions.get(session.name)
        self.sessions[session.name] = self._by_key[session.key] = session
        if older is not None:
            older.finish(because=TAKEN_OVER)
        is_named = start.session_id is not None
        is_answered_for = kind.remember and (is_named or isinstance(session, LastingSession))
        running = self._run(session, is_named=is_named) if is_answered_for else self._run_alone(session)
        self._running[session.key] = asyncio.create_task(running, name=f"session {sid}")
        resumed = _resumed(start, record, sid)
        if pending is not None and isinstance(session, LastingSession):
            session.take_up(resumed, as_told(pending, has, own_id=f"{sid}-{pending.turn}"))
        else:
            session.configure(resumed, is_resumed=record is not None)
        return session

    # ------------------------------------------------------------ who holds it

    async def _run(self, session: Session, *, is_named: bool) -> None:
        """Runs a session to its end, and hands it over to a gateway that asks for it."""
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(self._answer_for(session, is_named=is_named))
            await self._run_alone(session)
            answering.cancel()

    async def _run_alone(self, session: Session) -> None:
        try:
            await session.run()
        finally:
            del self._running[session.key], self._by_key[session.key]
            if self.sessions.get(session.name) is session:
                del self.sessions[session.name]

    async def _answer_for(self, session: Session, *, is_named: bool) -> None:
        def give(claim: AnyMessage) -> SessionHandedOver:
            assert isinstance(claim, SessionClaim)
            if claim.erases:
                self.around.memory.keep_no_more(session.sid, owner=session.owner)
            because = ERASED if claim.erases else TAKEN_OVER
            return SessionHandedOver(record=session.hand_over(claim, because))

        try:
            asked = await self.around.bus.serve(subjects.claim(session.name), give)
        except BusDown as error:
            log.warning("session.not_answered_for", session=session.sid, reason=str(error))
            return
        told = SessionTaken(sid=session.name, key=session.key, gw=self.around.gw)
        insisting = self._insisting[session.key]
        if is_named:
            insisting.set()
        try:
            while await insisting.wait():
                insisting.clear()
                with contextlib.suppress(BusDown):
                    await self.around.bus.publish(subjects.taken(session.name), told)
        finally:
            del self._insisting[session.key]
            with contextlib.suppress(BusDown):
                await asked.close()

    async def _ask_holder(self, name: str, claim: SessionClaim) -> SessionRecord | None:
        try:
            reply = await self.around.bus.request(subjects.claim(name), claim, timeout_s=CLAIM_S)
        except NoResponders:
            return None
        except EvaError as error:
            log.warning("session.not_handed_over", session=name, reason=str(error))
            return None
        return reply.record if isinstance(reply, SessionHandedOver) else None

    def _taken(self, _subject: str, message: AnyMessage) -> None:
        """Another gateway holds a session, as it says.

        Within one gateway the later session holds it: keys of one millisecond do not tell which that is.
        """
        if not isinstance(message, SessionTaken) or message.gw == self.around.gw:
            return
        session = self.sessions.get(message.sid)
        if session is None or session.is_finished:
            return
        match judge(session.key, message.key):
            case Verdict.YIELD:
                session.finish(because=TAKEN_OVER)
            case Verdict.INSIST:
                self._insisting[session.key].set()
            case Verdict.IGNORE:
                pass

    async def _load(self, sid: str, owner: str) -> SessionRecord | None:
        try:
            return await self.around.memory.load(sid, owner=owner)
        except BusDown as error:
            log.warning("memory.not_loaded", session=sid, reason=str(error))
            return None


async def _watch(running: asyncio.Task[None]) -> None:
    """Lets a session's defect end whoever uses it."""
    await asyncio.shield(running)


async def _end(session: Session, running: asyncio.Task[None]) -> None:
    session.finish()
    try:
        await asyncio.wait({running}, timeout=FINISH_S)
    finally:
        session.hurry()


def _resumed(start: Start, record: SessionRecord | None, sid: str) -> Start:
    """Returns the settings with what the person had chosen before, where nothing else is said."""
    if record is None:
        return start
    return msgspec.structs.replace(
        start,
        session_id=sid,
        voice=start.voice or record.voice,
        language=start.language or record.language,
    )
