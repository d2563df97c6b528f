"""One client's session: feeds the turn machine and does what it decides. The thin shell around ``turn``.

Nothing here waits on the way in: what comes from the client or the bus is handled at once, and what must
be awaited (publishing) is done in order by one task of the session; the memory is stored beside it.
"""

from __future__ import annotations

import asyncio
import functools

from services.gateway.chat_protocol import (
    AnyClientMessage,
    EndOfSpeech,
    ErrorEvent,
    Interrupt,
    Ping,
    Played,
    Pong,
    Ready,
    Start,
    UserText,
)
from services.gateway.conversation import Conversation
from services.gateway.ears import EarsEvent
from services.gateway.keeper import Keeper
from services.gateway.listening import Listening
from services.gateway.loudspeaker import Loudspeaker, Sink
from services.gateway.surroundings import Surroundings
from services.gateway.turn import TurnMachine
from services.gateway.turn_io import (
    Action,
    Ask,
    CancelWork,
    CloseAudio,
    DropAudio,
    Emit,
    EmitAudio,
    Halt,
    Input,
    PlayedTo,
    Remember,
    Say,
    Speak,
    Think,
    Tick,
    TurnReport,
)
from services.gateway.work import Publisher, Work
from shared.messages import AnyMessage
from shared.subjects import new_token

OUTBOX = 1000
"""Works that may wait for the broker; a client that asks faster than it takes them is told ``busy``."""


class Session:
    """A conversation with one client; made by ``Hub.session``. All but ``run`` is synchronous."""

    def __init__(
        self, sid: str, around: Surroundings, sink: Sink, conversation: Conversation, *, remember: bool
    ) -> None:
        self.sid = sid
        self.key = new_token()
        """Its name on the bus, new each time: no repeated message id, no cancel and no late event of an
        earlier connection to the same conversation can touch it."""
        self._clock = around.clock
        self._observer = around.observer
        self._sink = sink
        self._conversation = conversation
        save = functools.partial(around.memory.save, sid) if remember else None
        self._keeper = Keeper(sid, save)
        self._publisher = Publisher(around.bus, around.gw, self.key, self._keeper, conversation)
        self._machine = TurnMachine(sid, around.policy, turns=conversation.record.turns)
        self._speaker = Loudspeaker(sink, self._machine.turn_id)
        self._listening = Listening(around, self.key, sink, self._feed)
        self._listening.ready = self._ready
        self._settings = Start()
        self._is_resumed = False
        self._is_finished = False
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._outbox: asyncio.Queue[Work | None] = asyncio.Queue()

    def handle(self, message: AnyClientMessage) -> None:
        """Takes a control message of the client; ``Stop`` is the matter of whoever owns the session."""
        match message:
            case Start():
                self.configure(message, is_resumed=False)
            case UserText():
                self._ask(message)
            case EndOfSpeech():
                self._listening.end_utterance()
            case Interrupt(played_ms=played_ms):
                self._feed(Halt(reason="client", played_ms=played_ms))
            case Played(turn_id=turn_id, ms=ms):
                if turn_id == self._machine.turn_id(self._machine.turns):
                    self._feed(PlayedTo(turn=self._machine.turns, ms=ms))
            case Ping(id=number):
                self._sink.emit(Pong(id=number))
            case _:
                pass

    def hear(self, pcm: bytes) -> None:
        """Takes one microphone frame. Raises ``BadInput`` if it is empty, too long or has half a sample."""
        self._listening.hear(pcm)

    def say(self, text: str, *, speed: float = 1.0, voice: str = "") -> str:
        """Speaks a given text, without the mind; returns the turn's id."""
        return self._feed(Say(text=text, voice=voice, speed=speed, language=self._settings.language))

    def canary(self) -> str:
        """A turn that tests the whole way to audible sound; returns its id."""
        return self._feed(Ask(text="canary", is_canary=True))

    def configure(self, start: Start, *, is_resumed: bool) -> None:
        """Takes the client's settings, or new ones, and answers ``ready``."""
        if start.session_id not in {None, self.sid}:
            message = "a socket keeps its session; open another one"
            self._sink.emit(ErrorEvent(code="invalid_request", message=message, param="session_id"))
            return
        self._settings, self._is_resumed = start, is_resumed
        self._conversation.prefer(language=start.language, voice=start.voice)
        if start.audio_out is not None:
            self._publisher.audio = self._speaker.use(start.audio_out)
        if not self._listening.configure(start):
            self._ready()

    def deliver(self, message: AnyMessage) -> None:
        """Takes an event or a checkpoint of this session from the bus."""
        if isinstance(message, EarsEvent):
            self._listening.deliver(message)
        else:
            self._feed(message)  # type: ignore[arg-type] # what the machine does not know it ignores

    async def run(self) -> None:
        """Does what must be awaited, in order, until ``finish``."""
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listening.run(), name=f"listening {self.sid}")
            keeping = tasks.create_task(self._keeper.run(), name=f"memory {self.sid}")
            while (work := await self._outbox.get()) is not None:
                undelivered = await self._publisher.perform(work)
                if undelivered is not None:
                    self._feed(undelivered)
            listening.cancel()
            keeping.cancel()
            await asyncio.wait({keeping})
            await self._keeper.finish()

    def finish(self, *, because: ErrorEvent | None = None) -> None:
        """Cancels the answer in flight, keeps what was heard of it, and lets ``run`` end."""
        if not self._is_finished:
            if because is not None:
                self._sink.emit(because)
            self._feed(Halt(reason="closed"))
            self._is_finished = True
            if self._timer is not None:
                self._timer.cancel()
            self._outbox.put_nowait(None)

    def _ask(self, message: UserText) -> None:
        if self._outbox.qsize() >= OUTBOX:
            text = "too many turns are waiting"
            self._sink.emit(ErrorEvent(code="busy", message=text, retry_after_ms=1000))
            return
        self._feed(
            Ask(
                text=message.text,
                wants_audio=message.include_audio and self._settings.audio_out is not None,
                voice=message.voice or self._settings.voice,
                language=self._settings.language,
            )
        )

    def _ready(self) -> None:
        self._sink.emit(
            Ready(
                session_id=self.sid,
                is_resumed=self._is_resumed,
                turns=self._conversation.record.turns,
                voice=self._settings.voice,
                language=self._settings.language,
                audio_in=self._settings.audio_in,
                audio_out=self._settings.audio_out,
                ears=self._listening.engine,
            )
        )

    def _feed(self, event: Input) -> str:
        """Gives the machine an input, does what it says, and returns the id of the newest turn."""
        if not self._is_finished:
            for action in self._machine.handle(event, self._clock()):
                self._do(action)
            self._wake()
        return self._machine.turn_id(self._machine.turns)

    def _do(self, action: Action) -> None:
        match action:
            case Emit(event=event):
                self._sink.emit(event)
            case EmitAudio(turn=turn, chunk=chunk):
                self._speaker.play(turn, chunk)
            case CloseAudio(turn=turn):
                self._speaker.close(turn)
            case DropAudio(turn=turn):
                self._sink.drop_audio(self._machine.turn_id(turn))
            case TurnReport():
                self._observer.turn_over(action)
            case Think() | Speak() | CancelWork() | Remember():
                self._outbox.put_nowait(action)

    def _wake(self) -> None:
        """Sets the clock for the machine's next deadline; one that only moved back is left to ring early."""
        wake_at = self._machine.wake_at()
        if self._timer is not None and (wake_at is None or wake_at < self._rings_at):
            self._timer.cancel()
            self._timer = None
        if self._timer is None and wake_at is not None:
            delay_s = max(0.0, wake_at - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)
            self._rings_at = wake_at

    def _ring(self) -> None:
        self._timer = None
        self._feed(Tick())
