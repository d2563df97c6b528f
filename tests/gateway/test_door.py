"""Who is let in, and the settings behind it."""

import asyncio

import pytest

from services.gateway.chat_protocol import ErrorEvent, FinalEvent, SpeechStartedEvent, TurnStarted
from services.gateway.door import Busy, Door, Draining
from services.gateway.guests import Guest
from services.gateway.life import make_door
from services.gateway.outbox import Farewell, Outbox
from services.gateway.settings import GatewaySettings
from shared.errors import BusDown, ConfigError


def door(**settings: object) -> Door:
    return make_door(GatewaySettings(_env_file=None, **settings))


def outbox() -> Outbox:
    return Outbox(lambda _code: None)


def test_the_doors_list_of_origins_is_the_settings() -> None:
    there = door(gateway_allowed_origins=" https://UI.example,, ")
    assert there.is_welcome("https://ui.example:443", "127.0.0.1:8000")
    assert not there.is_welcome("https://ui.example.evil", "127.0.0.1:8000")


def test_a_name_of_its_own_is_taken_for_an_origin_only_where_a_key_is_asked_for() -> None:
    assert door(host="0.0.0.0").is_welcome("http://eva.home", "eva.home")
    assert not door(host="127.0.0.1").is_welcome("http://eva.home", "eva.home")


async def test_a_seat_is_free_again_when_its_client_has_left() -> None:
    there = door(gateway_max_sessions=1)
    with there.seat(outbox()):
        assert there.sessions == 1
        with pytest.raises(Busy), there.seat(outbox()):
            pass
    with there.seat(outbox()):
        pass
    assert there.sessions == 0


async def test_a_guest_who_was_given_a_place_needs_no_second_one() -> None:
    there, guest = door(gateway_max_sessions=1), Guest()
    with there.place(guest):
        with pytest.raises(Busy):
            there.check_room()
        with there.seat(outbox(), guest):
            assert there.sessions == 1
    assert there.sessions == 0


async def test_who_sits_with_a_key_that_is_revoked_is_told_and_seen_out_and_nobody_else() -> None:
    there, revoked, other = door(), outbox(), outbox()
    with there.seat(revoked, Guest(key_id="key_a")), there.seat(other, Guest(key_id="key_b")):
        there.evict(frozenset({"key_a"}))
        said = await revoked.get()
        assert said is not None
        assert isinstance(said.event, ErrorEvent)
        assert said.event.code == "invalid_api_key"
        assert revoked.farewell == Farewell(1008, "invalid_api_key")
        assert other.farewell is None


async def test_nobody_is_let_in_once_it_drains() -> None:
    there = door()
    await there.drain(0.01)
    with pytest.raises(Draining), there.seat(outbox()):
        pass


def over(turn_id: str) -> ErrorEvent:
    return ErrorEvent(code="llm_unavailable", message="over", turn_id=turn_id)


async def until_idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_each_goes_with_the_end_of_its_turn_and_begins_no_other_for_anothers_sake() -> None:
    there, first, second, idle = door(), outbox(), outbox(), outbox()
    with there.seat(first), there.seat(second), there.seat(idle):
        for box in (first, second):
            box.emit(TurnStarted(turn_id="a-1", is_spoken=False))
        draining = asyncio.create_task(there.drain(600))
        await until_idle()
        assert [box.farewell is not None for box in (first, second, idle)] == [False, False, True]
        first.emit(over("a-1"))
        await until_idle()
        assert first.farewell == Farewell(1012, "the gateway is stopping")
        assert second.farewell is None
        second.emit(over("a-1"))
        second.emit(TurnStarted(turn_id="a-2", is_spoken=False))  # before anybody could look
        await until_idle()
        assert second.farewell is None
        second.emit(over("a-2"))
        await until_idle()
        assert second.farewell == Farewell(1012, "the gateway is stopping")
    await draining


async def test_who_is_in_mid_sentence_is_heard_and_answered_before_the_gateway_stops() -> None:
    there, person = door(), outbox()
    with there.seat(person):
        person.emit(SpeechStartedEvent(at_ms=0, id=1))
        draining = asyncio.create_task(there.drain(600))
        await until_idle()
        assert person.farewell is None
        person.emit(FinalEvent(text="Hello.", language="en", turn_id="a-1", start_ms=0, end_ms=900, id=1))
        person.emit(TurnStarted(turn_id="a-1", is_spoken=True, utterance=1))
        await until_idle()
        assert person.farewell is None
        person.emit(over("a-1"))
        await until_idle()
        assert person.farewell is not None
    await draining


def test_without_a_broker_there_is_no_core() -> None:
    with pytest.raises(BusDown):
        door().require_core()


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", "65536"), ("gateway_max_sessions", "0"), ("canary_every_s", "0"), ("turn_s", "nan?")],
)
def test_a_setting_that_cannot_work_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"EVA_{name.upper()}", value)
    with pytest.raises(ConfigError, match=f"EVA_{name.upper()}"):
        GatewaySettings.read()
