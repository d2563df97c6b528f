"""The straight way of sound: whatever else happens, it comes to what the turn machine would have done."""

from __future__ import annotations

from hypothesis import event as note
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.absence import LastingTurns
from services.gateway.straight import Straight, straight
from services.gateway.turn import TurnMachine
from services.gateway.turn_actions import playing
from services.gateway.turn_io import Action, Ask, Back, EmitAudio, Gone, Input, Say, Tick, TurnPolicy
from shared.messages import AudioChunk, AudioFormat, MindDone, Synthesize, Timing, WordTime
from tests.gateway.test_turn_properties import inputs

RATE_HZ, SAMPLES = 1000, 100
TEXT = "some words here"
policies = st.sampled_from([TurnPolicy(), TurnPolicy(turn_s=1.0, voice_lost_s=0.2)])


class Machine:
    """A session's machine, with the straight way in front of it or without."""

    def __init__(self, policy: TurnPolicy, *, is_quick: bool) -> None:
        self.machine: TurnMachine = LastingTurns("S", policy)
        self.passed = 0
        self._is_quick = is_quick
        self._straight: Straight | None = None

    def take(self, event: Input, now: float) -> list[Action]:
        if isinstance(event, AudioChunk) and self._straight is not None and self._straight.takes(event, now):
            self.passed += 1
            return [EmitAudio(turn=event.turn, chunk=event)]
        self.settle()
        actions = self.machine.handle(event, now)
        self._straight = self.machine.straight(playing(event, actions)) if self._is_quick else None
        return actions

    def settle(self) -> None:
        if self._straight is not None:
            self._straight.settle()


def chunk(number: int, *, segment: int = 0, level: float = 0.1) -> AudioChunk:
    return AudioChunk(
        turn=1, attempt=1, segment=segment, take=1, seq=number, start=SAMPLES * number, samples=SAMPLES,
        rate_hz=RATE_HZ, codec="pcm", level=level, data=b"\1\0" * SAMPLES,
    )  # fmt: skip


def work(segment: int) -> Synthesize:
    return Synthesize(
        gw="g", sid="S", turn=1, attempt=1, segment=segment, text=TEXT, audio=AudioFormat(), remaining_ms=1
    )


def timing(from_sample: int) -> Timing:
    word = WordTime(begin=5, end=10, from_sample=from_sample, to_sample=from_sample + 50)
    return Timing(turn=1, attempt=1, segment=0, take=1, rate_hz=RATE_HZ, words=[word])


others: st.SearchStrategy[Input] = st.one_of(
    st.just(Tick()),
    st.builds(timing, st.integers(0, 2000)),
    st.builds(chunk, st.integers(0, 20), segment=st.integers(0, 1), level=st.sampled_from([0.0, 0.1])),
    st.builds(Gone, unsent_ms=st.floats(0, 500)),
    st.just(Back()),
    inputs,
)
sequences = st.lists(
    st.tuples(st.sampled_from([0.0, 0.02, 0.1, 0.3]), st.integers(1, 6), others), min_size=1, max_size=12
)


@given(policies, sequences, st.booleans())
def test_what_goes_straight_comes_to_what_the_machine_would_have_done(
    policy: TurnPolicy, sequence: list[tuple[float, int, Input]], is_text: bool
) -> None:
    quick, slow = Machine(policy, is_quick=True), Machine(policy, is_quick=False)
    now, number = 10.0, 0

    def both(event: Input) -> None:
        assert quick.take(event, now) == slow.take(event, now)

    both(Ask(text="q", wants_audio=True) if is_text else Say(text=TEXT))
    both(work(0))
    both(work(1))
    for wait_s, count, other in sequence:
        for _ in range(count):
            now += wait_s
            both(chunk(number))
            number += 1
        both(other)
        assert quick.machine.wake_at() == slow.machine.wake_at()
        assert quick.machine.is_speaking(now) == slow.machine.is_speaking(now)
    note(f"went straight: {quick.passed > 0}")
    both(MindDone(turn=1, attempt=1, deltas=1, segments=2, engine="e", model="m"))
    both(Gone(unsent_ms=100.0))
    both(Back())


def test_most_of_an_answer_goes_straight_and_not_what_something_is_to_be_told_before() -> None:
    quick = Machine(TurnPolicy(), is_quick=True)
    quick.take(Say(text=TEXT), 0.0)
    quick.take(work(0), 0.0)
    quick.take(timing(250), 0.0)
    for number in range(10):
        quick.take(chunk(number), 0.1 * number)
    assert quick.passed == 7, "not the first, the third with a word before it, and the one behind that"


def test_there_is_no_straight_way_for_nobody_for_silence_or_for_a_playback_that_stands_still() -> None:
    quick = Machine(TurnPolicy(), is_quick=True)
    assert straight(None, (1, 1, 0, 1)) is None
    quick.take(Say(text=TEXT), 0.0)
    quick.take(work(0), 0.0)
    for number in range(3):
        quick.take(chunk(number, level=0.0), 0.0)
    assert quick.passed == 0, "nothing was audible yet"
    quick.take(chunk(3), 0.0)
    answer = quick.machine._answering.answer
    assert answer is not None
    assert straight(answer, (1, 1, 0, 1)) is not None
    assert straight(answer, (2, 1, 0, 1)) is None
    answer.playout.hold(0.0)
    assert straight(answer, (1, 1, 0, 1)) is None
