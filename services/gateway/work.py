"""Does what the turn machine decides and must be awaited: work and cancels to the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from services.gateway import phrases
from services.gateway.chat_protocol import Tool
from services.gateway.conversation import Dialogue
from services.gateway.keeper import Keeper
from services.gateway.turn_io import CancelWork, Forget, Pend, Remember, Speak, Think, Undelivered
from shared import subjects, trace
from shared.bus import Bus
from shared.errors import BusDown, EvaError
from shared.messages import (
    AudioFormat,
    Cancel,
    ChatMessage,
    Generate,
    Message,
    SessionRecord,
    Synthesize,
    ToolSpec,
)
from shared.observe import Log
from shared.trace import TurnTraces

log = Log("eva.gateway")

MOST_WAITING = 1000
"""Works of one session that may wait for the broker; a client that asks faster is told ``busy``."""

Noted = Remember | Forget | Pend
"""What the memory is told."""
Work = Think | Speak | CancelWork | Noted


class TooManyTurns(EvaError):
    """The client asks faster than the broker takes it."""

    code = "busy"


class Publisher:
    """Publishes one session's work. ``sid``: its name on the bus."""

    def __init__(
        self,
        bus: Bus,
        gw: str,
        sid: str,
        keeper: Keeper,
        conversation: Dialogue,
        *,
        traces: TurnTraces | None = None,
    ) -> None:
        self._traces = traces or TurnTraces()
        self.audio: AudioFormat = AudioFormat()
        self._persona = ""
        self._tools: list[ToolSpec] = []
        self._bus, self._gw, self._sid = bus, gw, sid
        self._keeper = keeper
        self._conversation = conversation

    def know(self, *, persona: str, tools: Sequence[Tool]) -> None:
        """Takes who EVA is in this session, and the functions that the client has."""
        self._persona = persona
        self._tools = _specs(tools)

    async def perform(self, work: Work) -> Undelivered | None:
        """Does one thing; returns what the machine must know if nobody will do the work."""
        match work:
            case Think():
                message_id = f"{self._sid}:{work.turn}:{work.attempt}:llm"
                return await self._enqueue("llm", work.turn, self._generate(work), message_id)
            case Speak():
                message_id = f"{self._sid}:{work.turn}:{work.attempt}:{work.segment}:{work.take}"
                return await self._enqueue("tts", work.turn, self._synthesize(work), message_id)
            case CancelWork(turn=turn):
                await self._cancel(turn)
            case _:
                self.note(work)
        return None

    def settle(self, waiting: asyncio.Queue[Work | None]) -> SessionRecord:
        """Returns the memory with what still waits to be put into it."""
        for work in [waiting.get_nowait() for _ in range(waiting.qsize())]:
            if isinstance(work, Noted):
                self.note(work)
            else:
                waiting.put_nowait(work)
        return self._keeper.newest or self._conversation.record

    def note(self, noted: Noted) -> None:
        """Puts it into the memory, which is stored beside."""
        match noted:
            case Remember(turn=turn, user=user, answer=answer):
                log.debug("turn.words", session=self._sid, turn=turn, user=user, answer=answer)
                record = self._conversation.remember(turn, user, answer)
            case Forget(turn=turn):
                record = self._conversation.forget(turn)
            case Pend(pending=pending):
                record = msgspec.structs.replace(self._conversation.record, pending=pending)
        self._keeper.keep(record)

    async def _enqueue(self, stage: str, turn: int, message: Message, message_id: str) -> Undelivered | None:
        subject = subjects.work("llm" if stage == "llm" else "tts", self._gw, self._sid)
        try:
            with trace.within(self._traces.of(turn)):
                await self._bus.enqueue(subject, message, message_id=message_id)
        except EvaError as error:
            log.warning("work.undelivered", session=self._sid, turn=turn, stage=stage, code=error.code)
            code = error.code if error.code in {"busy", "broker_lost"} else f"{stage}_unavailable"
            return Undelivered(
                stage="llm" if stage == "llm" else "tts", turn=turn, code=code, message=str(error)
            )
        return None

    async def _cancel(self, turn: int) -> None:
        try:
            await self._bus.publish(subjects.cancel(self._gw, self._sid), Cancel(sid=self._sid, turn=turn))
        except BusDown:
            log.warning("cancel.undelivered", session=self._sid, turn=turn)

    def _generate(self, think: Think) -> Generate:
        ask, wish = think.ask, think.ask.wish
        question = [] if ask.text is None else [ChatMessage(role="user", content=ask.text)]
        tools = self._tools if wish.tools is None else _specs(wish.tools)
        is_first = not any(message.role == "tool" for message in think.rounds)
        return Generate(
            gw=self._gw,
            sid=self._sid,
            turn=think.turn,
            attempt=think.attempt,
            messages=[
                *self._conversation.asked(think.turn),
                *question,
                *think.rounds,
            ],
            remaining_ms=think.remaining_ms,
            language=ask.language,
            voice=ask.voice,
            speed=wish.speed,
            audio=self.audio if ask.wants_audio else None,
            spoken=think.spoken,
            first_segment=think.first_segment,
            is_canary=ask.is_canary,
            first_ms=think.first_ms,
            persona=self._persona if wish.persona is None else wish.persona,
            summary=self._conversation.record.summary,
            tools=tools if think.offers_tools else [],
            tool_choice=wish.tool_choice if is_first or wish.tool_choice == "none" else "auto",
            max_tokens=wish.max_tokens,
            temperature=wish.temperature,
            model=wish.model,
            is_speculative=think.is_speculative,
        )

    def _synthesize(self, speak: Speak) -> Synthesize:
        return Synthesize(
            gw=self._gw,
            sid=self._sid,
            turn=speak.turn,
            attempt=speak.attempt,
            segment=speak.segment,
            take=speak.take,
            text=speak.text,
            audio=self.audio,
            remaining_ms=speak.remaining_ms,
            language=speak.language,
            voice=speak.voice,
            speed=speak.speed,
            mood=speak.mood,
            reuse="will" if phrases.is_own(speak.text) else "may",
        )


def _specs(tools: Sequence[Tool]) -> list[ToolSpec]:
    return [
        ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters) for tool in tools
    ]
