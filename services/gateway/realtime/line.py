"""Does what the dialect decides: commands to EVA's session, events to the outbox. The shell around it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
import wave

from services.gateway.chat_protocol import (
    AudioEvent,
    EndOfSpeech,
    Interrupt,
    Interrupted,
    ServerEvent,
    TurnDone,
)
from services.gateway.chat_protocol import ErrorEvent as OurError
from services.gateway.chat_protocol import Played as PlayedTo
from services.gateway.guests import Guest, LimitReached
from services.gateway.hub import Hub
from services.gateway.outbox import POLICY, SESSION_ENDED, Item, Outbox, Place
from services.gateway.realtime.actions import (
    Action,
    Actions,
    Configure,
    Discard,
    DropSound,
    EndUtterance,
    Hear,
    Intend,
    Played,
    Relay,
    Respond,
    RespondBeside,
    Settle,
    Stop,
    Tell,
    Transcribe,
)
from services.gateway.realtime.context import Aside
from services.gateway.realtime.dialect import Dialect
from services.gateway.realtime.errors import ErrorDetail
from services.gateway.realtime.events import ErrorEvent, RateLimit, RealtimeEvent, encode
from services.gateway.realtime.formats import expand, rate_hz
from services.gateway.recordings import Recording, transcribe
from services.gateway.session import Session
from services.gateway.wire_frames import TEXT, Message
from shared.errors import EvaError
from shared.observe import Log

log = Log("eva.gateway")

EVERYTHING_MS = 10**9
MOST_RECORDINGS = 2
"""Of one client's that are transcribed at a time; others wait."""
LIMIT_TOLD_EVERY_S = 5.0


class Line:
    """One client's; the sink of its session. ``tasks`` owns what runs beside it."""

    def __init__(
        self, dialect: Dialect, hub: Hub, outbox: Outbox, guest: Guest, tasks: asyncio.TaskGroup
    ) -> None:
        self.dialect = dialect
        self.session: Session | None = None
        """Set before anything is asked of it."""
        self._hub, self._outbox, self._guest, self._tasks = hub, outbox, guest, tasks
        self._asides: dict[str, asyncio.Task[None]] = {}
        self._recordings = asyncio.Semaphore(MOST_RECORDINGS)
        self._is_settling = False
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at: float | None = None
        self._limit_told_at = -LIMIT_TOLD_EVERY_S

    # ------------------------------------------------------------ the session's sink

    def emit(self, event: ServerEvent, payload: bytes = b"", *, beside: str | None = None) -> None:
        """Takes what EVA tells."""
        self._outbox.follow(event)
        self._charge(event)
        self.perform(self.dialect.tell(event, payload, time.monotonic(), beside=beside))
        if beside is None and isinstance(event, OurError) and event.code in SESSION_ENDED:
            asyncio.get_running_loop().call_soon(self._end, event.code, event.message)

    def drop_audio(self, turn_id: str) -> None:
        """Forgets sound of this turn that was not sent yet."""
        self.perform(self.dialect.drop(turn_id))

    def encode(self, item: Item) -> list[Message]:
        """Returns what is sent as an item leaves."""
        event = item.event
        if isinstance(event, RealtimeEvent):
            return [(TEXT, encode(event))]
        if isinstance(event, OurError) and event.turn_id is None:  # the outbox says good-bye
            detail = ErrorDetail(type="server_error", code=event.code, message=event.message)
            return [(TEXT, encode(ErrorEvent(error=detail)))]
        told = self.dialect.leaves(event, item.payload, time.monotonic())
        self._arm()
        return [(TEXT, encode(each)) for each in told]

    # ------------------------------------------------------------ what is to be done

    def perform(self, actions: Actions) -> None:
        """Does all of it, in order."""
        for action in actions:
            self._do(action)
        self._arm()

    def _do(self, action: Action) -> None:
        match action:
            case Hear(pcm=pcm) if self.session is not None:  # the most frequent by far
                self.session.hear(pcm)
            case Tell(event=event):
                self._outbox.put(Item(event, place=Place.FIRST))
            case Relay():
                place = Place.BESIDE_SOUND if action.is_beside_sound else Place.IN_LINE
                self._outbox.put(Item(action.event, action.sound, action.sound_of, action.audio_ms, place))
            case DropSound(turn_id=turn_id):
                self._outbox.drop_audio(turn_id)
            case RespondBeside(key=key):
                task = self._tasks.create_task(self._respond_beside(action), name=f"aside {key}")
                self._asides[key] = task
            case Stop(key=str(key)):
                if key in self._asides:
                    self._asides[key].cancel()
            case Transcribe():
                task = self._tasks.create_task(self._transcribe(action), name="recording")
                self._asides[action.item_id] = task
            case Settle():
                if not self._is_settling:
                    self._is_settling = True
                    asyncio.get_running_loop().call_soon(self._settle)
            case _ if self.session is not None:
                self._ask(self.session, action)

    def _ask(self, session: Session, action: Action) -> None:
        match action:
            case Configure(start=start):
                session.configure(start, is_resumed=False)
            case Intend(wish=wish):
                session.wish = wish
            case Respond(wish=wish, wants_audio=wants_audio, voice=voice):
                try:
                    self._guest.check()
                    session.respond(text=None, wish=wish, wants_audio=wants_audio, voice=voice)
                except EvaError as error:
                    self.perform(self.dialect.unable(error.code, str(error), time.monotonic()))
            case Stop(played_ms=played_ms):
                session.handle(Interrupt(played_ms=played_ms))
            case Played(turn_id=turn_id):
                session.handle(PlayedTo(turn_id=turn_id, ms=EVERYTHING_MS))
            case EndUtterance():
                session.handle(EndOfSpeech())
            case Discard():
                session.discard()
            case _:
                pass

    def _settle(self) -> None:
        self._is_settling = False
        self.perform(self.dialect.settle())

    def _arm(self) -> None:
        due_at = self.dialect.due_at if self._outbox.farewell is None else None
        if due_at == self._rings_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = None, due_at
        if due_at is not None:
            delay_s = max(0.0, due_at - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer = self._rings_at = None
        self.perform(self.dialect.tick(time.monotonic()))

    def _end(self, code: str, message: str) -> None:
        """The session is over: another client has taken it, or it was erased."""
        self.perform(self.dialect.close(code, message, time.monotonic()))
        self._outbox.finish(POLICY, code)

    def finish(self) -> None:
        """The client is gone."""
        for task in self._asides.values():
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ------------------------------------------------------------ beside

    async def _respond_beside(self, action: RespondBeside) -> None:
        """Has one turn in a session of its own; it is told with the others."""
        key, sink = action.key, _Beside(self, action.key)
        code, message = "interrupted", "the turn was given up"
        try:
            self._guest.check()
            async with self._hub.session(
                action.start, sink, remember=False, is_live=False, conversation=Aside(action.messages)
            ) as session:
                session.respond(
                    text=None,
                    wish=action.wish,
                    wants_audio=action.start.audio_out is not None,
                    voice=action.start.voice,
                )
                await sink.is_over.wait()
        except EvaError as error:
            code, message = error.code, str(error)
        finally:
            self._asides.pop(key, None)
            self.perform(self.dialect.unable(code, message, time.monotonic(), beside=key))

    async def _transcribe(self, action: Transcribe) -> None:
        """Has a recording of the client's transcribed."""
        sound, rate = expand(action.format, action.sound), rate_hz(action.format)
        sound = sound[: len(sound) - len(sound) % 2]
        recording = Recording(data=_wav(sound, rate), language=action.language or None)
        async with self._recordings:
            try:
                self._guest.spend_audio(len(sound) / 2 / rate)
                told = await transcribe(self._hub.around, recording)
            except EvaError as error:
                done = self.dialect.not_transcribed(action.item_id, error.code, str(error))
            else:
                text = " ".join(segment.text.strip() for segment in told.segments)
                done = self.dialect.transcribed(action.item_id, text, told.done.duration_ms / 1000)
        self._asides.pop(action.item_id, None)
        self.perform(done)

    # ------------------------------------------------------------ what it costs

    def may_hear(self, seconds: float) -> bool:
        """Charges sound of the client's. Raises ``LimitReached`` now and then while there is nothing left."""
        try:
            self._guest.spend_audio(seconds)
        except LimitReached:
            now = time.monotonic()
            if now - self._limit_told_at < LIMIT_TOLD_EVERY_S:
                return False
            self._limit_told_at = now
            raise
        return True

    def _charge(self, event: ServerEvent) -> None:
        """Who has spent too much hears this one out."""
        if not self._guest.is_charged:
            return
        with contextlib.suppress(LimitReached):
            if isinstance(event, AudioEvent):
                self._guest.spend_audio(event.duration_ms / 1000)
            elif (usage := getattr(event, "usage", None)) is not None:
                self._guest.spend_tokens(usage.input_tokens + usage.output_tokens)


class _Beside:
    """The sink of a session beside the client's own."""

    def __init__(self, line: Line, key: str) -> None:
        self.is_over = asyncio.Event()
        self._line, self._key = line, key

    def emit(self, event: ServerEvent, payload: bytes = b"") -> None:
        """Takes what EVA tells there."""
        self._line.emit(event, payload, beside=self._key)
        if isinstance(event, TurnDone | Interrupted) or (isinstance(event, OurError) and event.turn_id):
            self.is_over.set()

    def drop_audio(self, turn_id: str) -> None:
        """Forgets sound of its turn."""
        self._line.drop_audio(turn_id)


def limits_of(guest: Guest) -> tuple[RateLimit, ...]:
    """Returns what a guest may still use, as far as the protocol has a name for it."""
    return tuple(
        RateLimit(
            name="tokens",
            limit=int(each.limit),
            remaining=int(each.remaining),
            reset_seconds=float(each.reset_s),
        )
        for each in guest.limits()
        if each.name == "tokens"
    )


def _wav(pcm: bytes, rate: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(rate)
        recording.writeframes(pcm)
    return buffer.getvalue()
