"""Whoever speaks when: each pause ends once, sound goes on at the next sample, nothing is told too early."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.backchannels import words
from services.gateway.chat_protocol import (
    BargeIn,
    ErrorEvent,
    FinalEvent,
    Flush,
    Interrupted,
    Pause,
    Resume,
    SegmentEvent,
    ServerEvent,
    SpeechStartedEvent,
    SpeechStoppedEvent,
    Token,
    TurnDone,
    TurnStarted,
)
from services.gateway.turn import State, TurnMachine
from services.gateway.turn_io import (
    Action,
    Ask,
    CancelWork,
    Emit,
    EmitAudio,
    Halt,
    HeardNothing,
    Input,
    Likely,
    Onset,
    PlayedTo,
    Remember,
    Say,
    Speak,
    Speculated,
    Spoken,
    Think,
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

RATE_HZ = 1000
CHUNK = 100
TEXTS = ("mm-hm", "what about tomorrow", "stop", "some words here", "Mm hm!")

numbers = st.integers(1, 4)
texts = st.sampled_from(TEXTS)


def _spoken_ask(number: int, text: str) -> Ask:
    return Ask(text=text, is_spoken=True, utterance=(1, number))


ears: st.SearchStrategy[Input] = st.one_of(
    st.builds(Onset, at_ms=st.just(0), utterance=st.tuples(st.just(1), numbers)),
    st.builds(
        Spoken, utterance=st.tuples(st.just(1), numbers), speech_ms=st.sampled_from([100, 300, 500]),
        silence_ms=st.sampled_from([0, 300]),
    ),
    st.builds(Understood, utterance=st.tuples(st.just(1), numbers), text=texts),
    st.builds(_spoken_ask, numbers, texts).map(lambda ask: Likely(ask=ask)),
    st.builds(WentOn, utterance=st.tuples(st.just(1), numbers)),
    st.builds(_spoken_ask, numbers, texts),
    st.builds(
        HeardNothing, utterance=st.tuples(st.just(1), numbers), is_failure=st.booleans(),
        say=st.none() | st.just(Say(text="pardon")),
    ),
)  # fmt: skip
hands: st.SearchStrategy[Input] = st.one_of(
    st.builds(Ask, text=st.just("typed"), wants_audio=st.booleans()),
    st.builds(Halt, reason=st.just("client"), played_ms=st.none() | st.integers(0, 900)),
    st.builds(PlayedTo, turn=numbers, ms=st.integers(0, 900)),
)  # fmt: skip
WORK = st.integers(1, 8)
"""So many of the workers' next messages arrive."""
stories = st.lists(st.tuples(st.sampled_from([0.0, 0.05, 0.3, 0.7]), ears | ears | hands | WORK), max_size=50)
ways = st.builds(BargeIn, mode=st.sampled_from(["judge", "judge", "immediate", "off", "half_duplex"]))


def sound(turn: int, segment: int, seq: int) -> bytes:
    """Samples that tell where they stand."""
    return bytes([turn * 31 % 256, (segment * 16 + seq) % 256]) * CHUNK


@dataclass
class World:
    """A machine with workers that answer everything, in order, and notes of what the client got."""

    way: BargeIn
    speculations: int
    now: float = 0.0
    pending: list[Input] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    started: dict[str, Input] = field(default_factory=dict)
    """Turns, by the input that began them."""
    thought: dict[int, str] = field(default_factory=dict)
    pauses: dict[str, int] = field(default_factory=dict)
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    used: int = 0
    dropped: int = 0

    def __post_init__(self) -> None:
        self.machine = TurnMachine("S", TurnPolicy(speculations=self.speculations))
        self.machine.use(self.way)

    def put(self, event: Input) -> None:
        for action in self.machine.handle(event, self.now):
            self.actions.append(action)
            self._note(action, event)
        self.machine.wake_at()

    def _note(self, action: Action, cause: Input) -> None:
        match action:
            case Think(turn=turn, attempt=attempt, first_segment=first):
                self.thought[turn] = action.ask.text
                self.pending += _answer(turn, attempt, first, wants_audio=action.ask.wants_audio)
            case Speak(turn=turn, attempt=attempt, segment=segment, take=take):
                self.pending += _voice(turn, attempt, segment, take)
            case Emit(event=event):
                self._told(event, cause)
            case EmitAudio(turn=turn, chunk=chunk):
                turn_id = f"S-{turn}"
                assert turn_id in self.started, "sound of a turn that nobody was told of"
                assert not self.ended[turn_id], "sound behind the turn's end"
                assert turn_id not in self.pauses, "sound in a pause"
                segment, start = self.places.get(turn, (0, 0))
                if chunk.segment > segment:
                    segment, start = chunk.segment, 0
                assert (chunk.segment, chunk.start) == (segment, start), "sound is missing or double"
                assert chunk.data == sound(turn, segment, start // CHUNK)
                self.places[turn] = (segment, start + chunk.samples)
            case Remember(turn=turn):
                assert f"S-{turn}" in self.started, "remembered without a final"
            case Speculated(is_used=is_used):
                self.used += is_used
                self.dropped += not is_used
            case _:
                pass

    def _told(self, event: ServerEvent, cause: Input) -> None:
        match event:
            case TurnStarted(turn_id=turn_id):
                assert turn_id not in self.started
                self.started[turn_id] = cause
                if (
                    isinstance(cause, Ask)
                    and cause.is_spoken
                    and (asked := self.thought.get(int(turn_id.removeprefix("S-"))))
                ):
                    assert words(asked)[-len(words(cause.text)) :] == words(cause.text)
            case Pause(turn_id=turn_id):
                assert turn_id not in self.pauses, "paused twice"
                self.pauses[turn_id] = 1
            case Resume(turn_id=turn_id):
                assert self.pauses.pop(turn_id, 0), "resumed without a pause"
            case Flush(turn_id=turn_id):
                self.pauses.pop(turn_id, 0)
            case TurnDone(turn_id=turn_id) | Interrupted(turn_id=turn_id):
                self.ended[turn_id] += 1
                parts = event.timeline
                whole = parts.endpoint_ms + parts.stt_ms + parts.llm_ms + parts.tts_ms + parts.send_ms
                assert min(parts.endpoint_ms, parts.stt_ms, parts.llm_ms, parts.tts_ms, parts.send_ms) >= 0
                assert not parts.response_ms or abs(whole - parts.response_ms) < 0.1
            case ErrorEvent(turn_id=str(turn_id)):
                self.ended[turn_id] += 1
            case Token(turn_id=turn_id) | SegmentEvent(turn_id=turn_id) | FinalEvent(turn_id=str(turn_id)):
                is_known = turn_id in self.started or isinstance(event, FinalEvent)
                assert is_known, "told of a turn before it was begun"
            case _:
                assert isinstance(event, FinalEvent | SpeechStartedEvent | SpeechStoppedEvent)

    def live(self, story: list[tuple[float, Input | int]]) -> None:
        for wait, step in story:
            self.pass_time(wait)
            if isinstance(step, int):
                arriving, self.pending = self.pending[:step], self.pending[step:]
                for message in arriving:
                    self.put(message)
            else:
                self.put(step)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (wake_at := self.machine.wake_at()) is not None and wake_at <= end:
            self.now = max(self.now, wake_at)
            self.put(Tick())
        self.now = end

    def run_out(self) -> None:
        """The person says nothing more, the workers bring what they have, and time passes."""
        for number in range(1, 5):
            self.put(HeardNothing(utterance=(1, number)))
        for _ in range(500):
            if self.pending:
                self.put(self.pending.pop(0))
            elif (wake_at := self.machine.wake_at()) is not None:
                self.now = max(self.now, wake_at)
                self.put(Tick())
            else:
                return
        raise AssertionError("the machine never rests")


def _answer(turn: int, attempt: int, first: int, *, wants_audio: bool) -> list[Input]:
    happened: list[Input] = [Working(stage="llm", worker="m", turn=turn, attempt=attempt)]
    for segment in (first, first + 1):
        happened.append(TextDelta(turn=turn, attempt=attempt, seq=segment, text="some answer "))
        if wants_audio:
            happened.append(
                Synthesize(
                    gw="g", sid="S", turn=turn, attempt=attempt, segment=segment, text="some answer",
                    audio=AudioFormat(rate_hz=RATE_HZ), remaining_ms=1000,
                )
            )  # fmt: skip
            happened += _voice(turn, attempt, segment, 1)
    segments = first + 2 if wants_audio else 0
    return [
        *happened,
        MindDone(turn=turn, attempt=attempt, deltas=2, segments=segments, engine="e", model="m"),
    ]


def _voice(turn: int, attempt: int, segment: int, take: int) -> list[Input]:
    ids = {"turn": turn, "attempt": attempt, "segment": segment, "take": take}
    chunks: list[Input] = [
        AudioChunk(
            seq=seq, start=seq * CHUNK, samples=CHUNK, rate_hz=RATE_HZ, codec="pcm", level=0.1,
            data=sound(turn, segment, seq), **ids,
        )
        for seq in range(4)
    ]  # fmt: skip
    done = SegmentDone(chunks=4, samples=4 * CHUNK, rate_hz=RATE_HZ, engine="v", device="cpu", **ids)
    return [*chunks, done]


@settings(max_examples=200, deadline=None)
@given(ways, st.integers(0, 2), st.integers(0, 14), stories)
def test_nothing_is_told_too_early_and_everything_comes_to_its_end(
    way: BargeIn, speculations: int, done: int, story: list[tuple[float, Input | int]]
) -> None:
    """``done``: so much of a first answer is there when the story begins."""
    world = World(way, speculations)
    world.put(Ask(text="typed"))
    world.live([(0.0, done), *story])
    world.run_out()
    assert set(world.ended) == set(world.started)
    assert all(count == 1 for count in world.ended.values())
    assert not world.pauses, "a pause that never ended"
    assert world.machine.state is State.IDLE
    began = sum(
        isinstance(action, Think) and action.attempt == 1 and f"S-{action.turn}" not in world.started
        for action in world.actions
    )
    assert world.dropped >= began, "an answer ahead of its final that was neither used nor cancelled"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 40), st.sampled_from(TEXTS), stories)
def test_no_speculation_is_known_of_without_its_final(
    done: int, text: str, story: list[tuple[float, Input | int]]
) -> None:
    """The person goes on, or it is something else: whatever else happens, nothing is known of turn 1."""
    world = World(BargeIn(), 1)
    world.put(Onset(at_ms=0, utterance=(1, 1)))
    world.put(Likely(ask=_spoken_ask(1, text)))
    world.live([(0.0, done)])
    world.put(WentOn(utterance=(1, 1)))
    late, world.pending = world.pending, []
    world.live([(wait, late.pop(0) if late and isinstance(step, int) else step) for wait, step in story])
    world.run_out()
    assert "S-1" not in world.started
    assert not [action for action in world.actions if isinstance(action, EmitAudio) and action.turn == 1]
    assert not [action for action in world.actions if isinstance(action, Remember) and action.turn == 1]
    assert CancelWork(turn=1) in world.actions
