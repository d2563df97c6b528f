"""The queue in front of one client."""

import asyncio

import pytest

from services.gateway.chat_protocol import (
    AudioEvent,
    ErrorEvent,
    Interrupted,
    Pong,
    ServerEvent,
    Timeline,
    Token,
    TurnDone,
    TurnStarted,
)
from services.gateway.outbox import Farewell, Outbox


def audio(turn_id: str = "s-1", duration_ms: float = 100.0) -> AudioEvent:
    return AudioEvent(
        turn_id=turn_id, segment=0, seq=0, format="pcm", rate_hz=8000, duration_ms=duration_ms, size_bytes=2
    )


def done(turn_id: str) -> TurnDone:
    return TurnDone(turn_id=turn_id, text="", has_audio=True, timeline=Timeline(), engines={})


class Errors(list[str]):
    def count(self, code: str) -> None:
        self.append(code)


async def taken(outbox: Outbox) -> list[ServerEvent]:
    outbox.finish(1000)
    events = []
    while (item := await outbox.get()) is not None:
        events.append(item.event)
    return events


async def test_events_come_out_in_order_with_their_sound() -> None:
    outbox = Outbox(Errors().count)
    outbox.emit(Pong(id=1))
    outbox.emit(audio(), b"ab")
    first, second = await outbox.get(), await outbox.get()
    assert (first and first.event, second and second.payload) == (Pong(id=1), b"ab")


async def test_whoever_waits_is_woken_by_the_next_event_and_by_the_end() -> None:
    outbox = Outbox(Errors().count)
    waiting = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.emit(Pong(id=1))
    assert (await waiting).event == Pong(id=1)
    waiting = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.finish(1000)
    assert await waiting is None


async def test_sound_of_an_interrupted_turn_is_taken_out_and_nothing_else() -> None:
    outbox = Outbox(Errors().count)
    outbox.emit(audio("s-1"), b"old")
    outbox.emit(Token(turn_id="s-1", text="x"))
    outbox.emit(audio("s-2"), b"new")
    outbox.drop_audio("s-1")
    assert await taken(outbox) == [Token(turn_id="s-1", text="x"), audio("s-2")]


async def test_a_client_with_more_sound_waiting_than_allowed_is_told_and_let_go() -> None:
    errors = Errors()
    outbox = Outbox(errors.count, max_audio_ms=250)
    for _ in range(4):
        outbox.emit(audio(), b"ab")
    assert outbox.farewell == Farewell(1013, "slow_client")
    assert [event.code for event in await taken(outbox) if isinstance(event, ErrorEvent)] == ["slow_client"]
    assert errors == ["slow_client"]


async def test_sound_that_was_sent_or_dropped_no_longer_counts() -> None:
    outbox = Outbox(Errors().count, max_audio_ms=250)
    for _ in range(2):
        outbox.emit(audio("s-1"))
    await outbox.get()
    outbox.emit(audio("s-1"))
    outbox.drop_audio("s-1")
    for _ in range(2):
        outbox.emit(audio("s-2"))
    assert outbox.farewell is None


async def test_too_many_events_are_too_many() -> None:
    outbox = Outbox(Errors().count, max_events=3)
    for number in range(4):
        outbox.emit(Pong(id=number))
    assert outbox.farewell == Farewell(1013, "slow_client")


async def test_nothing_is_taken_in_after_the_end_and_the_first_reason_counts() -> None:
    outbox = Outbox(Errors().count)
    outbox.finish(1012, "stopping")
    outbox.finish(1000)
    outbox.emit(Pong(id=1))
    assert outbox.farewell == Farewell(1012, "stopping")
    assert await outbox.get() is None


@pytest.mark.parametrize("code", ["session_taken_over", "session_erased"])
async def test_a_session_that_was_lost_closes_the_socket_behind_the_turn_s_end(code: str) -> None:
    outbox = Outbox(Errors().count)
    outbox.emit(ErrorEvent(code=code, message=""))
    end = Interrupted(turn_id="s-1", reason="closed", heard="", timeline=Timeline())
    outbox.emit(end)
    await asyncio.sleep(0)
    assert outbox.farewell == Farewell(1008, code)
    assert await taken(outbox) == [ErrorEvent(code=code, message=""), end]


async def test_it_is_quiet_when_every_turn_has_ended() -> None:
    outbox = Outbox(Errors().count)
    await outbox.quiet()
    for number in (1, 2, 3):
        outbox.emit(TurnStarted(turn_id=f"s-{number}", is_spoken=False))
    quiet = asyncio.create_task(outbox.quiet())
    outbox.emit(done("s-1"))
    outbox.emit(Interrupted(turn_id="s-2", reason="client", heard="", timeline=Timeline()))
    outbox.emit(ErrorEvent(code="no_ears", message=""))
    await asyncio.sleep(0)
    assert not quiet.done()
    outbox.finish(1000)
    outbox.emit(ErrorEvent(code="llm_failed", message="", turn_id="s-3"))
    await asyncio.wait_for(quiet, 1)
