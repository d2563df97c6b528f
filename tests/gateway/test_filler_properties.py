"""Whatever the mind does, the person hears something in time, and nothing is said out of turn."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.chat_protocol import Filler, TurnDone
from services.gateway.turn import TurnMachine
from services.gateway.turn_io import (
    Action,
    Ask,
    Emit,
    EmitAudio,
    Input,
    Onset,
    Speak,
    Spoken,
    Think,
    Tick,
    TurnPolicy,
)
from shared.messages import AudioChunk, AudioFormat, Failed, MindDone, SegmentDone, Synthesize, Working
from tests.fakes.clips import CHUNK_SAMPLES, RATE_HZ, Ready
from tests.gateway.dialogue import events, terminals

Way = Literal["silent", "answers", "fails", "unavailable"]
POLICY = TurnPolicy()
VOICE_S = 0.1
BEAT_S = 0.5


@dataclass(frozen=True)
class Mind:
    """What the mind does with one attempt."""

    way: Way
    after_s: float


minds = st.builds(
    Mind, way=st.sampled_from(["silent", "answers", "fails", "unavailable"]), after_s=st.floats(0.01, 6.0)
)


@dataclass
class Story:
    """A machine among workers on a virtual clock."""

    attempts: list[Mind]
    now: float = 100.0
    machine: TurnMachine = field(default_factory=lambda: TurnMachine("S", POLICY, clips=Ready()))
    coming: list[tuple[float, Input]] = field(default_factory=list)
    done: list[tuple[float, Action]] = field(default_factory=list)
    thought: int = 0

    def put(self, event: Input) -> None:
        for action in self.machine.handle(event, self.now):
            self.done.append((self.now, action))
            if isinstance(action, Think):
                self.think(action)
            elif isinstance(action, Speak):
                self.speak(action.turn, action.attempt, action.segment, action.take)

    def think(self, work: Think) -> None:
        mind = self.attempts[self.thought % len(self.attempts)]
        self.thought += 1
        ids = {"turn": work.turn, "attempt": work.attempt}
        if mind.way == "unavailable":
            return
        at = self.now + mind.after_s
        lasts_s = mind.after_s if mind.way in {"answers", "fails"} else 60.0
        for beat in range(int(lasts_s / BEAT_S) + 1):
            self.later(self.now + beat * BEAT_S, Working(stage="llm", worker="m", beat=beat, **ids))
        if mind.way == "fails":
            self.later(at, Failed(stage="llm", worker="m", code="engine_failed", message="m", **ids))
        if mind.way == "answers":
            segment = Synthesize(
                gw="g", sid="S", segment=work.first_segment, text="Hello there.", remaining_ms=1000,
                audio=AudioFormat(rate_hz=RATE_HZ), **ids,
            )  # fmt: skip
            self.later(at, segment)
            self.later(at, MindDone(deltas=1, segments=work.first_segment + 1, engine="e", model="m", **ids))
            self.speak(work.turn, work.attempt, work.first_segment, 1, at)

    def speak(self, turn: int, attempt: int, segment: int, take: int, asked_at: float = 0.0) -> None:
        ids = {"turn": turn, "attempt": attempt, "segment": segment, "take": take}
        at = max(self.now, asked_at) + VOICE_S
        chunk = AudioChunk(
            seq=0, start=0, samples=CHUNK_SAMPLES, rate_hz=RATE_HZ, codec="pcm", level=0.1,
            data=b"\1\0" * CHUNK_SAMPLES, **ids,
        )  # fmt: skip
        self.later(at, chunk)
        self.later(
            at,
            SegmentDone(chunks=1, samples=CHUNK_SAMPLES, rate_hz=RATE_HZ, engine="v", device="cpu", **ids),
        )

    def later(self, at: float, event: Input) -> None:
        self.coming.append((at, event))
        self.coming.sort(key=lambda each: each[0])

    def run(self, until: float) -> None:
        while True:
            wake_at = self.machine.wake_at()
            at = min(
                [at for at, _ in self.coming[:1]] + ([wake_at] if wake_at is not None else []), default=until
            )
            if at >= until:
                break
            self.now = max(self.now, at)
            if self.coming and self.coming[0][0] <= at:
                self.put(self.coming.pop(0)[1])
            else:
                self.put(Tick())
        self.now = until

    @property
    def actions(self) -> list[Action]:
        return [action for _, action in self.done]


def audible(story: Story) -> list[float]:
    """When sound was sent that can be heard."""
    return [at for at, action in story.done if isinstance(action, EmitAudio) and action.chunk.level > 0.01]


def never_twice(actions: list[Action]) -> bool:
    texts = [event.text for event in events(actions, Filler)]  # type: ignore[attr-defined]
    return all(one != other for one, other in itertools.pairwise(texts))


@settings(max_examples=150, deadline=None)
@given(st.lists(minds, min_size=1, max_size=3), st.integers(1, 3))
def test_whatever_the_mind_does_there_is_sound_in_time_and_one_end(attempts: list[Mind], turns: int) -> None:
    story = Story(attempts)
    for _ in range(turns):
        asked_at, before = story.now, len(story.done)
        story.put(Ask(text="q"))
        story.run(story.now + 40.0)
        turn = story.done[before:]
        heard = [at for at in audible(story) if at >= asked_at]
        assert heard[0] <= asked_at + POLICY.filler_s + VOICE_S + 1e-6
        own = [at for at, each in turn if isinstance(each, EmitAudio) and each.chunk.segment >= 0]
        assert own[0] <= asked_at + POLICY.apology_s + VOICE_S + 1e-6
        told = [at for at, each in turn if isinstance(each, Emit) and isinstance(each.event, Filler)]
        assert all(at <= own[0] for at in told), "a filler behind the answer's first sound"
        (end,) = terminals([each for _, each in turn])
        if isinstance(end, TurnDone):
            assert end.timeline.fillers == len(told)
            assert end.timeline.first_sound_ms <= end.timeline.response_ms
    assert never_twice(story.actions)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(minds, min_size=1, max_size=3),
    st.lists(st.tuples(st.floats(0.0, 4.0), st.sampled_from(["typed", "onset", "said"])), max_size=8),
)
def test_nothing_bridges_over_a_person_and_no_filler_follows_itself(
    attempts: list[Mind], deeds: list[tuple[float, str]]
) -> None:
    story, speaking, utterance = Story(attempts), False, 0
    for after_s, deed in deeds:
        before = len(story.done)
        story.run(story.now + after_s)
        if speaking:
            sent = [each for _, each in story.done[before:] if isinstance(each, EmitAudio)]
            assert not [each for each in sent if each.chunk.segment < 0], "a filler over somebody who speaks"
        if deed == "typed" and not speaking:
            story.put(Ask(text="q"))
        elif deed == "onset" and not speaking:
            utterance, speaking = utterance + 1, True
            story.put(Onset(at_ms=0, utterance=(1, utterance)))
            for tenth in range(1, 50):
                spoken = Spoken(utterance=(1, utterance), speech_ms=100 * tenth, silence_ms=0)
                story.later(story.now + tenth / 10, spoken)
        elif deed == "said" and speaking:
            speaking = False
            story.put(Ask(text="words enough for a turn", is_spoken=True, utterance=(1, utterance)))
    story.put(Ask(text="the last one"))
    story.run(story.now + 60.0)
    assert never_twice(story.actions)
    started = {each.turn for each in story.actions if isinstance(each, Think)}
    ended = [end.turn_id for end in terminals(story.actions)]  # type: ignore[attr-defined]
    assert len(ended) == len(set(ended))
    assert len(ended) <= story.machine.turns
    assert f"S-{max(started)}" in ended
