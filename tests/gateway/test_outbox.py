"""The queue in front of one client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from services.gateway.chat_protocol import (
    AudioEvent,
    ErrorEvent,
    Interrupted,
    Pause,
    Pong,
    Resume,
    ServerEvent,
    SpokenWord,
    Timeline,
    Token,
    TurnDone,
    TurnStarted,
    VisemesEvent,
    WordsEvent,
)
from services.gateway.outbox import Farewell, Item, Outbox, Place


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


async def test_a_dialect_s_own_items_come_in_line_with_the_sound() -> None:
    outbox = Outbox(Errors().count)
    outbox.put(Item("created"))
    outbox.put(Item("delta", b"old", sound_of="r1", audio_ms=20))
    outbox.put(Item("delta", b"new", sound_of="r2", audio_ms=20))
    outbox.put(Item("done"))
    outbox.put(Item("speech", place=Place.FIRST))
    outbox.drop_audio("r1")
    outbox.finish(1000)
    items = [item async for item in rest_of(outbox)]
    assert [(item.event, item.payload) for item in items] == [
        ("created", b""), ("speech", b""), ("delta", b"new"), ("done", b""),
    ]  # fmt: skip


async def rest_of(outbox: Outbox) -> AsyncIterator[Item]:
    while (item := await outbox.get()) is not None:
        yield item


def words(turn_id: str) -> WordsEvent:
    word = SpokenWord(text="one", begin=0, end=3, start_ms=0.0, end_ms=100.0)
    return WordsEvent(turn_id=turn_id, segment=0, words=[word])


async def test_words_and_shapes_of_sound_that_is_taken_out_go_with_it() -> None:
    outbox = Outbox(Errors().count)
    outbox.emit(words("s-1"))
    outbox.emit(VisemesEvent(turn_id="s-1", segment=0, visemes=[]))
    outbox.emit(audio("s-1"), b"old")
    outbox.emit(words("s-2"))
    outbox.drop_audio("s-1")
    assert await taken(outbox) == [words("s-2")]


async def test_a_pause_overtakes_the_words_of_the_sound_that_waits() -> None:
    outbox = Outbox(Errors().count)
    outbox.emit(words("s-1"))
    outbox.emit(audio("s-1"), b"old")
    outbox.emit(Pause(turn_id="s-1"))
    assert [type(event) for event in await taken(outbox)] == [Pause, WordsEvent, AudioEvent]


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
    await asyncio.wait_for(quiet, 60)


async def test_how_it_is_played_overtakes_the_sound_that_waits_in_its_own_order() -> None:
    outbox = Outbox(Errors().count)
    pause, resume = Pause(turn_id="s-1"), Resume(turn_id="s-1", verdict="noise")
    sound = [audio(duration_ms=duration_ms) for duration_ms in (1.0, 2.0, 3.0)]
    outbox.emit(TurnStarted(turn_id="s-1", is_spoken=True))
    outbox.emit(sound[0])
    outbox.emit(Token(turn_id="s-1", text="x"))
    outbox.emit(sound[1])
    outbox.emit(pause)
    outbox.emit(resume)
    outbox.emit(sound[2])
    outbox.emit(pause)
    outbox.emit(resume)
    events = await taken(outbox)
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["TurnStarted", "Token", "Pause", "Resume", "Pause", "Resume", *["AudioEvent"] * 3]
    assert [event for event in events if isinstance(event, AudioEvent)] == sound


async def test_a_pause_without_sound_in_front_of_it_comes_in_its_turn() -> None:
    outbox = Outbox(Errors().count)
    outbox.emit(Pong(id=1))
    outbox.emit(Pause(turn_id="s-1"))
    assert await taken(outbox) == [Pong(id=1), Pause(turn_id="s-1")]


class Way:
    """A free way to the client, until it is not."""

    def __init__(self) -> None:
        self.left: list[Item] = []
        self.is_free = True

    def __call__(self, encode: Callable[[Item], Any], item: Item) -> bool:
        if self.is_free:
            self.left.append(encode(item))
        return self.is_free


def encode(item: Item) -> Item:
    return item


async def waits_for(outbox: Outbox) -> asyncio.Task[Item | None]:
    """Takes the next item, once there is one."""
    getting = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    return getting


async def test_what_need_not_wait_leaves_at_once_and_nothing_overtakes_what_waits() -> None:
    outbox, way = Outbox(Errors().count), Way()
    outbox.leave_by(way, encode)
    first = await waits_for(outbox)
    outbox.emit(Pong(id=1))
    way.is_free = False
    outbox.emit(audio(), b"ab")
    way.is_free = True
    outbox.emit(Pong(id=2))
    assert [item.event for item in way.left] == [Pong(id=1)]
    taken = await first
    assert taken is not None
    assert taken.event == Pong(id=2)
    outbox.emit(Pong(id=3))  # while the one that was taken is on its way
    later = [await outbox.get(), await outbox.get()]
    assert [item and item.event for item in later] == [Pong(id=3), audio()]
    end = await waits_for(outbox)
    outbox.emit(Pong(id=4))
    assert way.left[-1].event == Pong(id=4)
    outbox.finish(1000)
    outbox.emit(Pong(id=5))
    assert way.left[-1].event == Pong(id=4)
    assert await end is None


async def test_sound_that_leaves_at_once_is_paced_as_any_other() -> None:
    now = 0.0
    outbox, way = Outbox(Errors().count, ahead_s=1.0, clock=lambda: now), Way()
    outbox.leave_by(way, encode)
    first = await waits_for(outbox)
    for _ in range(12):
        outbox.emit(audio(), b"ab")
    assert len(way.left) == 10  # a second of sound
    assert outbox.abandon().audio_ms == 200
    while not outbox._is_idle:  # noqa: ASYNC110 - until it is seen that nothing waits any more
        await asyncio.sleep(0)
    now = 0.5
    outbox.emit(audio(), b"ab")
    assert len(way.left) == 11
    outbox.emit(Pause(turn_id="s-1"))
    outbox.emit(audio(), b"ab")
    assert [item.event for item in way.left[11:]] == [Pause(turn_id="s-1")]
    first.cancel()
