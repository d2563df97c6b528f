"""Connections that cannot hurt: uvicorn's protocols with the deadlines and bounds that it lacks.

Nothing here knows what is served. A WebSocket is bounded frame by frame, before anything of it reaches the
application.
"""

from __future__ import annotations

import asyncio
import functools
from http import HTTPStatus
from typing import Any, ClassVar

from starlette.responses import Response
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from websockets.frames import Frame
from websockets.http11 import Request

from services.gateway.lobby import MESSAGE_BYTES, Lobby, part, reset
from services.gateway.passage import Passage
from services.gateway.problems import problem
from services.gateway.rates import FRAMES_AT_ONCE, FRAMES_BURST, FRAMES_S, Bucket, body_due_s
from services.gateway.wire_frames import BINARY, TEXT, whole

HEAD_BYTES = 65_536
PIECE_BYTES = 4096
"""What is looked at in one go: a quarter of a megabyte of pings, read as one, takes a third of a second."""
MESSAGE_BYTES_OF = {"/v1/realtime": 4 * 1024 * 1024}
"""A minute of sound, in base64. The protocol allows 15 MiB at once, which is more than five: longer than any
utterance, and, parsed in one go, long enough to be heard as a gap in every other conversation."""
MAX_FRAGMENTS = 256
"""Of one message."""
CONTROLS_S, CONTROLS_BURST = 10.0, 100.0
"""Pings and pongs of the protocol."""
POLICY, TRY_AGAIN_LATER, BAD_TEXT = 1008, 1013, 1007
"""Codes that a socket is closed with."""
ABORT = "eva.abort"
"""ASGI extension: ends the connection at once, whatever is still to be sent."""


class Visitor(HttpToolsProtocol):
    """One HTTP connection, until it becomes a WebSocket."""

    lobby: ClassVar[Lobby]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._head_bytes: int | None = 0
        """So much came of a head that is not complete; None: none is awaited."""
        self._body_bytes, self._body_since = 0, 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._held = b""
        """What has come while others begin; meanwhile nothing more is read."""
        self._is_over = False
        if self.lobby.enter(self, transport, len(self.connections)):
            self._timer = self.loop.call_later(self.lobby.patience.head_s, self._late)
        else:
            reset(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets it."""
        self._is_over = True
        super().connection_lost(exc)
        self._arrived()

    def data_received(self, data: bytes) -> None:
        """Takes in more of a request; what may begin one, when it is its turn."""
        is_body = self._head_bytes is None and self._timer is not None
        if is_body or self._is_over:
            self._take(data)
            return
        self._held += data
        if self._held == data and not self.lobby.turnstile.enter(self._begin):
            self.transport.pause_reading()

    def _begin(self) -> None:
        """It is its turn."""
        data, self._held = self._held, b""
        if not (self._is_over or self.flow.read_paused):
            self.transport.resume_reading()
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Takes in more of a request."""
        if self._is_over:
            return
        if self._head_bytes is None and self._timer is None:  # the next request of this connection
            self._head_bytes = 0
            self._timer = self.loop.call_later(self.lobby.patience.head_s, self._late)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > HEAD_BYTES:
            self._refuse(431, "too_large", f"the head of a request may have {HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """Is no stranger any more; now its body has to come."""
        self._arrived()
        self._body_bytes, self._body_since = 0, self.loop.time()
        self._timer = self.loop.call_later(self.lobby.patience.body_s, self._stalls)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes in more of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is there."""
        self._arrived()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Becomes a WebSocket, where it may."""
        self._arrived()
        refusal = self.lobby.refuse()
        if refusal is None:
            super().handle_websocket_upgrade()
        else:
            self._is_over = True
            self.transport.write(_raw(refusal))
            self.transport.close()

    def _arrived(self) -> None:
        """What was waited for is there."""
        self.lobby.know(self)
        self._head_bytes = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        """The head has not come in time."""
        if self._held:  # it may have: that it was not looked at yet is not its fault
            self._timer = self.loop.call_later(self.lobby.patience.head_s, self._late)
        elif self._head_bytes:
            self._refuse(
                408, "stalled", f"a request's head has to come within {self.lobby.patience.head_s:g} s"
            )
        else:
            self.lobby.count("silent_connection")
            reset(self.transport)

    def _stalls(self) -> None:
        """Looks whether the body comes fast enough; while we do not take it, that is not its fault."""
        now = self.loop.time()
        if self.flow.read_paused:
            self._body_bytes, self._body_since = 0, now
        left_s = body_due_s(self._body_bytes, self.lobby.patience.body_s) - (now - self._body_since)
        if left_s > 0:
            self._timer = self.loop.call_later(max(left_s, 0.1), self._stalls)
        else:
            self._refuse(408, "stalled", "the body of the request does not come")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answers with an error where nothing was answered yet, and closes the connection."""
        self._arrived()
        self.lobby.count(code)
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_raw(problem(status, code, message)))
        self._is_over = True
        part(self.transport)


class Connection(Passage):
    """One WebSocket: can be ended at once, and ends whoever sends what nobody sends who talks."""

    lobby: ClassVar[Lobby]
    __slots__ = ("_controls", "_fragments_bytes", "_frames", "_is_over", "_paid_frames")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._frames, self._paid_frames = Bucket(FRAMES_S, FRAMES_BURST), 0
        """The latter were taken out of the bucket in advance, which is so asked seldom."""
        self._controls = Bucket(CONTROLS_S, CONTROLS_BURST)
        self._fragments_bytes = 0
        self._is_over = False

    def handle_connect(self, event: Request) -> None:
        """Bounds messages as the path needs it, and offers the application to abort the connection."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.conn.max_message_size = MESSAGE_BYTES_OF.get(self.scope["path"], MESSAGE_BYTES)
            self.scope["extensions"] = {
                **(self.scope["extensions"] or {}),
                ABORT: {"abort": functools.partial(reset, self.transport)},
            }

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets it; one that ends without a good-bye is told of as that, not as one without a reason."""
        if self.handshake_complete and self.conn.close_rcvd is None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        super().connection_lost(exc)
        self._is_over = True
        self.lobby.hold(self, 0)

    def keepalive_timeout(self) -> None:
        """Does not wait for the farewell to be read: nobody is there."""
        super().keepalive_timeout()
        reset(self.transport)

    def data_received(self, data: bytes) -> None:
        """Takes in what has come: whole messages at once, else piece by piece."""
        at, size = 0, len(data)
        if self.is_fresh or self.begins_message():
            while at < size and (message := whole(data, at)) is not None:
                kind, content, at = message
                if self._paid_frames:
                    self._paid_frames -= 1
                elif not self._may_speak():
                    return
                if kind != BINARY:
                    self._hand_on(kind, content)
                elif (taker := self.taker) is None or not taker(content):  # nearly all goes to it
                    self.keep(content)
        if at < size:
            self._take_pieces(data, at)

    def _take_pieces(self, data: bytes, at: int) -> None:
        """Takes in what is not a whole message."""
        for begin in range(at, len(data), PIECE_BYTES):
            if self._is_over:
                return
            super().data_received(data[begin : begin + PIECE_BYTES])
        unfinished = len(self.conn.reader.buffer) + self._fragments_bytes
        if not self._is_over and not self.lobby.hold(self, unfinished):
            self._end(TRY_AGAIN_LATER, "large_messages", "too many large messages are on their way")

    async def send(self, message: ASGISendEvent) -> None:
        """Sends; a handshake that was answered with a refusal is complete, too."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True

    def handle_text(self, event: Frame) -> None:
        """Takes a text, or its beginning."""
        if self._counts(event):
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Takes a binary message, or its beginning."""
        if self._counts(event):
            super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """Takes a fragment."""
        if len(self.frames) >= MAX_FRAGMENTS and not self._is_over:
            self._end(POLICY, "fragments", f"a message may come in {MAX_FRAGMENTS} pieces")
        elif self._counts(event):
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answers a ping."""
        if self._may_go_on():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Takes an answer to a ping of ours, or one to none."""
        if self._may_go_on():
            super().handle_pong(event)

    def send_receive_event_to_app(self) -> None:
        """Hands a message on; a text that is none ends the connection, and is no error of ours."""
        self._fragments_bytes = 0
        data, self.frames = b"".join(self.frames), []
        self._hand_on(TEXT if self.curr_msg_data_type == "text" else BINARY, data)

    def _hand_on(self, kind: int, data: bytes) -> None:
        try:
            self.hand_on(data if kind == BINARY else data.decode())
        except UnicodeDecodeError:
            self._end(BAD_TEXT, "bad_text", "a text that is no UTF-8")

    def _counts(self, event: Frame) -> bool:
        """Takes note of a frame of data; False if there were too many."""
        if not self._is_over:
            self._fragments_bytes += 0 if event.fin else len(event.data)
        return self._may_speak()

    def _may_speak(self) -> bool:
        """Whether one frame of data more may come."""
        if self._is_over:
            return False
        if not self._paid_frames:
            self._paid_frames = self._frames.most((FRAMES_AT_ONCE, 1), self.loop.time())
        if self._paid_frames:
            self._paid_frames -= 1
            return True
        self._end(POLICY, "too_many_frames", "so many messages nobody says")
        return False

    def _may_go_on(self) -> bool:
        if self._is_over or self._controls.take(1.0, self.loop.time()):
            return not self._is_over
        self._end(POLICY, "ping_flood", "so many pings nobody needs")
        return False

    def _end(self, code: int, reason: str, message: str) -> None:
        """Closes the connection for what the client does; nothing more of it is taken in."""
        self._is_over, self._paid_frames = True, 0
        self.shut()
        self.lobby.count(reason)
        self.lobby.hold(self, 0)
        self.stop_keepalive()
        if not self.close_sent and not self.transport.is_closing():
            self.conn.fail(code, message)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        part(self.transport)


def _raw(response: Response) -> bytes:
    """Returns a response as it is sent where no application is asked."""
    line = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}".encode()
    headers = (b"%b: %b" % header for header in (*response.raw_headers, (b"connection", b"close")))
    return b"\r\n".join([line, *headers, b"", bytes(response.body)])


def protocols(lobby: Lobby) -> tuple[type[Visitor], type[Connection]]:
    """Returns the protocols of a server whose connections gather in this lobby."""
    return type("Visitor", (Visitor,), {"lobby": lobby}), type("Connection", (Connection,), {"lobby": lobby})
