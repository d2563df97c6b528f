"""A spoken conversation in real time: a frame out every 20 ms, whatever comes in shown at once.

Frames never stop while the line is open, as with a real microphone: what is not speech is silence, and the
ears measure the end of a turn in audio time, so they need it.

Playback is held, goes on and is dropped as EVA says; she is told how far it has got, so that of an
interrupted answer she keeps just the words that were heard. Where no device plays, it is told as if one did.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

from eva.chat_client import ChatSocket, conversation
from eva.dialogue import Dialogue
from eva.sound import Player
from eva.wav import FRAME_MS, Sound, frames
from services.gateway.chat_protocol import (
    AudioEvent,
    Flush,
    Pause,
    Played,
    Resume,
    ServerEvent,
    Start,
    Stop,
)
from shared.errors import EvaError

UNHEARD_S = 4.0
"""So much silence behind speech in which nothing was heard is enough."""
ANSWER_TIMEOUT_S = 60.0
REPORT_S = 0.25
"""How often EVA is told how far playback has got."""

Show = Callable[[Dialogue, ServerEvent], None]


class NoAnswer(EvaError):
    """Nothing was heard, or no answer came in time."""

    code = "no_answer"


class Line:
    """One conversation: what was said on both sides."""

    def __init__(self, socket: ChatSocket, *, rate_hz: int, show: Show, player: Player | None = None) -> None:
        self.socket = socket
        self.dialogue = Dialogue()
        self.sent = bytearray()
        """The microphone's side from ``began_s`` on."""
        self.began_s = 0.0
        self._frame_bytes = rate_hz * FRAME_MS // 1000 * 2
        self._waiting: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._show, self._player = show, player
        self._told: tuple[str, int] = ("", 0)

    async def listen(self) -> NoReturn:
        """Takes events until cancelled. Raises ``SocketLost``."""
        while True:
            event, payload = await self.socket.receive()
            self.dialogue.take(event, payload, time.monotonic())
            if self._player is not None:
                _steer(self._player, event, payload)
            if isinstance(event, Pause | Flush):
                await self.tell_played()
            self._show(self.dialogue, event)
            self._changed.set()

    async def stream(self) -> NoReturn:
        """Sends what is to be spoken, and silence else, until cancelled. Raises ``SocketLost``."""
        self.began_s = time.monotonic()
        silence = bytes(self._frame_bytes)
        while True:
            frame = self._waiting.popleft() if self._waiting else silence
            await self.socket.send_frame(frame)
            self.sent += frame
            self._changed.set()
            due_s = self.began_s + len(self.sent) // self._frame_bytes * FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def account(self) -> NoReturn:
        """Tells EVA again and again how far playback has got, until cancelled. Raises ``SocketLost``."""
        while True:
            await asyncio.sleep(REPORT_S)
            await self.tell_played()

    async def tell_played(self) -> None:
        """Tells EVA how far her last answer has been played, if that is news. Raises ``SocketLost``."""
        turn_id, ms = self.sounded()
        if ms and self._told != (turn_id, ms):
            self._told = (turn_id, ms)
            await self.socket.send(Played(turn_id=turn_id, ms=ms))

    def sounded(self) -> tuple[str, int]:
        """Returns the last turn that has sound, and how many milliseconds of it were heard."""
        turn = next((turn for turn in reversed(self.dialogue.turns) if turn.pcm), None)
        if turn is None:
            return "", 0
        if self._player is not None:
            return turn.turn_id, round(self._player.played_ms(turn.turn_id))
        return turn.turn_id, round(turn.played_ms(time.monotonic()))

    def speak(self, sound: Sound) -> None:
        """Has a sound sent at the line's rate, behind what still waits."""
        self._waiting.extend(frames(sound))

    async def spoken(self) -> float:
        """Returns when all that was to be spoken has been sent, on the monotonic clock."""
        while self._waiting:
            await self._change()
        return time.monotonic()

    async def answered(self, *, finals: int) -> None:
        """Returns when ``finals`` utterances were understood and all turns are over.

        Raises:
            NoAnswer: nothing was heard, or no answer came in time.
        """
        silent_since_s = await self.spoken()
        dialogue = self.dialogue
        while dialogue.finals < finals or not dialogue.is_settled:
            waited_s = time.monotonic() - silent_since_s
            is_unheard = dialogue.finals < finals and not dialogue.is_person_speaking and dialogue.is_settled
            if waited_s > ANSWER_TIMEOUT_S or (is_unheard and waited_s > UNHEARD_S):
                raise NoAnswer(dialogue.last_error or "no speech was heard")
            await self._change()

    async def played(self) -> None:
        """Returns when all of EVA's sound would have been heard."""
        turns = self.dialogue.turns
        while any(turn.is_held for turn in turns) or self._ends_s() > time.monotonic():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.02, self._ends_s() - time.monotonic())):
                    await self._change()

    def _ends_s(self) -> float:
        return max((turn.plays_until_s for turn in self.dialogue.turns), default=0.0)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _steer(player: Player, event: ServerEvent, payload: bytes) -> None:
    match event:
        case AudioEvent(turn_id=turn_id):
            player.play(turn_id, payload)
        case Pause():
            player.hold()
        case Resume():
            player.go_on()
        case Flush():
            player.drop()
        case _:
            pass


@contextlib.asynccontextmanager
async def line(
    url: str, start: Start, show: Show, *, player: Player | None = None, is_streaming: bool = True
) -> AsyncIterator[Line]:
    """Opens a conversation that is listened to, and streamed to, as long as the caller stays inside.

    Raises:
        NotRunning: nobody listens there.
        SocketLost: EVA does not open the conversation, or ends it.
    """
    rate_hz = start.audio_in.rate_hz if start.audio_in is not None else 16000
    async with conversation(url, start) as socket, asyncio.TaskGroup() as tasks:
        open_line = Line(socket, rate_hz=rate_hz, show=show, player=player)
        owned = [
            tasks.create_task(open_line.listen(), name="listen"),
            tasks.create_task(open_line.account(), name="account"),
        ]
        if is_streaming:
            owned.append(tasks.create_task(open_line.stream(), name="stream"))
        yield open_line
        for task in owned:
            task.cancel()
        await socket.send(Stop())
