"""Functions that the model calls in one turn, and what came of them. Pure.

A *round* is what the model says up to its calls, the calls, and their results. Calls of the client's are told
to it when the mind is done with the round, so that none is run of an attempt that broke off. When all results
are there the mind is asked again, behind them. Calls of the worker's own have run already: their results are
kept, so that an attempt that goes on after a failure does not run them twice.

Rounds do not outlive their turn: the conversation keeps the question and what was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from shared.messages import ChatMessage, MindDone, RouteReport, ToolCall, ToolUse

MOST_ROUNDS = 8
"""In one turn; then the model must answer with what it has."""
NO_RESULT = "There was no result: the function did not answer in time."
MAX_BYTES = 262_144
"""Of all rounds of a turn: what is asked of the mind must fit into one message of the broker's."""
WRAP_UP_S = 5.0
"""Of the turn that is left for an answer without a result."""


@dataclass(slots=True)
class Rounds:
    """Of one turn. Times are seconds of one monotonic clock."""

    count: int = 0
    """Rounds that are over: so many of the turn's attempts were no repeats."""
    segment_at: int = 0
    """The segment that this round begins with."""
    text_at: int = 0
    """The character of the answer's text that this round begins with."""
    has_bridged: bool = False
    """Whether EVA has asked for a moment in this turn."""
    has_given_up: bool = False
    """Whether the model was told once that there is no result."""
    is_ahead: bool = False
    """The person's turn is not known to be over: nothing may be called yet."""
    over: list[ChatMessage] = field(default_factory=list)
    """The rounds that are over, as the model is told of them."""
    own: dict[str, tuple[ToolUse, str]] = field(default_factory=dict)
    """The worker's own calls of this round, with their results."""
    calls: dict[str, ToolUse] = field(default_factory=dict)
    """The client's calls of this round, in order."""
    results: dict[str, str] = field(default_factory=dict)
    done: MindDone | None = None
    """How the mind ended this round; None: it is at work."""
    since: float = 0.0
    """When the client was told."""

    @property
    def may_call(self) -> bool:
        """Whether functions of the client's are offered to the model."""
        return self.count < MOST_ROUNDS

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn to answer."""
        return self.done is not None

    @property
    def is_answered(self) -> bool:
        """Whether nothing is waited for."""
        return self.done is not None and len(self.results) == len(self.calls)

    @property
    def awaited(self) -> list[ToolUse]:
        """The client's calls whose results are waited for."""
        return [call for call in self.calls.values() if self.is_waiting and call.id not in self.results]

    @property
    def segments(self) -> int:
        """How many segments the turn has before the next round."""
        return self.done.segments if self.done is not None else 0

    def begins_at(self, chars: int) -> bool:
        """Whether nothing stands behind the rounds before this one; ``chars``: how long the text is."""
        return self.count > 0 and chars == self.text_at

    def tell(self, message: ToolCall) -> None:
        """The model has called a function."""
        if self.is_waiting:
            return
        if message.by == "server":
            self.own[message.call.id] = (message.call, message.result)
        else:
            self.calls[message.call.id] = message.call

    def wait(self, done: MindDone, now: float) -> Sequence[ToolUse]:
        """The mind is done with this round; returns the calls that the client is to be told of."""
        self.done, self.since = done, now
        return list(self.calls.values())

    def release(self, now: float) -> None:
        """The person's turn is over indeed: the client is told now."""
        self.is_ahead, self.since = False, now

    def take(self, call_id: str, output: str) -> bool:
        """Takes a result; False: none with this id is waited for."""
        if not self.is_waiting or self.is_ahead or call_id not in self.calls or call_id in self.results:
            return False
        self.results[call_id] = output
        return True

    def give_up(self) -> bool:
        """Takes silence for a result, once a turn; False: it was not the first time."""
        if self.has_given_up:
            return False
        self.has_given_up = True
        self.results = {call_id: self.results.get(call_id, NO_RESULT) for call_id in self.calls}
        return True

    def close(self, said: str, *, segments: int, chars: int) -> None:
        """All results are there: the next round begins behind so many segments and characters."""
        results = {call_id: result for call_id, (_, result) in self.own.items()} | self.results
        left = MAX_BYTES - sum(_size_bytes(message) for message in self.over)
        self.over += _round(said, [*self._own_calls(), *self.calls.values()], _fit(results, left))
        self.count += 1
        self.segment_at, self.text_at = segments, chars
        self.own = {}
        self.drop()

    def drop(self) -> None:
        """An attempt is over: what it wanted from the client is void. What the worker has run, has run."""
        self.calls, self.results, self.done = {}, {}, None

    def told(self) -> tuple[ChatMessage, ...]:
        """Returns what the model is to know of this turn, behind the question."""
        results = {call_id: result for call_id, (_, result) in self.own.items()}
        return (*self.over, *(_round("", self._own_calls(), results) if self.own else ()))

    def lost_at(self, wait_s: float, deadline: float) -> float:
        """Returns when no result counts as one; earlier where the turn would end without an answer."""
        return min(self.since + wait_s, max(self.since + 1.0, deadline - WRAP_UP_S))

    def _own_calls(self) -> list[ToolUse]:
        return [call for call, _ in self.own.values()]


def _round(said: str, calls: Sequence[ToolUse], results: dict[str, str]) -> list[ChatMessage]:
    return [
        ChatMessage(role="assistant", content=said, tool_calls=list(calls)),
        *(ChatMessage(role="tool", content=results[call.id], tool_call_id=call.id) for call in calls),
    ]


def _size_bytes(message: ChatMessage) -> int:
    return len(message.content.encode()) + sum(len(call.arguments.encode()) for call in message.tool_calls)


def _fit(results: dict[str, str], left_bytes: int) -> dict[str, str]:
    """Cuts each result to its share of what is left."""
    share = max(0, left_bytes) // max(1, len(results))
    return {call_id: result.encode()[:share].decode(errors="ignore") for call_id, result in results.items()}


def behind(earlier: MindDone | None, done: MindDone) -> MindDone:
    """Returns what a round ended with, with what the rounds before it took and cost."""
    if earlier is None:
        return done
    old, new = earlier.report, done.report
    report = RouteReport(
        route=new.route or old.route,
        is_hedged=old.is_hedged or new.is_hedged,
        has_hedge_won=old.has_hedge_won or new.has_hedge_won,
        retries=old.retries + new.retries,
        switches=old.switches + new.switches,
        is_cut_short=old.is_cut_short or new.is_cut_short,
        queue_ms=old.queue_ms,
        connect_ms=old.connect_ms,
        first_token_ms=old.first_token_ms,
        first_segment_ms=old.first_segment_ms or new.first_segment_ms,
        input_tokens=old.input_tokens + new.input_tokens,
        cached_tokens=old.cached_tokens + new.cached_tokens,
        output_tokens=old.output_tokens + new.output_tokens,
        cost_usd=old.cost_usd + new.cost_usd,
    )
    return msgspec.structs.replace(
        done,
        report=report,
        input_tokens=earlier.input_tokens + done.input_tokens,
        output_tokens=earlier.output_tokens + done.output_tokens,
        is_degraded=earlier.is_degraded or done.is_degraded,
    )
