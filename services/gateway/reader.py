"""The incoming half of ``WS /ws/chat``: what a client says, at the rate at which it may."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import Any

from fastapi import WebSocket

from services.gateway.chat_protocol import (
    AnyClientMessage,
    AudioIn,
    ErrorEvent,
    Ping,
    Pong,
    Start,
    Stop,
    UserText,
    parse_client,
)
from services.gateway.door import Door
from services.gateway.guests import Guest, LimitReached
from services.gateway.lasting import LastingSession
from services.gateway.mic import BYTES_PER_SAMPLE
from services.gateway.outbox import POLICY, Outbox
from services.gateway.passage import TAKE
from services.gateway.rates import Intake, RateLimited, Verdict
from services.gateway.session import Session
from services.gateway.till import Till
from shared.errors import BadInput, BusDown, EvaError
from shared.observe import Log

log = Log("eva.gateway")

NORMAL, INTERNAL_ERROR = 1000, 1011
OPEN_TIMEOUT_S = 5.0
RETRY_AFTER_MS = 1000
IDLE_SLACK = 0.9
"""An idle socket is closed after 0.9 to 1 of the time that it is given."""
CLEAN_CODES = frozenset({1000, 1001, 1005})
"""With these a client says good-bye, or its page does; by whatever else a connection ends, it is lost."""
BACKLOG = 1000
"""Messages that are kept while the session is being opened."""
LIMIT_TOLD_EVERY_S = 5.0


class Defect(EvaError):
    """Ours: an exception that nobody expected."""


class Reader:
    """The incoming half of a socket. It waits for nothing but the client.

    The first message that needs a session has one opened beside it; what comes meanwhile is kept, and handed
    over in order. Only of a client that sends more than ``BACKLOG`` messages into that nothing is read.
    """

    __slots__ = (
        "_backlog", "_door", "_gone", "_guest", "_intake", "_is_charged", "_limit_told_at", "_opening",
        "_outbox", "_outcome", "_patience", "_rate_hz", "_renew_at", "_session", "_settled", "_sink",
        "_tasks", "_time", "_wanted", "_websocket", "is_lost",
    )  # fmt: skip

    def __init__(self, websocket: WebSocket, door: Door, outbox: Outbox, guest: Guest) -> None:
        self._websocket, self._door, self._outbox = websocket, door, outbox
        self.is_lost = False
        """The client is gone without a good-bye: its session waits for it."""
        self._sink = Till(outbox, guest)
        self._guest, self._is_charged = guest, guest.is_charged
        self._session: Session | None = None
        self._opening: asyncio.Task[None] | None = None
        self._tasks = asyncio.TaskGroup()
        self._gone = asyncio.Event()
        self._settled = asyncio.Event()
        self._backlog: deque[AnyClientMessage | bytes] = deque()
        self._intake = Intake()
        self._wanted = Start()
        """What a session is opened with: kept where none could be opened, for what comes behind it."""
        self._rate_hz = AudioIn().rate_hz
        self._limit_told_at = -LIMIT_TOLD_EVERY_S
        self._patience: asyncio.Timeout | None = None
        """While it is read."""
        self._time = asyncio.get_running_loop().time
        self._renew_at = 0.0
        """From when on patience is renewed by what comes."""
        self._outcome: int | Exception | None = None
        """Of sound that was taken at once: what it is to end with."""

    async def run(self) -> None:
        """Reads until the client is gone, says ``stop``, or has been silent for too long."""
        code = INTERNAL_ERROR
        offered = self._websocket.scope.get("extensions", {}).get(TAKE)
        if offered is not None:
            offered["take"](self.hear)
        try:
            async with self._tasks:
                code = await self._read()
                self._gone.set()
        except Exception:
            code = INTERNAL_ERROR
            log.exception("socket.defect")
            self._tell(Defect("something broke inside EVA; it is in the log"))
        finally:
            self._outbox.finish(code)

    def hear(self, message: str | bytes) -> bool:
        """Takes sound as it comes; False: it is to be received, or what follows from it is."""
        session = self._session
        if self._patience is None or session is None or self._opening is not None:
            return False
        if isinstance(message, str) or self._outcome is not None:
            return False
        now = self._time()
        if now >= self._renew_at:
            self._renew(self._patience)
        try:
            seconds = len(message) / (BYTES_PER_SAMPLE * self._rate_hz)
            verdict = self._intake.sound(seconds, now)
            if verdict is not Verdict.TAKE:
                self._outcome = _refused(verdict)
            elif not self._sink.is_left:
                if self._is_charged:
                    self._give(session, message, seconds)
                else:
                    session.hear(message)
        except EvaError as error:
            self._tell(error)
        except Exception as defect:  # noqa: BLE001 - raised again by ``_read``
            self._outcome = defect
        return self._outcome is None

    async def _read(self) -> int:
        """Returns the code to close with."""
        try:
            async with asyncio.timeout(self._door.settings.gateway_idle_s) as self._patience:
                while (received := await self._websocket.receive())["type"] != "websocket.disconnect":
                    self._renew(self._patience)
                    try:
                        code = self._take(received) if self._outcome is None else self._ended()
                    except EvaError as error:
                        self._tell(error)
                        continue
                    if self._opening is not None and (code is not None or len(self._backlog) > BACKLOG):
                        await self._settled.wait()
                    if code is not None:
                        return code
            farewell = self._outbox.farewell
            is_ours = farewell is not None and farewell.code != NORMAL
            self.is_lost = not is_ours and received.get("code") not in CLEAN_CODES
        except TimeoutError:
            self._outbox.emit(ErrorEvent(code="idle_timeout", message="nothing was said for too long"))
        finally:
            self._patience = None
        return NORMAL

    def _renew(self, patience: asyncio.Timeout) -> None:
        """Begins to wait anew: now and then, not with each of 50 frames a second."""
        now, idle_s = self._time(), self._door.settings.gateway_idle_s
        if now >= self._renew_at:
            self._renew_at = now + (1 - IDLE_SLACK) * idle_s
            patience.reschedule(now + idle_s)

    def _ended(self) -> int | None:
        """Returns the code that sound taken at once is to be closed for; raises what it came to."""
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def _take(self, received: Any) -> int | None:
        """Handles one message, or keeps it; returns the code to close with if it was the last one."""
        pcm, now = received.get("bytes"), self._time()
        if pcm is not None:
            verdict = self._intake.sound(len(pcm) / (BYTES_PER_SAMPLE * self._rate_hz), now)
        else:
            verdict = self._intake.message(now)
        if verdict is not Verdict.TAKE:
            return _refused(verdict)
        message = pcm if pcm is not None else parse_client(received["text"])
        if self._opening is not None:
            self._backlog.append(message)
        else:
            self._handle(message)
        return NORMAL if isinstance(message, Stop) else None

    def _give(self, session: Session, pcm: bytes, seconds: float) -> None:
        """Charges sound, and has the session hear it; says now and then that the guest may use no more."""
        try:
            self._guest.purse.spend_audio(seconds)
        except LimitReached:
            now = time.monotonic()
            if now - self._limit_told_at < LIMIT_TOLD_EVERY_S:
                return
            self._limit_told_at = now
            raise
        session.hear(pcm)

    def _handle(self, message: AnyClientMessage | bytes) -> None:
        """Gives a message to the session; opens one first where it needs one."""
        session = self._session
        if self._sink.is_left:
            return  # somebody else has the session
        if isinstance(message, Start) and message.audio_in is not None:
            self._rate_hz = message.audio_in.rate_hz
        if session is None:
            self._first(message)
        elif isinstance(message, bytes):
            self._give(session, message, len(message) / (BYTES_PER_SAMPLE * self._rate_hz))
        else:
            if isinstance(message, UserText):
                self._guest.check()
            session.handle(message)

    def _first(self, message: AnyClientMessage | bytes) -> None:
        match message:
            case Start():
                self._wanted = message
                self._open(message)
            case UserText() | bytes():
                self._open(self._wanted, message)
            case Ping(id=id_):
                self._outbox.emit(Pong(id=id_))
            case _:
                pass  # nothing is going on that it could refer to

    def _open(self, start: Start, message: UserText | bytes | None = None) -> None:
        self._settled.clear()
        self._opening = self._tasks.create_task(self._keep(start, message), name="socket-session")

    async def _keep(self, start: Start, message: UserText | bytes | None) -> None:
        """Opens a session for a message, hands over what has come meanwhile, and keeps it to the end."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                self._session = await self._enter(start, stack)
                if message is not None:
                    self._backlog.appendleft(message)
            except EvaError as error:
                if isinstance(error, BadInput):
                    self._wanted = Start()
                self._tell(error)
            self._opening = None
            self._hand_over()
            if self._opening is None:
                self._settled.set()
            if self._session is not None:
                try:
                    await self._gone.wait()
                finally:
                    self._part(self._session)

    def _part(self, session: Session) -> None:
        """Lets a session whose client is lost wait for it."""
        if self.is_lost and isinstance(session, LastingSession) and session.client is self._sink:
            session.leave()

    async def _enter(self, start: Start, stack: contextlib.AsyncExitStack) -> Session:
        hub = self._door.require_core().hub
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                return await stack.enter_async_context(
                    hub.session(start, self._sink, owner=self._guest.key_id)
                )
        except TimeoutError as error:
            raise BusDown(f"no session within {OPEN_TIMEOUT_S:g} s") from error

    def _hand_over(self) -> None:
        """Handles what has come; one of it may need a session anew, and the rest waits on."""
        while self._backlog and self._opening is None:
            try:
                self._handle(self._backlog.popleft())
            except EvaError as error:
                self._tell(error)

    def _tell(self, error: EvaError) -> None:
        is_theirs = isinstance(error, BadInput)
        wait_s = getattr(error, "retry_after_s", None)
        self._outbox.emit(
            ErrorEvent(
                code=error.code,
                message=str(error),
                param=error.param if isinstance(error, BadInput) else None,
                retry_after_ms=None
                if is_theirs
                else RETRY_AFTER_MS
                if wait_s is None
                else int(1000 * wait_s),
            )
        )


def _refused(verdict: Verdict) -> int | None:
    """Returns the code to close with, if it has come to that; raises ``RateLimited`` to have it told."""
    if verdict is Verdict.COMPLAIN:
        raise RateLimited("this is more than anybody says; slow down, or be closed")
    return POLICY if verdict is Verdict.CLOSE else None
