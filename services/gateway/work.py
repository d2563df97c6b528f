"""Does what the turn machine decides and must be awaited: work and cancels to the broker."""

from __future__ import annotations

from services.gateway.conversation import Conversation
from services.gateway.keeper import Keeper
from services.gateway.turn_io import CancelWork, Remember, Speak, Think, Undelivered
from shared import subjects
from shared.bus import Bus
from shared.errors import BusDown, EvaError
from shared.messages import AudioFormat, Cancel, ChatMessage, Generate, Message, Synthesize
from shared.observe import Log

log = Log("eva.gateway")

Work = Think | Speak | CancelWork | Remember


class Publisher:
    """Publishes one session's work. ``sid``: its name on the bus."""

    def __init__(self, bus: Bus, gw: str, sid: str, keeper: Keeper, conversation: Conversation) -> None:
        self.audio: AudioFormat = AudioFormat()
        self._bus, self._gw, self._sid = bus, gw, sid
        self._keeper = keeper
        self._conversation = conversation

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
            case Remember(turn=turn, user=user, answer=answer):
                log.debug("turn.words", session=self._sid, turn=turn, user=user, answer=answer)
                self._keeper.keep(self._conversation.remember(turn, user, answer))
        return None

    async def _enqueue(self, stage: str, turn: int, message: Message, message_id: str) -> Undelivered | None:
        subject = subjects.work("llm" if stage == "llm" else "tts", self._gw, self._sid)
        try:
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
        ask = think.ask
        return Generate(
            gw=self._gw,
            sid=self._sid,
            turn=think.turn,
            attempt=think.attempt,
            messages=[*self._conversation.record.messages, ChatMessage(role="user", content=ask.text)],
            remaining_ms=think.remaining_ms,
            language=ask.language,
            voice=ask.voice,
            audio=self.audio if ask.wants_audio else None,
            spoken=think.spoken,
            first_segment=think.first_segment,
            is_canary=ask.is_canary,
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
        )
