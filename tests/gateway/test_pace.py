"""Sound that leaves as it is played: the arithmetic, and the outbox on a clock that jumps."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.chat_protocol import (
    AudioEvent,
    ErrorEvent,
    FinalEvent,
    Pause,
    Pong,
    Resume,
    ServerEvent,
    SpeechStartedEvent,
    Timeline,
    Token,
    TurnDone,
    TurnStarted,
)
from services.gateway.outbox import Farewell, Outbox
from services.gateway.pace import LEAST_S, Pace
from tests.fakes.virtual_time import virtual_time

AHEAD_S = 1.5
CHUNK_MS = 100.0


def audio(turn_id: str = "s-1", seq: int = 0, duration_ms: float = CHUNK_MS) -> AudioEvent:
    return AudioEvent(
        turn_id=turn_id, segment=0, seq=seq, format="pcm", rate_hz=8000, duration_ms=duration_ms, size_bytes=2
    )


def done(turn_id: str) -> TurnDone:
    return TurnDone(turn_id=turn_id, text="", has_audio=True, timeline=Timeline(), engines={})


class Peer:
    """Takes what leaves, and keeps when it came."""

    def __init__(self, *, takes_s: float = 0.0) -> None:
        self.loop = asyncio.get_running_loop()
        self.outbox = Outbox(lambda _code: None, ahead_s=AHEAD_S, clock=self.loop.time)
        self.came: list[tuple[float, ServerEvent]] = []
        self.takes_s = takes_s
        self.task = asyncio.create_task(self.read())

    async def read(self) -> None:
        while (item := await self.outbox.get()) is not None:
            self.came.append((round(self.loop.time(), 6), item.event))
            await asyncio.sleep(self.takes_s)

    def say(self, count: int, turn_id: str = "s-1") -> None:
        for seq in range(count):
            self.outbox.emit(audio(turn_id, seq), b"ab")

    def sound_s(self) -> float:
        return sum(event.duration_ms for _, event in self.came if isinstance(event, AudioEvent)) / 1000

    def kinds(self) -> list[str]:
        return [type(event).__name__ for _, event in self.came if not isinstance(event, AudioEvent)]


@virtual_time
async def test_sound_leaves_in_a_burst_and_then_as_it_is_played() -> None:
    peer = Peer()
    peer.say(50)
    for played_s in (0.001, 0.55, 1.05, 2.05, 3.05):
        await asyncio.sleep(played_s - peer.loop.time())
        assert AHEAD_S - 0.1 <= peer.sound_s() - played_s <= AHEAD_S + 0.001
    await asyncio.sleep(10)
    assert peer.sound_s() == pytest.approx(5.0)
    assert peer.came[-1][0] == pytest.approx(5.0 - AHEAD_S)


@virtual_time
async def test_the_end_of_a_turn_comes_behind_all_of_its_sound() -> None:
    peer = Peer()
    peer.say(30)
    peer.outbox.emit(done("s-1"))
    peer.outbox.emit(TurnStarted(turn_id="s-2", is_spoken=True))
    await asyncio.sleep(1)
    assert peer.kinds() == []
    await asyncio.sleep(1)
    assert peer.kinds() == ["TurnDone", "TurnStarted"]
    assert isinstance(peer.came[-3][1], AudioEvent)


@virtual_time
async def test_what_is_no_sound_waits_for_none_and_never_passes_the_end_of_a_turn() -> None:
    peer = Peer()
    peer.say(30)
    peer.outbox.emit(Token(turn_id="s-1", text="more"))
    peer.outbox.emit(done("s-1"))
    peer.outbox.emit(Token(turn_id="s-2", text="next"))
    peer.outbox.emit(SpeechStartedEvent(at_ms=0))
    peer.outbox.emit(FinalEvent(text="Hm", language="", turn_id=None))
    peer.outbox.emit(Pong(id=1))
    await asyncio.sleep(0.01)
    assert peer.kinds() == ["Token", "SpeechStartedEvent", "FinalEvent", "Pong"]
    await asyncio.sleep(5)
    assert peer.kinds()[4:] == ["TurnDone", "Token"]


@virtual_time
async def test_an_interruption_leaves_no_more_than_that_with_the_client() -> None:
    peer = Peer()
    peer.say(100)
    await asyncio.sleep(2.0)
    peer.outbox.drop_audio("s-1")
    unheard_s = peer.sound_s() - 2.0
    await asyncio.sleep(20)
    assert unheard_s <= AHEAD_S
    assert peer.sound_s() - 2.0 == unheard_s


@virtual_time
async def test_the_turn_behind_an_interruption_begins_at_once_and_not_behind_the_old_sound() -> None:
    peer = Peer()
    peer.say(100)
    await asyncio.sleep(2.0)
    peer.outbox.drop_audio("s-1")
    had_s = peer.sound_s()
    peer.say(100, "s-2")
    await asyncio.sleep(0.001)
    assert peer.sound_s() - had_s == pytest.approx(AHEAD_S)


@virtual_time
async def test_while_it_is_paused_nothing_leaves_and_afterwards_it_goes_on() -> None:
    peer = Peer()
    peer.say(100)
    await asyncio.sleep(1.0)
    peer.outbox.emit(Pause(turn_id="s-1"))
    await asyncio.sleep(3.0)
    assert peer.kinds() == ["Pause"]
    assert peer.sound_s() - 1.0 <= AHEAD_S
    peer.outbox.emit(Resume(turn_id="s-1", verdict="noise"))
    await asyncio.sleep(1.0)
    assert peer.kinds() == ["Pause", "Resume"]
    assert AHEAD_S - 0.1 <= peer.sound_s() - 2.0 <= AHEAD_S + 1e-6


@virtual_time
async def test_a_pause_that_ends_in_an_interruption_holds_nothing_of_the_next_turn() -> None:
    peer = Peer()
    peer.say(30)
    peer.outbox.emit(Pause(turn_id="s-1"))
    peer.outbox.drop_audio("s-1")
    peer.say(1, "s-2")
    await asyncio.sleep(0.01)
    assert [event for _, event in peer.came if isinstance(event, AudioEvent)] == [audio("s-2")]


@virtual_time
async def test_the_end_of_the_conversation_waits_for_no_playing() -> None:
    peer = Peer()
    peer.say(100)
    peer.outbox.emit(done("s-1"))
    peer.outbox.finish(1012, "stopping")
    await peer.task
    assert peer.loop.time() == 0.0
    assert peer.sound_s() == pytest.approx(10.0)


@virtual_time
async def test_a_client_that_takes_sound_at_half_its_pace_is_told_and_let_go() -> None:
    peer = Peer(takes_s=2 * CHUNK_MS / 1000)
    peer.say(600)
    await peer.task
    assert peer.outbox.farewell == Farewell(1013, "slow_client")
    assert isinstance(peer.came[-1][1], ErrorEvent)
    assert peer.loop.time() < 12


@virtual_time
async def test_a_client_that_stalls_now_and_then_keeps_its_conversation() -> None:
    peer = Peer()
    peer.say(1200)
    for _ in range(4):
        await asyncio.sleep(25)
        peer.takes_s = 3.0
        await asyncio.sleep(1)
        peer.takes_s = 0.0
    await asyncio.sleep(60)
    assert peer.outbox.farewell is None
    assert peer.sound_s() == pytest.approx(120)


durations = st.lists(st.floats(5, 2000), min_size=1, max_size=60)


@given(durations, st.floats(0.2, 5), st.lists(st.floats(0, 1), min_size=60, max_size=60))
def test_sound_is_never_further_ahead_nor_ever_late(
    pieces: list[float], ahead_s: float, delays: list[float]
) -> None:
    """Each piece leaves as soon as it may: it is there when the one before it has been played."""
    pace, now, ends_at = Pace(ahead_s), 0.0, 0.0
    for ms, delay_s in zip(pieces, delays, strict=False):
        queued_at = now
        now += pace.wait_s(ms, now)
        if ends_at > 0:
            assert now <= max(ends_at, queued_at) + 1e-9
        pace.leave(ms, queued_at, now)
        ends_at = max(ends_at, now) + ms / 1000
        assert ends_at - now <= max(ahead_s, ahead_s / 2 + ms / 1000) + LEAST_S
        assert pace.stalled_s <= 1e-9
        now += delay_s if ms > 1000 else 0.0


@given(st.floats(0, 3), st.floats(0, 10), st.floats(0.01, 10))
def test_a_hold_moves_the_playback_by_just_its_own_length(at_s: float, held_s: float, more_s: float) -> None:
    pace, same = Pace(1.5), Pace(1.5)
    for each in (pace, same):
        each.leave(4000, 0.0, 0.0)
    pace.hold(at_s)
    pace.hold(at_s + held_s / 2)
    assert pace.wait_s(20, at_s + held_s) == math.inf
    pace.release(at_s + held_s)
    pace.release(at_s + held_s)
    later = at_s + held_s + more_s
    assert pace.wait_s(20, later) == pytest.approx(same.wait_s(20, at_s + more_s), abs=2 * LEAST_S)


def test_words_without_sound_change_nothing_of_the_playback() -> None:
    pace = Pace(1.5)
    pace.leave(0.0, 0.0, 50.0)
    assert (pace.stalled_s, pace.wait_s(100, 50.0)) == (0.0, 0.0)
