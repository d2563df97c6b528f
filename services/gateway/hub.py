"""All sessions of one gateway process: routes what comes from the bus to the session that it belongs to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from services.gateway.chat_protocol import ErrorEvent, Start
from services.gateway.conversation import Conversation
from services.gateway.loudspeaker import Sink
from services.gateway.memory import check_session_id
from services.gateway.session import Session
from services.gateway.surroundings import Surroundings
from shared import subjects
from shared.bus import Subscription
from shared.errors import BusDown, EvaError
from shared.messages import AnyMessage, SessionRecord
from shared.observe import Log

log = Log("eva.gateway")

FINISH_S = 2.0
"""How long what is still to be published may take when a client has gone."""
_TAKEN_OVER = ErrorEvent(code="session_taken_over", message="another client has resumed this session")


class Hub:
    """Opens sessions and hands them their messages."""

    def __init__(self, around: Surroundings) -> None:
        self.sessions: dict[str, Session] = {}
        """The newest of each conversation, by its id."""
        self._by_key: dict[str, Session] = {}
        self._around = around

    async def subscribe(self) -> list[Subscription]:
        """Begins to listen to all workers' events, and reads the work along as checkpoints."""
        bus, gw = self._around.bus, self._around.gw
        events = await bus.subscribe(subjects.events_of_gateway(gw), self._deliver)
        try:
            return [events, await bus.subscribe(subjects.work_of_gateway("tts", gw), self._deliver)]
        except EvaError:  # who tries again must not hear everything twice
            await events.close()
            raise

    def _deliver(self, subject: str, message: AnyMessage) -> None:
        session = self._by_key.get(subjects.session_of(subject))
        if session is not None:
            session.deliver(message)

    @contextlib.asynccontextmanager
    async def session(self, start: Start, sink: Sink, *, remember: bool = True) -> AsyncIterator[Session]:
        """Opens a session, or resumes the one that ``start`` names; a client that had it loses it.

        Raises:
            BadInput: the session id cannot be one.
        """
        sid = subjects.new_token() if start.session_id is None else check_session_id(start.session_id)
        record = await self._load(sid) if remember and start.session_id is not None else None
        older = self.sessions.get(sid)
        session = Session(sid, self._around, sink, Conversation(record), remember=remember)
        self.sessions[sid] = self._by_key[session.key] = session
        if older is not None:
            older.finish(because=_TAKEN_OVER)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(session.run(), name=f"session {sid}")
                resumed = _resumed(start, record, sid)
                session.configure(resumed, is_resumed=record is not None)
                try:
                    yield session
                finally:
                    session.finish()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(asyncio.shield(running), FINISH_S)
                    running.cancel()
        finally:
            del self._by_key[session.key]
            if self.sessions.get(sid) is session:
                del self.sessions[sid]

    async def _load(self, sid: str) -> SessionRecord | None:
        try:
            return await self._around.memory.load(sid)
        except BusDown as error:
            log.warning("memory.not_loaded", session=sid, reason=str(error))
            return None


def _resumed(start: Start, record: SessionRecord | None, sid: str) -> Start:
    """Returns the settings with what the person had chosen before, where nothing else is said."""
    if record is None:
        return start
    return Start(
        session_id=sid,
        voice=start.voice or record.voice,
        language=start.language or record.language,
        audio_in=start.audio_in,
        audio_out=start.audio_out,
        end_silence_ms=start.end_silence_ms,
    )
