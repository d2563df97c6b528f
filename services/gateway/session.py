"""One client's session: feeds the turn machine and does what it decides. The thin shell around ``turn``.

Nothing here waits on the way in: what comes from the client or the bus is handled at once, and what must
be awaited (publishing) is done in order by one task of the session; the memory is stored beside it.
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import replace

import msgspec

from services.gateway.alarm import Alarm
from services.gateway.chat_protocol import (
    AnyClientMessage,
    EndOfSpeech,
    ErrorEvent,
    Interrupt,
    OngoingTurn,
    Ping,
    Played,
    Pong,
    Ready,
    Start,
    ToolResult,
    TurnDone,
    UserText,
)
from services.gateway.conversation import Dialogue
from services.gateway.ears import EarsEvent
from services.gateway.keeper import Keeper
from services.gateway.listening import Listening
from services.gateway.loudspeaker import Loudspeaker, Sink
from services.gateway.memory import name_of
from services.gateway.session_settings import barge_in, is_wanted
from services.gateway.stock import SessionClips
from services.gateway.straight import Straight
from services.gateway.surroundings import Surroundings
from services.gateway.turn import TurnMachine
from services.gateway.turn_actions import Take, playing
from services.gateway.turn_io import (
    Action,
    Ask,
    CancelWork,
    CloseAudio,
    DropAudio,
    Emit,
    EmitAudio,
    Forget,
    GoesOn,
    Halt,
    Input,
    Pend,
    PlayedTo,
    Remember,
    Returned,
    Say,
    Speak,
    Think,
    Tick,
    TurnReport,
    Wish,
)
from services.gateway.work import MOST_WAITING, Publisher, TooManyTurns, Work
from shared.messages import AnyMessage, AudioChunk, SessionClaim, SessionRecord, Summary
from shared.subjects import new_token
from shared.trace import TurnTraces

DEAF_S = 0.2
"""How long, behind EVA's last sound, half duplex goes on: the client plays a little later, and rooms ring."""


class Session:
    """A conversation with one client; made by ``Hub.session``. All but ``run`` is synchronous."""

    __slots__ = (
        "_alarm", "_clock", "_conversation", "_is_finished", "_is_half_duplex", "_is_resumed", "_keeper",
        "_listening", "_machine", "_observer", "_outbox", "_playing", "_publisher", "_settings", "_sink",
        "_speaker", "_stock", "_straight", "_traces", "_working", "key", "name", "owner", "sid",
    )  # fmt: skip

    turns: type[TurnMachine] = TurnMachine

    def __init__(
        self,
        sid: str,
        around: Surroundings,
        sink: Sink,
        conversation: Dialogue,
        *,
        remember: bool,
        owner: str = "",
    ) -> None:
        self.sid = sid
        self.owner, self.name = owner, name_of(sid, owner)
        """What gateways call the conversation: each owner has session ids of its own."""
        self.key = new_token()
        """Its name on the bus, new each time: no repeated message id, no cancel and no late event of an
        earlier connection to the same conversation can touch it."""
        self._clock = around.clock
        self._observer = around.observer
        self._sink = sink
        self._conversation = conversation
        save = functools.partial(around.memory.save, sid, owner=owner) if remember else None
        self._keeper = Keeper(sid, save)
        self._traces = TurnTraces(is_sampled=around.tracer.is_on)
        self._publisher = Publisher(
            around.bus, around.gw, self.key, self._keeper, conversation, traces=self._traces
        )
        self._stock = stock = around.stock
        self._machine = self.turns(
            sid,
            around.policy,
            turns=conversation.record.turns,
            clips=SessionClips(stock, lambda: self._publisher.audio) if stock is not None else None,
        )
        self._speaker = Loudspeaker(sink, self._machine.turn_id)
        self._listening = Listening(around, self.key, sink, self._feed)
        self._listening.ready = self._ready
        self._settings = Start()
        self._is_half_duplex = False
        self._is_resumed = False
        self._is_finished = False
        self._playing: Take | None = None
        """What the last input has had played."""
        self._straight: Straight | None = None
        self._alarm = Alarm(around.clock, self._look)
        self._outbox: asyncio.Queue[Work | None] = asyncio.Queue()
        self._working: asyncio.Task[None] | None = None

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
            case ToolResult(call_id=call_id, output=output):
                self._feed(Returned(call_id=call_id, output=output))
            case Ping(id=number):
                self._sink.emit(Pong(id=number))

    def hear(self, pcm: bytes) -> None:
        """Takes one microphone frame. Raises ``BadInput`` if it is empty, too long or has half a sample.

        Half duplex: while EVA is heard the ears get silence instead, so that their time goes on and an
        utterance in flight comes to its end.
        """
        is_deaf = self._is_half_duplex and self._machine.is_speaking(self._clock(), tail_s=DEAF_S)
        self._listening.hear(bytes(len(pcm)) if is_deaf else pcm)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is taken; what is still to be stored may be on its way."""
        return self._is_finished

    @property
    def is_answering(self) -> bool:
        """Whether a turn has begun that has no end yet."""
        return self._machine.is_answering

    @property
    def wish(self) -> Wish:
        """How answers are to be made from now on, spoken turns' too; what is in flight is not touched."""
        return self._listening.wish

    @wish.setter
    def wish(self, wish: Wish) -> None:
        self._listening.wish = wish

    def respond(
        self,
        *,
        text: str | None,
        wish: Wish | None = None,
        wants_audio: bool = True,
        voice: str = "",
        language: str = "",
    ) -> str:
        """Begins a turn, in place of one that is in flight; returns its id.

        Args:
            text: the question; None: the conversation as it stands is answered.
            wish: None: the session's.
            wants_audio: no sound is made where the session has none.
            voice: empty: the session's.
            language: ISO 639-1; empty: the session's.

        Raises:
            TooManyTurns: the broker does not take what is waiting.
        """
        if self._outbox.qsize() >= MOST_WAITING:
            raise TooManyTurns("too many turns are waiting")
        return self._feed(
            Ask(
                text=text,
                wish=self.wish if wish is None else wish,
                wants_audio=wants_audio and self._settings.audio_out is not None,
                voice=voice or self._settings.voice,
                language=language or self._settings.language,
            )
        )

    def discard(self) -> None:
        """Throws away what was heard since the last end of an utterance: no final of it follows."""
        self._listening.discard()

    def say(self, text: str, *, speed: float = 1.0, voice: str = "", mood: str = "") -> str:
        """Speaks a given text, without the mind; returns the turn's id."""
        language = self._settings.language
        return self._feed(Say(text=text, voice=voice, speed=speed, mood=mood, language=language))

    def canary(self) -> str:
        """A turn that tests the whole way to audible sound; returns its id."""
        return self._feed(Ask(text="canary", is_canary=True))

    def configure(self, start: Start, *, is_resumed: bool) -> None:
        """Takes the client's settings, or new ones, and answers ``ready``."""
        if start.session_id not in {None, self.sid}:
            message = "a socket keeps its session; open another one"
            self._sink.emit(ErrorEvent(code="invalid_request", message=message, param="session_id"))
        elif not self._use(start, is_resumed=is_resumed):
            self._ready()

    def _use(self, start: Start, *, is_resumed: bool) -> bool:
        """Takes the client's settings; True if ears are being claimed, so that ``ready`` will be told."""
        self._settings, self._is_resumed = start, is_resumed
        self._is_half_duplex = start.barge_in.mode == "half_duplex"
        self._machine.use(barge_in(start), answers=start.turn_taking.answers)
        self._conversation.prefer(language=start.language, voice=start.voice)
        self._publisher.know(persona=start.persona, tools=start.tools)
        if start.audio_out is not None:
            self._publisher.audio = self._speaker.use(start.audio_out)
            if self._stock is not None:
                self._stock.want(self._publisher.audio, language=start.language, voice=start.voice)
        return self._listening.configure(start)

    def deliver(self, message: AnyMessage) -> None:
        """Takes an event or a checkpoint of this session from the bus."""
        if isinstance(message, AudioChunk):
            straight = self._straight
            if straight is not None and straight.takes(message, self._clock()):
                self._speaker.play(message.turn, message)
            else:
                self._feed(message)
        elif isinstance(message, EarsEvent):
            self._listening.deliver(message)
        elif isinstance(message, Summary):
            self._keeper.keep(self._conversation.summarise(message))
        else:
            self._feed(message)  # type: ignore[arg-type] # what the machine does not know it ignores

    async def run(self) -> None:
        """Does what must be awaited, in order, until ``finish``."""
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listening.run(), name=f"listening {self.sid}")
            keeping = tasks.create_task(self._keeper.run(), name=f"memory {self.sid}")
            self._working = tasks.create_task(self._work(), name=f"work {self.sid}")
            await asyncio.wait({self._working})
            self._publisher.settle(self._outbox)
            listening.cancel()
            keeping.cancel()
            await asyncio.wait({keeping})
            await self._keeper.finish()

    async def _work(self) -> None:
        while (work := await self._outbox.get()) is not None:
            undelivered = await self._publisher.perform(work)
            if undelivered is not None:
                self._feed(undelivered)

    def hurry(self) -> None:
        """Gives up what is still to be published; what is to be remembered is stored all the same."""
        if self._working is not None:
            self._working.cancel()

    def finish(self, *, because: ErrorEvent | None = None) -> None:
        """Cancels the answer in flight, keeps what was heard of it, and lets ``run`` end."""
        if not self._is_finished:
            if because is not None:
                self._sink.emit(because)
            self._feed(Halt(reason="closed"))
            self._is_finished = True
            self._alarm.cancel()
            self._outbox.put_nowait(None)

    def _ask(self, message: UserText) -> None:
        try:
            self.respond(text=message.text, wants_audio=message.include_audio, voice=message.voice)
        except TooManyTurns as error:
            self._sink.emit(ErrorEvent(code="busy", message=str(error), retry_after_ms=1000))

    def hand_over(self, claim: SessionClaim, because: ErrorEvent) -> SessionRecord:  # noqa: ARG002 - where it lasts
        """Ends the session for somebody who goes on with it; returns what is remembered of it."""
        self.finish(because=because)
        return self._publisher.settle(self._outbox)

    def _ready(self, turn: OngoingTurn | None = None) -> None:
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
                turn=turn,
            )
        )

    def _look(self) -> None:
        """Something is overdue, unless its deadline has moved back: with each sound it does."""
        if self._straight is not None:
            self._straight.settle()
        at = self._machine.wake_at()
        if at is not None and at <= self._clock():
            self._feed(Tick())
        else:
            self._alarm.set(at)

    def _feed(self, event: Input) -> str:
        """Gives the machine an input, does what it says, and returns the id of the newest turn."""
        if not self._is_finished:
            if self._straight is not None:
                self._straight.settle()
            actions = self._machine.handle(event, self._clock())
            for action in actions:
                self._do(action)
            before, self._playing = self._playing, playing(event, actions)
            self._straight = self._machine.straight(self._playing)
            goes_on = self._playing is not None and self._playing == before  # then nothing is due sooner
            if not goes_on and not self._is_finished:
                self._alarm.set(self._machine.wake_at())
        return self._machine.turn_id(self._machine.turns)

    def _do(self, action: Action) -> None:
        match action:
            case Emit(event=event):
                if isinstance(event, TurnDone):
                    turn = int(event.turn_id.rpartition("-")[2])
                    event = msgspec.structs.replace(event, trace_id=self._traces.of(turn).trace_id)
                if is_wanted(event, self._settings.timings):
                    self._sink.emit(event)
            case EmitAudio(turn=turn, chunk=chunk):
                self._speaker.play(turn, chunk)
            case CloseAudio(turn=turn):
                self._speaker.close(turn)
            case DropAudio(turn=turn):
                self._sink.drop_audio(self._machine.turn_id(turn))
            case TurnReport():
                trace_id = self._traces.of(action.turn).trace_id
                self._observer.turn_over(replace(action, trace_id=trace_id))
            case Think() | Speak() | CancelWork() | Remember() | Forget() | Pend():
                self._outbox.put_nowait(action)
            case GoesOn():
                pass  # where a client cannot come back
            case _:
                self._observer.noted(action)
