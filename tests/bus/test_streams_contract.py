"""What streams and requests promise, on both buses."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from shared.bus.wire import MAX_BYTES
from shared.errors import BadInput, NoResponders, RequestTimedOut
from shared.messages import AnyMessage, Cancel, Message, TextDelta
from tests.bus.conftest import Heard, Place, settled

A = "eva.v1.evt.gw.sid.llm"


def delta(seq: int, text: str = "") -> TextDelta:
    return TextDelta(turn=1, attempt=1, seq=seq, text=text)


@pytest.mark.parametrize(
    ("pattern", "subject", "is_heard"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.b", "a", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.b.d", False),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("*.>", "a.b", True),
        (">", "a", True),
        ("a.*.>", "a.b", False),
        ("a.b", "A.b", False),
    ],
)
async def test_a_pattern_hears_the_subjects_that_fall_under_it(
    place: Place, pattern: str, subject: str, *, is_heard: bool
) -> None:
    bus = await place.connect("a")
    heard: list[str] = []
    await bus.subscribe(pattern, lambda on, _message: heard.append(on))
    await bus.publish(subject, delta(0))
    await settled(bus)
    assert [on for on in heard if on != "eva.test.settled"] == [subject] * is_heard


async def test_messages_come_whole_and_in_order(place: Place) -> None:
    one, two = await place.connect("a"), await place.connect("b")
    heard = Heard()
    await two.subscribe("eva.v1.evt.>", heard)
    sent = [delta(seq, "é\x00" * seq) for seq in range(500)]
    for message in sent:
        await one.publish(A, message)
    assert await heard.until(500) == sent


async def test_what_goes_through_an_outlet_keeps_its_place_among_what_is_published(place: Place) -> None:
    one, two = await place.connect("a"), await place.connect("b")
    heard = Heard()
    await two.subscribe("eva.v1.evt.>", heard)
    outlet = one.outlet(A)
    sent = [delta(seq) for seq in range(300)]
    for message in sent:
        if message.seq % 3:
            assert outlet.post(message)
        else:
            await one.publish(A, message)
    assert await heard.until(300) == sent


async def test_an_outlet_takes_nothing_that_is_too_big_or_that_nobody_can_be_sent(place: Place) -> None:
    bus = await place.connect("a")
    outlet = bus.outlet(A)
    assert not outlet.post(delta(0, "x" * MAX_BYTES))
    await bus.close()
    assert not outlet.post(delta(1))


async def test_one_of_a_queue_group_gets_a_message_and_the_load_is_spread(place: Place) -> None:
    sender = await place.connect("sender")
    heard: list[str] = []
    all_of_them, everybody = Heard(), Heard()
    for name in ("a", "b", "c"):
        bus = await place.connect(name)

        def take(_subject: str, message: AnyMessage, name: str = name) -> None:
            heard.append(name)
            all_of_them(message)

        await bus.subscribe("eva.v1.x", take, queue="group")
        await bus.subscribe("eva.v1.x", everybody)
    for seq in range(120):
        await sender.publish("eva.v1.x", delta(seq))
    await all_of_them.until(120)
    await everybody.until(360)
    assert len(heard) == 120
    assert set(Counter(heard)) == {"a", "b", "c"}
    assert sorted(message.seq for message in all_of_them.items) == list(range(120))


async def test_a_closed_subscription_hears_no_more(place: Place) -> None:
    bus = await place.connect("a")
    heard, other = Heard(), Heard()
    subscription = await bus.subscribe("eva.v1.x", heard)
    await bus.subscribe("eva.v1.x", other)
    await bus.publish("eva.v1.x", delta(0))
    await other.until(1)
    await subscription.close()
    await subscription.close()
    await bus.publish("eva.v1.x", delta(1))
    await other.until(2)
    assert heard.items == [delta(0)]


@pytest.mark.parametrize("error", [ValueError("boom"), asyncio.CancelledError(), KeyError("k")])
async def test_a_subscription_survives_whatever_its_handler_raises(
    place: Place, error: BaseException
) -> None:
    bus = await place.connect("a")
    heard = Heard()

    def take(_subject: str, message: Any) -> None:
        heard(message)
        if message.seq == 0:
            raise error

    await bus.subscribe("eva.v1.x", take)
    await bus.publish("eva.v1.x", delta(0))
    await bus.publish("eva.v1.x", delta(1))
    assert await heard.until(2) == [delta(0), delta(1)]
    assert bus.counts.handler_errors == 1


async def test_a_handler_may_cancel_a_task_and_the_next_message_still_comes(place: Place) -> None:
    bus = await place.connect("a")
    heard = Heard()
    speaking = asyncio.get_running_loop().create_task(asyncio.sleep(60))

    def barge_in(_subject: str, message: AnyMessage) -> None:
        speaking.cancel()
        heard(message)

    await bus.subscribe("eva.v1.x", barge_in)
    await bus.publish("eva.v1.x", delta(0))
    with pytest.raises(asyncio.CancelledError):
        await speaking
    await bus.publish("eva.v1.x", delta(1))
    await heard.until(2)


async def test_a_malformed_message_is_counted_and_skipped(place: Place) -> None:
    bus = await place.connect("a")
    heard = Heard()
    await bus.subscribe("eva.v1.x", heard)
    for garbage in (b"", b"\xc1", b"\x81\xa4type\xa4nope", b"\xff" * 100):
        await place.send_raw(bus, "eva.v1.x", garbage)
    async with asyncio.timeout(60):
        while bus.malformed < 4:
            await settled(bus)
    await bus.publish("eva.v1.x", delta(1))
    assert await heard.until(1) == [delta(1)]
    assert bus.malformed == 4


async def test_a_request_is_answered_by_one_of_those_who_serve(place: Place) -> None:
    asker = await place.connect("asker")
    served: list[str] = []
    for name in ("a", "b"):
        bus = await place.connect(name)

        def respond(message: AnyMessage, name: str = name) -> Message:
            served.append(name)
            assert isinstance(message, Cancel)
            return Cancel(sid=name, turn=message.turn + 1)

        await bus.serve("eva.v1.stt.open", respond, queue="stt")
    for turn in range(40):
        reply = await asker.request("eva.v1.stt.open", Cancel(sid="s", turn=turn), timeout_s=20)
        assert reply == Cancel(sid=served[-1], turn=turn + 1)
    assert set(served) == {"a", "b"}
    assert len(served) == 40


async def test_where_nobody_serves_a_request_fails_at_once(place: Place) -> None:
    bus = await place.connect("a")
    responder = await bus.serve("eva.v1.stt.open", lambda _message: Cancel(sid="s", turn=2), queue="stt")
    await responder.close()
    started = asyncio.get_running_loop().time()
    with pytest.raises(NoResponders):
        await bus.request("eva.v1.stt.open", Cancel(sid="s", turn=1), timeout_s=30)
    assert asyncio.get_running_loop().time() - started < 15


async def test_a_request_that_is_not_answered_times_out(place: Place) -> None:
    bus = await place.connect("a")
    await bus.subscribe("eva.v1.deaf", lambda _subject, _message: None)
    with pytest.raises(RequestTimedOut):
        await bus.request("eva.v1.deaf", Cancel(sid="s", turn=1), timeout_s=0.1)


async def test_a_responder_that_raises_serves_the_next_request(place: Place) -> None:
    bus = await place.connect("a")

    def respond(message: AnyMessage) -> Message:
        assert isinstance(message, Cancel)
        if message.turn == 0:
            raise asyncio.CancelledError
        return message

    await bus.serve("eva.v1.r", respond)
    with pytest.raises(RequestTimedOut):
        await bus.request("eva.v1.r", Cancel(sid="s", turn=0), timeout_s=0.1)
    assert await bus.request("eva.v1.r", Cancel(sid="s", turn=1), timeout_s=20) == Cancel(sid="s", turn=1)
    assert bus.counts.handler_errors == 1


async def test_a_malformed_request_is_counted_and_not_answered(place: Place) -> None:
    bus = await place.connect("a")
    await bus.serve("eva.v1.r", lambda message: message)
    await place.send_raw(bus, "eva.v1.r", b"\xc1")
    assert await bus.request("eva.v1.r", Cancel(sid="s", turn=1), timeout_s=20) == Cancel(sid="s", turn=1)
    assert bus.malformed == 1


async def test_a_message_that_is_too_big_is_refused_before_it_is_sent(place: Place) -> None:
    bus = await place.connect("a")
    huge = delta(0, "x" * MAX_BYTES)
    with pytest.raises(BadInput):
        await bus.publish("eva.v1.x", huge)
    with pytest.raises(BadInput):
        await bus.request("eva.v1.x", huge, timeout_s=1)
    with pytest.raises(BadInput):
        await bus.enqueue("eva.v1.x", huge, message_id="1")
    heard = Heard()
    await bus.subscribe("eva.v1.x", heard)
    nearly = delta(1, "x" * (MAX_BYTES - 100))
    await bus.publish("eva.v1.x", nearly)
    assert await heard.until(1) == [nearly]
    assert bus.is_up
