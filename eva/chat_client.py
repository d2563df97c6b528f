"""EVA's WebSocket from the client's side: what ``eva say``, ``eva talk`` and ``eva demo`` share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import msgspec
import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from eva.credentials import authorization, refusal
from services.gateway.chat_protocol import (
    AudioEvent,
    ClientMessage,
    ErrorEvent,
    Filler,
    FinalEvent,
    Flush,
    Interrupted,
    PartialEvent,
    Pause,
    Pong,
    Ready,
    Resume,
    SegmentEvent,
    ServerEvent,
    SpeechStartedEvent,
    SpeechStoppedEvent,
    Start,
    Token,
    ToolCallEvent,
    TurnDone,
    TurnStarted,
    VisemesEvent,
    WordsEvent,
)
from shared.errors import EvaError

AnyServerEvent = (
    Ready | SpeechStartedEvent | SpeechStoppedEvent | PartialEvent | FinalEvent | TurnStarted | Token
    | SegmentEvent | AudioEvent | WordsEvent | VisemesEvent | Filler | ToolCallEvent | Flush | Pause | Resume
    | TurnDone | Interrupted | ErrorEvent | Pong
)  # fmt: skip

EARS_WITHIN_S = 10.0
"""So long ears are waited for that EVA asks for again: theirs may just be starting anew."""

_decoder = msgspec.json.Decoder(AnyServerEvent)
_encoder = msgspec.json.Encoder()


class NotRunning(EvaError):
    """No EVA answers at this address."""

    code = "not_running"

    def __init__(self, url: str) -> None:
        super().__init__(f"EVA is not running at {url}: start it with `make run` or `eva up`")
        self.url = url


class SocketLost(EvaError):
    """EVA closed the conversation, or said something that this client does not understand."""

    code = "socket_lost"


class Refused(SocketLost):
    """EVA answers the handshake with a denial: says why, and what helps."""

    code = "refused"

    def __init__(self, refused: InvalidStatus) -> None:
        response = refused.response
        super().__init__(refusal(response.status_code, bytes(response.body or b"")))
        wait_s = response.headers.get("retry-after", "")
        self.hint = f"Try again in {wait_s} s." if wait_s else ""
        """What the person at the command can do."""


class ChatSocket:
    """An open conversation."""

    def __init__(self, socket: ws.ClientConnection, ready: Ready) -> None:
        self._socket = socket
        self.ready = ready

    async def send(self, message: ClientMessage) -> None:
        """Sends a control message. Raises ``SocketLost``."""
        await self._send(_encoder.encode(message).decode())

    async def send_frame(self, pcm: bytes) -> None:
        """Sends a frame of the microphone. Raises ``SocketLost``."""
        await self._send(pcm)

    async def _send(self, data: str | bytes) -> None:
        try:
            await self._socket.send(data)
        except ConnectionClosed as error:
            raise SocketLost(_closed(error)) from error

    async def receive(self) -> tuple[ServerEvent, bytes]:
        """Returns the next event, with its sound if it has any. Raises ``SocketLost``."""
        try:
            return await _receive(self._socket)
        except ConnectionClosed as error:
            raise SocketLost(_closed(error)) from error


async def _receive(socket: ws.ClientConnection) -> tuple[ServerEvent, bytes]:
    text = await socket.recv()
    try:
        event: ServerEvent = _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise SocketLost(f"EVA sent something that this client does not understand: {error}") from error
    if not isinstance(event, AudioEvent):
        return event, b""
    payload = await socket.recv()
    return event, payload if isinstance(payload, bytes) else b""


def _closed(error: ConnectionClosed) -> str:
    reason = f" ({error.rcvd.code} {error.rcvd.reason})" if error.rcvd else ""
    return f"EVA closed the conversation{reason}"


def socket_url(url: str) -> str:
    """Returns the WebSocket's address for an ``http`` or ``https`` address of EVA."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    scheme = "wss" if parts.scheme in {"https", "wss"} else "ws"
    return f"{scheme}://{parts.netloc}/ws/chat"


@contextlib.asynccontextmanager
async def conversation(
    url: str, start: Start, *, ears_within_s: float = EARS_WITHIN_S
) -> AsyncIterator[ChatSocket]:
    """Opens a conversation and closes it behind the caller.

    Raises:
        NotRunning: nobody listens there.
        Refused: EVA lets nobody in, or not with this key; says why, and when to try again.
        SocketLost: EVA is there, but does not open the conversation, or nobody can listen within
            ``ears_within_s``; says why.
    """
    try:
        socket = await ws.connect(
            socket_url(url),
            compression=None,
            max_size=2**22,
            open_timeout=10,
            proxy=None,
            additional_headers=authorization(),
        )
    except (OSError, TimeoutError) as error:
        raise NotRunning(url) from error
    except InvalidStatus as refused:
        raise Refused(refused) from refused
    except (InvalidHandshake, InvalidMessage) as error:
        raise SocketLost(f"what answers at {url} opens no conversation: {error}") from error
    async with socket:
        try:
            await socket.send(_encoder.encode(start).decode())
            ready = await _ready(socket, ears_within_s)
        except ConnectionClosed as error:
            raise SocketLost(_closed(error)) from error
        yield ChatSocket(socket, ready)


async def _ready(socket: ws.ClientConnection, ears_within_s: float) -> Ready:
    """Returns what EVA says once the conversation stands. Ears that are slow are waited for: she asks on."""
    reason = ""
    try:
        async with asyncio.timeout(None) as patience:
            while True:
                event, _ = await _receive(socket)
                if isinstance(event, Ready):
                    return event
                if isinstance(event, ErrorEvent):
                    reason = event.message
                    if event.code != "no_ears":
                        raise SocketLost(reason)
                    if patience.when() is None:
                        patience.reschedule(asyncio.get_running_loop().time() + ears_within_s)
    except TimeoutError:
        raise SocketLost(reason) from None
