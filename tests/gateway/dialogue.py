"""A turn machine, a clock, and short ways of saying what the person and the workers do."""

from __future__ import annotations

from services.gateway.chat_protocol import BargeIn, EngineReport, ErrorEvent, Interrupted, TurnDone
from services.gateway.clips import Clips
from services.gateway.turn import TurnMachine
from services.gateway.turn_io import (
    Action,
    Ask,
    Emit,
    HeardNothing,
    Input,
    Likely,
    Onset,
    Spoken,
    Tick,
    TurnPolicy,
    Understood,
    WentOn,
)
from shared.messages import (
    AudioChunk,
    AudioFormat,
    MindDone,
    SegmentDone,
    Synthesize,
    TextDelta,
    Working,
)

POLICY = TurnPolicy(turn_s=30.0, take_up_s=5.0, beat_lost_s=2.0, attempts=3, apology_s=0)
TERMINAL = (TurnDone, Interrupted)
RATE_HZ = 16000
CHUNK_SAMPLES = 1600
SPHINX = EngineReport(engine="pocketsphinx", device="cpu", is_degraded=True)


class Dialogue:
    """A machine, a clock, and short ways of saying what the workers do."""

    def __init__(
        self, policy: TurnPolicy = POLICY, mode: str = "immediate", clips: Clips | None = None
    ) -> None:
        self.machine = TurnMachine("S", policy, clips=clips)
        self.machine.use(BargeIn(mode=mode))  # type: ignore[arg-type]
        self.now = 100.0
        self.actions: list[Action] = []

    def put(self, event: Input) -> list[Action]:
        actions = self.machine.handle(event, self.now)
        self.actions += actions
        self.machine.wake_at()  # as the session does after each input
        return actions

    def wait(self, seconds: float) -> list[Action]:
        """Lets time pass, with a tick whenever the machine wants one."""
        end, happened = self.now + seconds, []
        while (wake_at := self.machine.wake_at()) is not None and wake_at <= end:
            self.now = max(self.now, wake_at)
            happened += self.put(Tick())
        self.now = end
        return happened

    def ask(self, text: str = "hello", **fields: object) -> list[Action]:
        return self.put(Ask(text=text, **fields))  # type: ignore[arg-type]

    def mind_says(self, *texts: str, attempt: int = 1, first: int = 0, done: bool = True) -> list[Action]:
        turn = self.machine.turns
        happened = self.put(Working(stage="llm", worker="m", turn=turn, attempt=attempt))
        for number, text in enumerate(texts, first):
            happened += self.put(TextDelta(turn=turn, attempt=attempt, seq=number, text=text + " "))
            happened += self.put(self.segment(number, text, attempt=attempt))
        if done:
            happened += self.put(self.mind_done(first + len(texts), attempt=attempt))
        return happened

    def segment(self, number: int, text: str, *, attempt: int = 1) -> Synthesize:
        return Synthesize(
            gw="g", sid="S", turn=self.machine.turns, attempt=attempt, segment=number, text=text,
            audio=AudioFormat(rate_hz=RATE_HZ), remaining_ms=1000, language="en", voice="v", mood="calm",
        )  # fmt: skip

    def mind_done(self, segments: int, *, attempt: int = 1) -> MindDone:
        return MindDone(
            turn=self.machine.turns, attempt=attempt, deltas=segments, segments=segments,
            engine="fake", model="m", is_degraded=True,
        )  # fmt: skip

    def chunk(
        self, segment: int, seq: int, *, attempt: int = 1, take: int = 1, level: float = 0.1
    ) -> AudioChunk:
        return AudioChunk(
            turn=self.machine.turns, attempt=attempt, segment=segment, take=take, seq=seq,
            start=seq * CHUNK_SAMPLES, samples=CHUNK_SAMPLES, rate_hz=RATE_HZ, codec="pcm",
            level=level, data=bytes([segment, seq]) * CHUNK_SAMPLES,
        )  # fmt: skip

    def voice_done(self, segment: int, chunks: int, *, attempt: int = 1, take: int = 1) -> SegmentDone:
        return SegmentDone(
            turn=self.machine.turns, attempt=attempt, segment=segment, take=take, chunks=chunks,
            samples=chunks * CHUNK_SAMPLES, rate_hz=RATE_HZ, engine="tone", device="cpu", model="t",
        )  # fmt: skip

    def voice_speaks(
        self, segment: int, chunks: int = 10, *, attempt: int = 1, take: int = 1, level: float = 0.1
    ) -> list[Action]:
        turn = self.machine.turns
        happened = self.put(
            Working(stage="tts", worker="v", turn=turn, attempt=attempt, segment=segment, take=take)
        )
        for seq in range(chunks):
            happened += self.put(self.chunk(segment, seq, attempt=attempt, take=take, level=level))
        return happened + self.put(self.voice_done(segment, chunks, attempt=attempt, take=take))

    # ------------------------------------------------------------ the person

    def begins(self, number: int = 1, *, lease: int = 1, after_s: float = 0.1) -> list[Action]:
        """Begins to speak; the ears tell it ``after_s`` later."""
        began_at, self.now = self.now, self.now + after_s
        return self.put(Onset(at_ms=0, utterance=(lease, number), began_at=began_at))

    def speaks(self, speech_ms: int, silence_ms: int = 0, *, number: int = 1) -> list[Action]:
        return self.put(Spoken(utterance=(1, number), speech_ms=speech_ms, silence_ms=silence_ms))

    def understood(self, text: str, number: int = 1) -> list[Action]:
        return self.put(Understood(utterance=(1, number), text=text))

    def likely(self, text: str, number: int = 1) -> list[Action]:
        return self.put(Likely(ask=Ask(text=text, is_spoken=True, language="en", utterance=(1, number))))

    def goes_on(self, number: int = 1) -> list[Action]:
        return self.put(WentOn(utterance=(1, number)))

    def final(self, text: str, number: int = 1, **fields: object) -> list[Action]:
        """Has spoken; an empty text is nothing."""
        if not text:
            return self.put(HeardNothing(utterance=(1, number)))
        ask = {"language": "en", "utterance": (1, number)} | fields
        return self.put(Ask(text=text, is_spoken=True, **ask))  # type: ignore[arg-type]

    def says(self, text: str, number: int = 1) -> list[Action]:
        return self.begins(number) + self.final(text, number)

    # ------------------------------------------------------------ whole answers

    def answers(self, *texts: str, chunks: int = 10) -> list[Action]:
        happened = self.mind_says(*texts)
        for number in range(len(texts)):
            happened += self.voice_speaks(number, chunks)
        return happened


def events(actions: list[Action], kind: type) -> list[object]:
    return [action.event for action in actions if isinstance(action, Emit) and isinstance(action.event, kind)]


def of(actions: list[Action], kind: type) -> list[object]:
    return [action for action in actions if isinstance(action, kind)]


def terminals(actions: list[Action]) -> list[object]:
    return [
        action.event
        for action in actions
        if isinstance(action, Emit)
        and (
            isinstance(action.event, TERMINAL)
            or (isinstance(action.event, ErrorEvent) and action.event.turn_id)
        )
    ]
