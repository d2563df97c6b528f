"""Whatever is called and returns in whatever order: one end for each turn, one answer for each call."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.chat_protocol import ErrorEvent, Interrupted, SegmentEvent, ToolCallEvent, TurnDone
from services.gateway.turn import TurnMachine
from services.gateway.turn_io import Action, Ask, Emit, Halt, Input, Returned, Think, TurnPolicy
from shared.messages import Failed, MindDone, TextDelta, ToolCall, ToolUse
from tests.gateway.test_turn_properties import inputs, run_out

ids = st.sampled_from(["a", "b"])
WEIGHTS = {"call": 4, "return": 6, "done": 5, "own": 1, "text": 2, "lost": 1, "fail": 1, "ask": 1, "halt": 1}
moves = st.tuples(st.sampled_from([kind for kind, weight in WEIGHTS.items() for _ in range(weight)]), ids)
waits = st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.1, 1.1, 6.0])
steps = st.integers(0, 9).flatmap(lambda number: inputs if number == 9 else moves)
stories = st.lists(st.tuples(waits, steps), min_size=10, max_size=40)


class Mind:
    """Does what the newest ``Think`` asks for."""

    def __init__(self) -> None:
        self.turn = self.attempt = self.segments = 0
        self.called: set[str] = set()

    def see(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Think):
                self.turn, self.attempt, self.called = action.turn, action.attempt, set()
                self.segments = action.first_segment

    def event(self, kind: str, call_id: str) -> Input:  # noqa: PLR0911 - one for each kind
        ids, use = {"turn": self.turn, "attempt": self.attempt}, ToolUse(id=call_id, name="look")
        match kind:
            case "call":
                self.called.add(call_id)
                return ToolCall(call=use, **ids)
            case "own":
                return ToolCall(call=use, by="server", result="sun", **ids)
            case "return":
                return Returned(call_id=call_id, output="rain")
            case "done" | "lost":
                count = len(self.called) + (kind == "lost")
                return MindDone(
                    deltas=0, segments=self.segments, engine="e", model="m", tool_calls=count, **ids
                )
            case "fail":
                return Failed(stage="llm", worker="w", code="needs_tools", message="m", **ids)
            case "halt":
                return Halt(reason="client")
            case "text":
                return TextDelta(seq=0, text="word ", **ids)
            case _:
                return Ask(text="q", wants_audio=False)


@settings(max_examples=150, deadline=None)
@given(stories)
def test_a_turn_with_functions_ends_once_and_each_result_is_used_once_or_refused(
    story: list[tuple[float, Input | tuple[str, str]]],
) -> None:
    machine, mind, now = TurnMachine("S", TurnPolicy()), Mind(), 0.0
    actions = machine.handle(Ask(text="q", wants_audio=False), now)
    mind.see(actions)
    waiting: Counter[str] = Counter()
    for wait, move in story:
        now += wait
        event = mind.event(*move) if isinstance(move, tuple) else move
        happened = machine.handle(event, now)
        mind.see(happened)
        refused = [a for a in happened if isinstance(a, Emit) and a.event == REFUSED]
        if isinstance(event, Returned):
            assert len(refused) == (not waiting[event.call_id]), "what is awaited is taken, and nothing else"
            waiting[event.call_id] = 0
        else:
            assert not refused
        for action in happened:
            match action:
                case Emit(event=ToolCallEvent(by="client", call_id=call_id)):
                    assert not waiting[call_id]
                    waiting[call_id] = 1
                case Think() | Emit(event=TurnDone() | Interrupted() | ErrorEvent(turn_id=str())):
                    waiting.clear()
        if any(type(a).__name__ == "Speak" and a.text.startswith("Sorry") for a in happened):  # type: ignore[union-attr]
            waiting.clear()  # the turn has failed, and says so
        actions += happened
    actions += run_out(machine, now)[0]
    ended: Counter[str] = Counter()
    for action in actions:
        match action:
            case Emit(event=TurnDone() | Interrupted() as end):
                ended[end.turn_id] += 1
            case Emit(event=ErrorEvent(turn_id=str(turn_id))):
                ended[turn_id] += 1
    assert set(ended.values()) == {1}
    assert set(ended) == {machine.turn_id(number) for number in range(1, machine.turns + 1)}
    moments = Counter(
        action.event.turn_id
        for action in actions
        if isinstance(action, Emit)
        and isinstance(action.event, SegmentEvent)
        and action.event.text == "One moment."
    )
    assert all(count == 1 for count in moments.values())


REFUSED = ErrorEvent(
    code="invalid_request", message="no function with this id is waited for", param="call_id"
)
