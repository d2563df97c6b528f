"""What a turn over HTTP costs its guest, and when none is begun."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import Request

from services.gateway import problems
from services.gateway.chat_protocol import AudioOut, ErrorEvent, Start, TurnDone
from services.gateway.guests import BottomlessPurse, Guest, LimitReached
from services.gateway.http_turn import Ending, Wanted, next_of_turn, spend, take_turn
from services.gateway.outbox import Outbox
from services.gateway.problems import TurnFailed
from tests.fakes.gateway import RunningGateway


@dataclass
class CountingPurse(BottomlessPurse):
    """Counts, and has nothing more once ``is_empty``."""

    is_empty: bool = False
    audio_s: float = 0.0
    tokens: int = 0
    refused: list[str] = field(default_factory=list)

    def check(self) -> None:
        self._ask("turn")

    def spend_audio(self, seconds: float) -> None:
        self.audio_s += seconds
        self._ask("audio")

    def spend_tokens(self, count: int) -> None:
        self.tokens += count
        self._ask("tokens")

    def _ask(self, what: str) -> None:
        if self.is_empty:
            self.refused.append(what)
            raise LimitReached("no more today", limit=what, retry_after_s=7.5)


def request_of(purse: CountingPurse) -> Request:
    async def receive() -> Any:
        await asyncio.Event().wait()

    return Request(
        {"type": "http", "headers": [], "state": {"guest": Guest(key_id="k", purse=purse)}}, receive
    )


async def to_the_end(outbox: Outbox) -> Ending:
    while True:
        ending, _ = await next_of_turn(outbox)
        if ending is not None:
            return ending


def asked() -> Wanted:
    return Wanted(
        start=Start(audio_out=AudioOut()),
        begin=lambda session: session.respond(text="Hello"),
        consume=to_the_end,
        remember=False,
    )


async def test_a_turn_costs_its_tokens_and_its_seconds(gateway: RunningGateway) -> None:
    purse = CountingPurse()
    done = await take_turn(request_of(purse), gateway.door, asked())
    assert isinstance(done, TurnDone)
    assert purse.tokens == 109
    assert purse.audio_s == pytest.approx(0.4)


async def test_who_has_nothing_left_begins_no_turn_and_is_told_when_to_come_back(
    gateway: RunningGateway,
) -> None:
    purse = CountingPurse(is_empty=True)
    with pytest.raises(LimitReached) as caught:
        await take_turn(request_of(purse), gateway.door, asked())
    assert gateway.workers.generated == []
    answer = problems.of_error(caught.value)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "8")


def test_what_was_given_already_is_not_taken_back_from_who_goes_over_the_limit_by_it() -> None:
    purse = CountingPurse(is_empty=True)
    spend(Guest(purse=purse), tokens=5, audio_s=1.0)
    assert (purse.tokens, purse.audio_s, purse.refused) == (5, 1.0, ["tokens", "audio"])


def test_a_turn_that_failed_for_now_says_when_to_come_back() -> None:
    answer = problems.of_error(TurnFailed(ErrorEvent(code="busy", message="later", retry_after_ms=2500)))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
