"""Whatever happens in whatever order: one end for each turn, no sound after it, and sound in order.

What is said into EVA's turn pauses her until it is judged, and what is answered ahead is not known of before
its final.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.chat_protocol import BargeIn, ErrorEvent, Interrupted, TurnDone, TurnStarted
from services.gateway.turn import State, TurnMachine
from services.gateway.turn_io import (
    NEWEST,
    Action,
    Ask,
    Discarded,
    Emit,
    EmitAudio,
    Halt,
    HeardNothing,
    Input,
    Onset,
    PlayedTo,
    Returned,
    Say,
    Speak,
    Think,
    Tick,
    TurnPolicy,
    TurnReport,
    Undelivered,
    Wish,
)
from shared.messages import (
    AudioChunk,
    AudioFormat,
    Failed,
    MindDone,
    SegmentDone,
    Synthesize,
    TextDelta,
    ToolCall,
    ToolUse,
    Working,
)

turns = st.integers(1, 4)
attempts = st.integers(1, 3)
segments = st.integers(0, 2)
takes = st.integers(1, 2)
seqs = st.integers(0, 3)
yes = st.booleans()
wishes = st.sampled_from(
    [Wish(), Wish(hands_over=True), Wish(hands_over=True, tool_choice="required"), Wish(tool_choice="look")]
)


@st.composite
def chunks(draw: st.DrawFn) -> AudioChunk:
    seq = draw(seqs)
    return AudioChunk(
        turn=draw(turns), attempt=draw(attempts), segment=draw(segments), take=draw(takes), seq=seq,
        start=seq * 100, samples=100, rate_hz=1000, codec="pcm", level=draw(st.sampled_from([0.0, 0.1])),
        data=b"\1\0" * 100,
    )  # fmt: skip


inputs: st.SearchStrategy[Input] = st.one_of(
    st.builds(Ask, text=st.just("q"), wants_audio=yes, is_spoken=yes, is_canary=yes, wish=wishes),
    st.builds(Ask, text=st.none(), wants_audio=yes, wish=wishes),
    st.builds(Say, text=st.just("say")),
    st.builds(Onset, at_ms=st.just(0)),
    st.just(HeardNothing()),
    st.just(HeardNothing(is_failure=True, code="c", message="m", say=Say(text="pardon"))),
    st.just(Discarded(utterance=NEWEST)),
    st.builds(Halt, reason=st.just("client"), played_ms=st.none() | st.integers(0, 500)),
    st.builds(PlayedTo, turn=turns, ms=st.integers(0, 500)),
    st.builds(Undelivered, stage=st.just("llm"), turn=turns, code=st.just("busy"), message=st.just("m")),
    st.builds(TextDelta, turn=turns, attempt=attempts, seq=st.just(0), text=st.just("word ")),
    st.builds(
        MindDone, turn=turns, attempt=attempts, deltas=st.just(1), segments=segments,
        engine=st.just("e"), model=st.just("m"), tool_calls=st.integers(0, 1),
    ),
    st.builds(ToolCall, turn=turns, attempt=attempts, call=st.just(ToolUse(id="c", name="look"))),
    st.builds(Returned, call_id=st.just("c"), output=st.just("rain")),
    st.builds(
        Synthesize, gw=st.just("g"), sid=st.just("S"), turn=turns, attempt=attempts, segment=segments,
        text=st.just("some words here"), audio=st.just(AudioFormat()), remaining_ms=st.just(1), take=takes,
    ),
    chunks(),
    st.builds(
        SegmentDone, turn=turns, attempt=attempts, segment=segments, take=takes, chunks=st.just(1),
        samples=st.sampled_from([0, 100, 200]), rate_hz=st.just(1000), engine=st.just("v"),
        device=st.just("cpu"),
    ),
    st.builds(
        Working, stage=st.sampled_from(["llm", "tts"]), worker=st.just("w"), turn=turns, attempt=attempts,
        segment=segments, take=takes,
    ),
    st.builds(
        Failed, stage=st.sampled_from(["llm", "tts"]), worker=st.just("w"), turn=turns, attempt=attempts,
        segment=segments, take=takes, code=st.sampled_from(["engine_failed", "expired"]),
        message=st.just("m"),
    ),
    st.just(Tick()),
)  # fmt: skip

steps = st.lists(st.tuples(st.floats(0, 3), inputs), max_size=60)


def run_out(machine: TurnMachine, now: float) -> tuple[list[Action], float]:
    """Lets time pass until the machine wants no more of it."""
    happened: list[Action] = []
    for _ in range(100):
        wake_at = machine.wake_at()
        if wake_at is None:
            return happened, now
        now = max(now, wake_at)
        happened += machine.handle(Tick(), now)
    raise AssertionError("the machine never rests")


@settings(max_examples=300, deadline=None)
@given(steps, yes)
def test_every_turn_has_exactly_one_end_and_no_sound_behind_it(
    story: list[tuple[float, Input]],
    answers: bool,
) -> None:
    machine, now, actions = TurnMachine("S", TurnPolicy()), 0.0, []
    machine.use(BargeIn(), answers=answers)
    for wait, event in story:
        now += wait
        actions += machine.handle(event, now)
    rest, now = run_out(machine, now)
    actions += rest
    started = {a.event.turn_id for a in actions if isinstance(a, Emit) and isinstance(a.event, TurnStarted)}
    ended: Counter[str] = Counter()
    for action in actions:
        match action:
            case Emit(event=TurnDone() | Interrupted() as event):
                ended[event.turn_id] += 1
            case Emit(event=ErrorEvent(turn_id=str(turn_id))):
                ended[turn_id] += 1
            case EmitAudio(turn=turn):
                assert not ended[f"S-{turn}"], "sound behind the turn's end"
            case _:
                pass
    assert set(ended) == started
    assert all(count == 1 for count in ended.values())
    assert sum(isinstance(action, TurnReport) for action in actions) == len(started)
    assert machine.state in {State.IDLE, State.LISTENING}


@settings(max_examples=200, deadline=None)
@given(steps)
def test_sound_is_in_order_and_done_means_audible(story: list[tuple[float, Input]]) -> None:
    machine, now = TurnMachine("S", TurnPolicy()), 0.0
    places: dict[int, tuple[int, int]] = {}
    audible: set[int] = set()
    wanted: dict[str, bool] = {}
    for wait, event in story:
        now += wait
        for action in machine.handle(event, now):
            match action:
                case EmitAudio(turn=turn, chunk=chunk):
                    place = (chunk.segment, chunk.start)
                    assert place > places.get(turn, (-1, -1)), "sound out of order or played twice"
                    places[turn] = place
                    if chunk.level > 0.01:
                        audible.add(turn)
                case Think(ask=ask, turn=turn, attempt=attempt):
                    assert attempt <= 3
                    wanted[f"S-{turn}"] = ask.wants_audio
                case Speak(take=take):
                    assert take <= 3
                case Emit(event=TurnDone(turn_id=turn_id, calls=calls)):
                    if wanted.get(turn_id, True) and not calls:
                        assert int(turn_id.removeprefix("S-")) in audible
                case _:
                    pass
