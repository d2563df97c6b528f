"""The turns of a review: real ones, over real sockets, timed by the review's own clock."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from eva.chat_client import SocketLost
from eva.dialogue import Dialogue, Turn
from eva.line import Line, line
from eva.review_facts import Kind, TurnSeen
from eva.review_level import answer_of, first_audible, loudest_dbfs, voiced_until_s
from eva.say import RATE_HZ
from eva.talk import MIC_RATE_HZ, spoken_start
from eva.wav import Sound
from services.gateway.chat_protocol import AudioEvent, AudioOut, ServerEvent, Start, UserText
from shared.errors import EvaError

TURN_S = 45.0
"""A turn without an end by then has none."""
PAUSE_S = 0.4
"""Between an answer and what is said next."""


class TooLate(EvaError):
    """What had to come did not."""

    code = "too_late"


@dataclass
class Ear:
    """What came on one socket: the sound of answers without fillers, and when each event came."""

    dialogue: Dialogue | None = None
    events: list[tuple[float, ServerEvent]] = field(default_factory=list)
    pieces: dict[str, list[tuple[float, bytes]]] = field(default_factory=dict)
    """Of each turn: when a piece of the answer came, and its sound."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, dialogue: Dialogue, event: ServerEvent) -> None:
        """Takes one event; the dialogue has taken it before."""
        now_s = time.monotonic()
        self.dialogue = dialogue
        self.events.append((now_s, event))
        if isinstance(event, AudioEvent) and event.segment >= 0:
            sound = bytes(dialogue.turn(event.turn_id).pcm[-event.size_bytes :])
            self.pieces.setdefault(event.turn_id, []).append((now_s, sound))
        self._news.set()

    async def until(
        self, holds: Callable[[], object], *, within_s: float = TURN_S, what: str = "no end"
    ) -> None:
        """Waits until it is so. Raises ``TooLate``: it was not in time; says what did not come."""
        try:
            async with asyncio.timeout(within_s):
                while not holds():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TooLate(f"{what} within {within_s:.0f} s") from None

    def at_s(self, *kinds: type[ServerEvent], since_s: float = 0.0) -> float | None:
        """Returns when the first event of these kinds came, from a moment on."""
        return next((at for at, event in self.events if at >= since_s and isinstance(event, kinds)), None)


@contextlib.asynccontextmanager
async def talking(
    url: str, *, has_microphone: bool, session_id: str | None = None, has_voice: bool = True
) -> AsyncIterator[tuple[Line, Ear]]:
    """Opens a conversation. Raises ``NotRunning``, ``SocketLost``; of several errors, the first of ours."""
    start = spoken_start(MIC_RATE_HZ, "en") if has_microphone else Start(
        session_id=session_id,
        language="en",
        audio_out=AudioOut(format="pcm", rate_hz=RATE_HZ) if has_voice else None,
    )  # fmt: skip
    ear = Ear()
    try:
        async with line(url, start, ear.show, is_streaming=has_microphone) as talked:
            yield talked, ear
    except BaseExceptionGroup as group:
        ours, rest = group.split(EvaError)
        if rest is not None or ours is None:
            raise
        raise SocketLost(str(ours.exceptions[0])) from group


async def type_in(talked: Line, ear: Ear, text: str, *, include_audio: bool = True) -> Turn:
    """Types a turn and awaits its end. Raises ``TooLate``, ``SocketLost``."""
    before = len(talked.dialogue.turns)
    talked.dialogue.say(text)
    await talked.socket.send(UserText(text=text, include_audio=include_audio))
    await ear.until(lambda: len(talked.dialogue.turns) > before and talked.dialogue.is_settled)
    return talked.dialogue.turns[-1]


async def typed(talked: Line, ear: Ear, text: str) -> TurnSeen:
    """Has one typed turn, to the end of its sound."""
    before, since_s = len(talked.dialogue.turns), time.monotonic()
    error = ""
    try:
        await type_in(talked, ear, text)
    except TooLate as late:
        error = str(late)
    new = talked.dialogue.turns[before:]
    return seen("typed", text, new[-1] if new else None, ear, since_s=since_s, error=error)


async def spoken(talked: Line, ear: Ear, text: str, sound: Sound) -> TurnSeen:
    """Says one line and awaits the answer; it is timed from where the line's voice ends."""
    await asyncio.sleep(PAUSE_S)  # a person's pause
    dialogue = talked.dialogue
    before, finals, error = len(dialogue.turns), dialogue.finals, ""
    talked.speak(sound)
    tail_s = sound.duration_s - voiced_until_s(sound)
    ended_s = await talked.spoken() - tail_s
    try:
        await ear.until(
            lambda: dialogue.finals > finals and len(dialogue.turns) > before and dialogue.is_settled,
            what="no answer to what was said",
        )
    except TooLate as late:
        error = dialogue.last_error or str(late)
    new = dialogue.turns[before:]
    return seen("spoken", text, new[-1] if new else None, ear, since_s=ended_s, error=error)


def seen(
    kind: Kind, said: str, turn: Turn | None, ear: Ear, *, since_s: float, error: str
) -> TurnSeen:  # fmt: skip
    """Returns a turn as the review keeps it; ``since_s``: when its question ended."""
    if turn is None:
        return TurnSeen(kind=kind, said=said, error=error or "no turn began")
    pieces = ear.pieces.get(turn.turn_id, [])
    answer = answer_of(pieces, turn.rate_hz)
    heard_s = first_audible(pieces, turn.rate_hz)
    return TurnSeen(
        kind=kind,
        said=said,
        heard=turn.heard,
        text=turn.text,
        outcome=turn.outcome,
        error=turn.error or error,
        loudest_dbfs=loudest_dbfs(answer),
        audio_s=round(answer.duration_s, 3),
        response_ms=None if heard_s is None else round(1000 * max(0.0, heard_s - since_s), 1),
        timeline=turn.timeline,
        engines=turn.engines,
    )
