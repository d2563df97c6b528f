"""Whenever a client is lost, in whatever pieces sound comes: each sample reaches it once, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.absence import LastingTurns
from services.gateway.chat_protocol import Interrupted, ToolCallEvent, TurnDone, TurnStarted
from services.gateway.turn_io import (
    Action,
    Ask,
    Back,
    Emit,
    EmitAudio,
    Forget,
    GoesOn,
    Gone,
    Halt,
    Input,
    Parted,
    Pend,
    Remember,
    Say,
    Speak,
    TakenUp,
    Think,
    Tick,
    TurnPolicy,
)
from shared.messages import (
    AudioChunk,
    AudioFormat,
    MindDone,
    Rest,
    SegmentDone,
    Synthesize,
    TextDelta,
    Timing,
    ToolCall,
    ToolUse,
    WordTime,
    Working,
)

RATE_HZ = 1000
"""A sample is a millisecond."""
POLICY = TurnPolicy(
    filler_s=0.0,
    apology_s=0.0,
    turn_s=1e6,
    take_up_s=1e6,
    beat_lost_s=1e6,
    mind_lost_s=1e6,
    voice_lost_s=1e6,
    hold_s=1e6,
)
"""Everybody is patient: only the client is lost."""
SEGMENTS = st.lists(st.lists(st.integers(1, 900), min_size=1, max_size=5), min_size=1, max_size=4)
"""Of each segment the samples of its chunks."""


@dataclass
class Person:
    """A client that plays what it gets at once, at the pace of sound, and the machine it talks to."""

    machine: LastingTurns = field(default_factory=lambda: LastingTurns("s", POLICY))
    now: float = 100.0
    sound: list[int] = field(default_factory=list)
    """The samples that it has; each is the place of the sample in the whole answer."""
    told: list[Action] = field(default_factory=list)
    is_there: bool = True

    def feed(self, event: Input) -> list[Action]:
        actions = self.machine.handle(event, self.now)
        for action in actions:
            if isinstance(action, GoesOn):
                from_ms = action.turn.from_ms
                assert from_ms <= len(self.sound), "nothing is left out"
                del self.sound[round(from_ms) :]
            elif isinstance(action, EmitAudio):
                assert self.is_there, "nobody hears it"
                self.sound += samples_of(action.chunk)
        self.told += actions
        return actions

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while (at := self.machine.wake_at()) is not None and at <= until:
            self.now = max(self.now, at)
            self.feed(Tick())
            if self.machine.wake_at() == at:
                break
        self.now = until

    @property
    def ahead(self) -> int:
        """How much of the sound is still to be played: no more than that can be on its way."""
        answer = self.machine._answering.answer
        if answer is None:
            return 0
        return int(answer.playout.sent_ms - answer.playout.played_ms(self.now))

    def count(self, kind: type) -> int:
        return sum(isinstance(action, Emit) and isinstance(action.event, kind) for action in self.told)


def samples_of(chunk: AudioChunk) -> list[int]:
    return [int.from_bytes(chunk.data[at : at + 2], "little") for at in range(0, len(chunk.data), 2)]


def answer_of(sizes: list[list[int]], turn: int = 1) -> list[Input]:
    """Returns what workers tell of an answer whose samples count through."""
    events: list[Input] = [Working(stage="llm", worker="w", turn=turn, attempt=1)]
    ids = {"turn": turn, "attempt": 1}
    place = 0
    for number, chunks in enumerate(sizes):
        text = f"Word{number}."
        events.append(TextDelta(seq=number, text=f"{text} ", **ids))
        events.append(
            Synthesize(
                gw="g", sid="s", segment=number, text=text, audio=AudioFormat(), remaining_ms=9000, **ids
            )
        )
        start = 0
        for seq, samples in enumerate(chunks):
            data = b"".join((place + at).to_bytes(2, "little") for at in range(samples))
            events.append(
                AudioChunk(
                    segment=number, take=1, seq=seq, start=start, samples=samples, rate_hz=RATE_HZ,
                    codec="pcm", level=0.2, data=data, **ids,
                )
            )  # fmt: skip
            start, place = start + samples, place + samples
        events.append(
            SegmentDone(
                segment=number, take=1, chunks=len(chunks), samples=start, rate_hz=RATE_HZ,
                engine="e", device="cpu", **ids,
            )
        )  # fmt: skip
    events.append(MindDone(deltas=len(sizes), segments=len(sizes), engine="e", model="m", **ids))
    return events


@given(
    sizes=SEGMENTS,
    lost=st.lists(
        st.tuples(st.integers(0, 30), st.floats(0, 4), st.floats(0, 3), st.integers(0, 900), st.booleans()),
        max_size=3,
    ),
)
def test_each_sample_reaches_the_client_once_and_in_order(
    sizes: list[list[int]], lost: list[tuple[int, float, float, int, bool]]
) -> None:
    person = Person()
    person.feed(Ask(text="Why?"))
    events = answer_of(sizes)
    for index in range(max([len(events), *(at + 1 for at, *_ in lost)])):
        if index < len(events):
            person.feed(events[index])
        for _, played_s, away_s, most, says in [it for it in lost if it[0] == index]:
            person.wait(played_s)
            unsent = min(most, person.ahead)
            person.feed(Gone(unsent_ms=float(unsent)))
            person.is_there = False
            del person.sound[len(person.sound) - unsent :]
            person.wait(away_s)
            person.is_there = True
            has = Back(turn_id="s-1", ms=float(len(person.sound))) if says else Back()
            person.feed(has)
    person.wait(60.0)
    whole = sum(map(sum, sizes))
    assert person.sound == list(range(whole))
    assert person.count(TurnStarted) == 1
    assert person.count(TurnDone) >= 1
    assert person.count(Interrupted) == 0


@given(sizes=SEGMENTS, index=st.integers(0, 30), played_s=st.floats(0, 2))
def test_who_does_not_come_back_has_heard_what_was_played_until_then(
    sizes: list[list[int]], index: int, played_s: float
) -> None:
    person = Person()
    person.feed(Ask(text="Why?"))
    events = answer_of(sizes)
    for event in events[: index + 1]:
        person.feed(event)
    person.wait(played_s)
    person.feed(Gone())
    person.is_there = False
    for event in events[index + 1 :]:
        person.feed(event)
    person.wait(15.0)
    person.feed(Halt(reason="closed"))
    remembered = [action for action in person.told if isinstance(action, Remember)]
    text = " ".join(f"Word{number}." for number in range(len(sizes)))
    assert remembered
    assert remembered[-1].user == "Why?"
    assert text.startswith(remembered[-1].answer)
    if index < len(events) and played_s < 0.001 and len(person.sound) > 1:
        assert remembered[-1].answer == ""


@given(sizes=SEGMENTS, index=st.integers(0, 30), played_s=st.floats(0, 4), is_lost=st.booleans())
def test_another_gateway_says_each_word_that_was_not_heard_and_no_other(
    sizes: list[list[int]], index: int, played_s: float, is_lost: bool
) -> None:
    person = Person()
    person.feed(Ask(text="Why?"))
    events = answer_of(sizes)[: index + 1]
    for event in events:
        person.feed(event)
        if isinstance(event, Synthesize):
            person.feed(timed(event, sum(sizes[event.segment])))
    person.wait(played_s)
    if is_lost:
        person.feed(Gone())
        person.is_there = False
    person.feed(Parted())
    pending = [action.pending for action in person.told if isinstance(action, Pend)]
    if len(pending) < 2:
        assert person.count(TurnDone), "only a whole answer that was heard needs nobody to go on with it"
        return
    elsewhere = LastingTurns("s", POLICY, turns=0)
    actions = elsewhere.handle(TakenUp(pending=pending[-1], ask=Ask(text="Why?")), 7.0)
    said = [action.text for action in actions if isinstance(action, Speak)]
    thinks = [action for action in actions if isinstance(action, Think)]
    known = [event.text for event in events if isinstance(event, Synthesize)]
    assert [*pending[-1].heard.split(), *said] == known
    assert bool(thinks) == (not pending[-1].is_whole)
    assert all(think.spoken.split() == known and think.first_segment == len(said) for think in thinks)
    assert isinstance(actions[0], GoesOn)
    assert elsewhere.turn_id(elsewhere.turns) == "s-1"


def timed(work: Synthesize, samples: int) -> Timing:
    return Timing(
        turn=work.turn, attempt=1, segment=work.segment, take=1, rate_hz=RATE_HZ,
        words=[WordTime(begin=0, end=len(work.text), from_sample=0, to_sample=samples)], visemes=[],
    )  # fmt: skip


def test_what_nobody_could_go_on_with_is_remembered_as_it_was_heard() -> None:
    read_aloud = Person()
    read_aloud.feed(Say(text="Read this."))
    assert not [action for action in read_aloud.feed(Parted()) if isinstance(action, Pend)]
    idle = Person()
    assert idle.feed(Parted()) == []
    called = Person()
    called.feed(Ask(text="Why?"))
    call = ToolUse(id="c", name="look", arguments="{}")
    called.feed(ToolCall(turn=1, attempt=1, call=call, by="server", result="seen"))
    actions = called.feed(Parted())
    assert [action.user for action in actions if isinstance(action, Remember)] == ["Why?"]
    assert not [action for action in actions if isinstance(action, Pend)]


def test_the_client_s_own_account_goes_before_ours() -> None:
    person, content = Person(), Person()
    for each in (person, content):
        each.feed(Ask(text="Why?"))
        for event in answer_of([[500], [500]]):
            each.feed(event)
            if isinstance(event, Synthesize):
                each.feed(timed(event, 500))
    has_all = content.feed(Parted(turn_id="s-1", ms=1000.0))
    assert not [action for action in has_all if isinstance(action, Pend)], "nothing is missing"
    actions = person.feed(Parted(turn_id="s-1", ms=600.0))
    pending = next(action.pending for action in actions if isinstance(action, Pend))
    assert (pending.heard, [rest.text for rest in pending.rest]) == ("Word0.", ["Word1."])
    assert any(isinstance(action, Forget) for action in actions), "it is remembered where it ends"


def test_calls_that_are_waited_for_are_told_again() -> None:
    person = Person()
    person.feed(Ask(text="Why?"))
    call = ToolUse(id="c", name="look", arguments="{}")
    person.feed(ToolCall(turn=1, attempt=1, call=call))
    person.feed(MindDone(turn=1, attempt=1, deltas=0, segments=0, engine="e", model="m", tool_calls=1))
    person.feed(Gone())
    actions = person.feed(Back())
    told = [action.event for action in actions if isinstance(action, Emit)]
    assert [event.call_id for event in told if isinstance(event, ToolCallEvent)] == ["c"]


def test_sound_that_was_played_long_before_is_forgotten_and_the_gap_is_told() -> None:
    person = Person()
    person.feed(Ask(text="Why?"))
    events = answer_of([[1000] * 40])
    for event in events[:20]:
        person.feed(event)
    person.wait(25.0)
    for event in events[20:30]:
        person.feed(event)
    person.machine.handle(Gone(), person.now)
    actions = person.machine.handle(Back(turn_id="s-1", ms=500.0), person.now)
    turn = next(action.turn for action in actions if isinstance(action, GoesOn))
    assert turn.from_ms == 1000.0
    first = next(action.chunk for action in actions if isinstance(action, EmitAudio))
    assert samples_of(first)[0] == 1000


def test_nothing_is_played_for_nobody_and_the_text_alone_goes_elsewhere() -> None:
    person = Person()
    person.feed(Gone())
    person.is_there = False
    for event in [Ask(text="Why?"), *answer_of([[100]])]:
        person.feed(event)
    assert person.sound == []
    silent = Person()
    silent.feed(Ask(text="Why?"))
    silent.feed(answer_of([[100]])[0])
    actions = silent.feed(Parted())
    pending = next(action.pending for action in actions if isinstance(action, Pend))
    elsewhere = LastingTurns("s", POLICY)
    known = msgspec.structs.replace(pending, heard="Word0.", rest=[Rest(text="Word1.")], is_whole=True)
    actions = elsewhere.handle(TakenUp(pending=known, ask=Ask(text="Why?", wants_audio=False)), 1.0)
    done = [action.event for action in actions if isinstance(action, Emit)]
    assert [event.text for event in done if isinstance(event, TurnDone)] == ["Word0. Word1."]
