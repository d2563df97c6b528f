"""A session whose client is lost: how long it is waited for, what it is told, and what is left of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec

from services.gateway.chat_protocol import (
    AudioEvent,
    AudioIn,
    AudioOut,
    ErrorEvent,
    Has,
    Interrupted,
    Ready,
    SegmentEvent,
    Start,
    TurnDone,
    UserText,
)
from services.gateway.hub import Hub
from services.gateway.lasting import LastingSession
from services.gateway.memory import Memory
from services.gateway.session import Session
from shared.messages import ChatMessage, CloseEars, Pending, SessionRecord
from tests.fakes.ears import FakeEars
from tests.fakes.workers import counted
from tests.gateway.rig import POLICY, Client, Leaving, Place

START = Start(session_id="s", audio_out=AudioOut(rate_hz=16000))
WHOLE = b"".join(counted(text, 16000, 200) for text in ("Hello there.", "How are you?"))


def left(session: Session) -> bool:
    assert isinstance(session, LastingSession)
    return session.leave()


async def asked(place: Place, client: Leaving, *, until_heard: bool = True) -> Session:
    """A session in the middle of an answer whose client is lost."""
    place.workers.voice = counted
    async with place.hub.session(START, client) as session:
        session.handle(UserText(text="hello"))
        if until_heard:
            await client.sees(AudioEvent, 2)
        else:
            await client.sees(Ready)
        assert left(session)
    return session


async def test_who_comes_back_in_time_hears_the_rest(place: Place) -> None:
    first, second = Leaving(), Leaving()
    await asked(place, first)
    await asyncio.sleep(10.0)
    has = Has(turn_id="s-1", ms=0.0)
    async with place.hub.session(msgspec.structs.replace(START, has=has), second):
        turn = (await second.sees(Ready)).turn  # type: ignore[attr-defined]
        assert (turn.turn_id, turn.question, turn.from_ms) == ("s-1", "hello", 0.0)
        await second.sees(TurnDone)
    assert b"".join(second.payloads) == WHOLE


async def test_an_answer_that_was_made_while_nobody_was_there_does_not_come_too_late(place: Place) -> None:
    first, second = Leaving(), Leaving()
    place.workers.voice = counted
    place.workers.faults.gate.clear()
    async with place.hub.session(START, first) as session:
        session.handle(UserText(text="hello"))
        await first.sees(AudioEvent)
        assert left(session)
    place.workers.faults.gate.set()
    await asyncio.sleep(2 * POLICY.turn_s)
    has = Has(turn_id="s-1", ms=0.0)
    async with place.hub.session(msgspec.structs.replace(START, has=has), second):
        await second.sees(TurnDone)
    assert b"".join(second.payloads) == WHOLE
    assert second.of(ErrorEvent) == []


async def test_who_is_not_back_in_time_finds_what_was_heard_in_the_memory(place: Place) -> None:
    client = Leaving()
    place.workers.faults.gate.clear()
    session = await asked(place, client, until_heard=False)
    await asyncio.sleep(14.9)
    assert place.hub.sessions == {"s": session}
    await asyncio.sleep(3.0)
    assert place.hub.sessions == {}
    assert place.workers.cancelled.is_set()
    record = await place.memory.load("s")
    assert record is not None
    assert (record.pending, [message.content for message in record.messages]) == (None, ["hello"])
    again = Leaving()
    async with place.hub.session(START, again):
        ready = await again.sees(Ready)
        assert (ready.is_resumed, ready.turn) == (True, None)  # type: ignore[attr-defined]


async def test_nobody_is_waited_for_where_nothing_goes_on_or_nobody_is_to_be(place: Place) -> None:
    async with place.hub.session(START, Leaving()) as session:
        assert not left(session)
    assert place.hub.sessions == {}
    hub = Hub(replace(place.hub.around, grace_s=0.0))
    async with hub.session(START, Leaving()) as session:
        session.handle(UserText(text="hello"))
        assert not left(session)
    assert hub.sessions == {}


async def test_what_ended_meanwhile_is_told_to_who_comes_back(place: Place) -> None:
    first, second = Leaving(), Leaving()
    place.workers.gate_mind.clear()
    start = msgspec.structs.replace(START, session_id="s")
    async with place.hub.session(start, first) as session:
        session.handle(UserText(text="hello", include_audio=False))
        assert left(session)
    place.workers.gate_mind.set()
    while session.is_answering:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0.1)
    async with place.hub.session(start, second):
        done = await second.sees(TurnDone)
        assert done.turn_id == "s-1"  # type: ignore[attr-defined]
        assert isinstance(second.events[0], Ready)
        assert second.events[0].turn is not None
        assert (second.events[0].turn.is_over, len(second.of(TurnDone))) == (True, 1)


async def test_the_ears_of_who_is_gone_are_given_back_and_claimed_again(place: Place) -> None:
    ears = FakeEars(place.broker.connect("ears"), "w")
    await ears.start()
    start = msgspec.structs.replace(START, audio_in=AudioIn())
    first, second = Leaving(), Leaving()
    place.workers.gate_mind.clear()
    async with place.hub.session(start, first) as session:
        await first.sees(Ready)
        session.handle(UserText(text="hello"))
        assert left(session)
    await asyncio.sleep(1.9)
    assert sum(isinstance(message, CloseEars) for message in ears.got) == 1
    async with place.hub.session(start, second) as same:
        assert same is session
        ready = await second.sees(Ready, 2)
        assert ready.ears == "fake"  # type: ignore[attr-defined]
        assert ready.turn is None, "told once"  # type: ignore[attr-defined]
        place.workers.gate_mind.set()
        await second.sees(TurnDone)


async def test_a_client_with_another_format_hears_the_words_that_are_missing(place: Place) -> None:
    place.workers.tells_words = True
    first, second = Leaving(), Leaving()
    await asked(place, first)
    start = Start(session_id="s", audio_out=AudioOut(rate_hz=8000), has=Has(turn_id="s-1", ms=100.0))
    async with place.hub.session(start, second):
        turn = (await second.sees(Ready)).turn  # type: ignore[attr-defined]
        assert (turn.turn_id, turn.from_ms) == ("s-1", 100.0)
        await second.sees(TurnDone)
    said = [event.text for event in second.of(SegmentEvent)]  # type: ignore[attr-defined]
    assert " ".join(["Hello", *said]) == "Hello there. How are you?"
    assert b"".join(second.payloads) == b"".join(counted(text, 8000, 200) for text in said)


async def test_another_kind_of_client_ends_it_and_finds_its_memory(place: Place) -> None:
    first, second = Leaving(), Client()
    place.workers.faults.gate.clear()
    await asked(place, first, until_heard=False)
    async with place.hub.session(Start(session_id="s"), second) as session:
        ready = await second.sees(Ready)
        assert (ready.is_resumed, ready.turn, ready.turns) == (True, None, 1)  # type: ignore[attr-defined]
        place.workers.faults.gate.set()
        session.handle(UserText(text="again"))
        await second.sees(TurnDone)
    assert [message.content for message in place.workers.generated[-1].messages] == ["hello", "again"]


async def test_a_question_whose_gateway_was_lost_is_answered_behind_what_was_heard(place: Place) -> None:
    asked_at = place.hub.around.wall()
    pending = Pending(turn=5, question="Who is there?", asked_at=asked_at)
    record = SessionRecord(turns=4, messages=[ChatMessage(role="user", content="Hi")], pending=pending)
    await place.memory.save("s", record)
    client = Leaving()
    has = Has(turn_id="s-5", ms=200.0, heard="Hello there.")
    async with place.hub.session(msgspec.structs.replace(START, has=has), client):
        turn = (await client.sees(Ready)).turn  # type: ignore[attr-defined]
        assert (turn.turn_id, turn.question, turn.from_ms) == ("s-5", "Who is there?", 200.0)
        await client.sees(TurnDone)
    work = place.workers.generated[0]
    assert (work.turn, work.spoken, work.messages[-1].content) == (5, "Hello there.", "Who is there?")
    assert [event.text for event in client.of(SegmentEvent)] == ["How are you?"]  # type: ignore[attr-defined]


async def test_a_question_is_stored_as_soon_as_it_is_asked(place: Place) -> None:
    client = Leaving()
    place.workers.gate_mind.clear()
    async with place.hub.session(START, client) as session:
        session.handle(UserText(text="hello"))
        await asyncio.sleep(1.0)
        record = await place.memory.load("s")
        assert record is not None
        assert record.pending is not None
        assert (record.pending.turn, record.pending.question) == (1, "hello")
        place.workers.gate_mind.set()
        await client.sees(TurnDone)
        await asyncio.sleep(1.0)
        record = await place.memory.load("s")
        assert record is not None
        assert record.pending is None


async def test_of_two_gateways_that_open_a_session_at_once_one_holds_it(place: Place) -> None:
    bus = place.broker.connect("other")
    other = Hub(replace(place.hub.around, bus=bus, gw="OTHER", memory=Memory(bus, ttl_s=60)))
    await other.subscribe()
    clients = [Leaving(), Leaving()]

    async def open_it(hub: Hub, client: Leaving, done: asyncio.Event) -> None:
        async with hub.session(START, client):
            await done.wait()

    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for hub, client in zip((place.hub, other), clients, strict=True):
            tasks.create_task(open_it(hub, client, done))
        await asyncio.sleep(5.0)
        assert sum(len(client.of(ErrorEvent)) for client in clients) == 1
        assert len(place.hub.sessions) + len(other.sessions) == 1
        done.set()
    assert all(client.of(Interrupted) == [] for client in clients)
