"""``WS /v1/realtime``: one reader that never waits for an answer, one writer with a queue of its own.

EVA's extension: ``?session_id=`` goes on with the memory of an earlier session (its ``session.id``), which it
ends wherever it still goes on; of an answer in flight the words that were heard become an item. The protocol
has no word for going on in the middle of an answer, so that is left to ``WS /ws/chat``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from fastapi import WebSocket
from msgspec.structs import replace
from starlette.datastructures import QueryParams

from services.gateway import problems
from services.gateway.door import Door
from services.gateway.guests import Guest, guest_of
from services.gateway.hub import Hub
from services.gateway.memory import check_session_id
from services.gateway.outbox import POLICY, Item, Outbox, Place
from services.gateway.passage import TAKE
from services.gateway.rates import Intake, RateLimited, Verdict
from services.gateway.reader import IDLE_SLACK, INTERNAL_ERROR, NORMAL, OPEN_TIMEOUT_S
from services.gateway.realtime.context import Context
from services.gateway.realtime.dialect import Dialect
from services.gateway.realtime.errors import ErrorDetail, RealtimeError
from services.gateway.realtime.events import AnyClientEvent, Append, ErrorEvent, parse
from services.gateway.realtime.formats import duration_ms
from services.gateway.realtime.items import Items
from services.gateway.realtime.line import Line, limits_of
from services.gateway.realtime.names import Names
from services.gateway.realtime.session import initial, update
from services.gateway.realtime.session_types import SessionConfig
from services.gateway.websocket import SEND_TIMEOUT_S, SlowClient, Writer, abort
from shared.errors import BadInput, BusDown, EvaError
from shared.messages import SessionRecord
from shared.observe import Log
from shared.subjects import new_token

log = Log("eva.gateway")

DEFAULT_MODEL = "gpt-realtime"
PREFIX = "sess_"


async def realtime(websocket: WebSocket, door: Door, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
    """Serves one socket to its end; who cannot be let in is told so by the answer to the handshake."""
    outbox = Outbox(door.metrics.error, ahead_s=door.settings.gateway_ahead_s)
    guest = guest_of(websocket.scope)
    with contextlib.ExitStack() as stack:
        try:
            hub = door.require_core().hub
            sid, config = configured(websocket.query_params, guest, door.settings.session_ttl_s)
            stack.enter_context(door.seat(outbox, guest))
        except EvaError as refused:
            door.metrics.error(refused.code)
            await websocket.send_denial_response(problems.of_error(refused))
            return
        await websocket.accept(subprotocol=guest.subprotocol)
        try:
            await _serve(websocket, _Opened(door, hub, outbox, guest, sid, config), send_timeout_s)
        except* SlowClient:
            log.warning("socket.slow_client")
            door.metrics.error("slow_client")
            abort(websocket)


def configured(asked: QueryParams, guest: Guest, ttl_s: float) -> tuple[str, SessionConfig]:
    """Returns the name of EVA's session, and the client's settings as they are at the beginning.

    Raises:
        BadInput: the session's id cannot be one, or the client secret was made with settings that are none.
    """
    given = dict(guest.session or {})
    sid = check_session_id(asked.get("session_id", PREFIX + new_token()).removeprefix(PREFIX))
    is_transcribing = "transcription" in {asked.get("intent"), given.get("type")}
    model = str(asked.get("model") or given.get("model") or DEFAULT_MODEL)
    config = initial(
        PREFIX + sid,
        model=model,
        expires_at=int(time.time() + ttl_s),
        kind="transcription" if is_transcribing else "realtime",
    )
    return sid, update(config, given) if given else config


class _Opened:
    """A socket that was accepted, and what it needs."""

    def __init__(
        self, door: Door, hub: Hub, outbox: Outbox, guest: Guest, sid: str, config: SessionConfig
    ) -> None:
        self.door, self.hub, self.outbox, self.guest = door, hub, outbox, guest
        self.sid, self.config = sid, config


async def _serve(websocket: WebSocket, opened: _Opened, send_timeout_s: float) -> None:
    names = Names(voices=opened.door.settings.realtime_voices, models=opened.door.settings.realtime_models)
    is_resumed = "session_id" in websocket.query_params
    context = Context(Items(await _loaded(opened) if is_resumed else None))
    dialect = Dialect(opened.config, context, names, lambda: limits_of(opened.guest))
    async with asyncio.TaskGroup() as tasks:
        line = Line(dialect, opened.hub, opened.outbox, opened.guest, tasks)
        writer = Writer(websocket, opened.outbox, line.encode)
        tasks.create_task(writer.run(send_timeout_s), name="socket-writer")
        code = INTERNAL_ERROR
        try:
            async with _session(opened, line):
                code = await _Reader(websocket, opened, line).run()
        except EvaError as error:
            _tell(opened.outbox, error)
        except Exception:
            log.exception("socket.defect")
        finally:
            line.finish()
            opened.outbox.finish(code)


@contextlib.asynccontextmanager
async def _session(opened: _Opened, line: Line) -> AsyncIterator[None]:
    """Opens EVA's session, whose first event is the client's."""
    dialect = line.dialect
    start = replace(dialect.start, session_id=opened.sid)
    owner = opened.guest.key_id
    async with opened.hub.session(start, line, conversation=dialect.context, owner=owner) as line.session:
        line.perform(dialect.open())
        yield


async def _loaded(opened: _Opened) -> SessionRecord | None:
    """Returns what an earlier session remembers; a memory that cannot be reached costs the memory."""
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            return await opened.hub.recall(opened.sid, owner=opened.guest.key_id)
    except (BusDown, TimeoutError) as error:
        log.warning("memory.not_loaded", session=opened.sid, reason=str(error))
        return None


class _Reader:
    """The incoming half of a socket. It waits for nothing but the client."""

    def __init__(self, websocket: WebSocket, opened: _Opened, line: Line) -> None:
        self._websocket, self._line, self._outbox = websocket, line, opened.outbox
        self._idle_s = opened.door.settings.gateway_idle_s
        self._intake = Intake()
        self._patience: asyncio.Timeout | None = None
        """While it is read."""
        self._renew_at = 0.0
        """From when on patience is renewed by what comes."""
        self._is_closed = False
        self._defect: Exception | None = None

    async def run(self) -> int:
        """Reads until the client is gone, or has been silent for too long; returns the code to close with."""
        offered = self._websocket.scope.get("extensions", {}).get(TAKE)
        try:
            async with asyncio.timeout(self._idle_s) as self._patience:
                if offered is not None:
                    offered["take"](self.take)
                while (received := await self._websocket.receive())["type"] != "websocket.disconnect":
                    text = received.get("text")
                    if not self.take(received["bytes"] if text is None else text):
                        if self._defect is not None:
                            raise self._defect
                        return POLICY
        except TimeoutError:
            _tell(self._outbox, _Idle("nothing was said for too long"))
        finally:
            self._patience = None
        return NORMAL

    def take(self, message: str | bytes) -> bool:
        """Handles a message as it comes; False if it was not: the reading is over, or ends with it."""
        if self._patience is None or self._is_closed or self._defect is not None:
            return False
        now = asyncio.get_running_loop().time()
        if now >= self._renew_at:
            self._renew_at = now + (1 - IDLE_SLACK) * self._idle_s
            self._patience.reschedule(now + self._idle_s)
        try:
            self._is_closed = not self._take(message)
        except Exception as defect:  # noqa: BLE001 - raised again by ``run``
            self._defect = defect
        return not self._is_closed and self._defect is None

    def _take(self, message: str | bytes) -> bool:
        """Handles one message; False if the client is to be closed."""
        event_id: str | None = None
        try:
            if isinstance(message, bytes):
                refusal = "Events are text; sound is base64 in input_audio_buffer.append."
                raise RealtimeError(refusal, code="invalid_event")
            event = parse(message)
            event_id = event.event_id
            if self._may(event):
                self._line.perform(self._line.dialect.take(event, time.monotonic()))
        except _Closed:
            return False
        except EvaError as error:
            _tell(self._outbox, error, event_id)
        return True

    def _may(self, event: AnyClientEvent) -> bool:
        """Whether the client may send this now. Raises ``RateLimited``, ``LimitReached``, ``_Closed``."""
        now = time.monotonic()
        if isinstance(event, Append):
            wanted = self._line.dialect.config.audio.input.format
            seconds = duration_ms(wanted, len(event.audio)) / 1000
            verdict = self._intake.sound(seconds, now)
            if verdict is Verdict.TAKE:
                return self._line.may_hear(seconds)
        else:
            verdict = self._intake.message(now)
        if verdict is Verdict.COMPLAIN:
            raise RateLimited("this is more than anybody says; slow down, or be closed")
        if verdict is Verdict.CLOSE:
            raise _Closed
        return verdict is Verdict.TAKE


class _Closed(Exception):
    """The client has gone on although it was told."""


class _Idle(EvaError):
    """Nothing was said for too long."""

    code = "idle_timeout"


def _tell(outbox: Outbox, error: EvaError, event_id: str | None = None) -> None:
    """Answers a mistake, of the client's or ours."""
    if isinstance(error, RealtimeError):
        detail = error.of(event_id)
    else:
        kind = "invalid_request_error" if isinstance(error, BadInput) else "server_error"
        detail = ErrorDetail(type=kind, code=error.code, message=str(error), event_id=event_id)
    outbox.put(Item(ErrorEvent(error=detail), place=Place.FIRST))
