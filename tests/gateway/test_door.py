"""Who is let in, and the settings behind it."""

import pytest

from services.gateway.door import Busy, Door, Draining
from services.gateway.life import make_door
from services.gateway.outbox import Outbox
from services.gateway.settings import GatewaySettings
from shared.errors import BusDown, ConfigError


def door(**settings: object) -> Door:
    return make_door(GatewaySettings(_env_file=None, **settings))


def outbox() -> Outbox:
    return Outbox(lambda _code: None)


@pytest.mark.parametrize(
    ("origin", "host", "is_welcome"),
    [
        (None, "eva.home", True),
        ("http://eva.home", "eva.home", True),
        ("http://EVA.home:8000", "eva.home:8000", True),
        ("http://eva.home:9000", "eva.home:8000", False),
        ("http://localhost:3000", "eva.home", True),
        ("http://[::1]:3000", "eva.home", True),
        ("https://ui.example", "eva.home", True),
        ("https://ui.example.evil", "eva.home", False),
        ("null", "eva.home", False),
        ("", "", False),
        ("http://[", "eva.home", False),
    ],
)
def test_which_pages_may_speak_to_us(origin: str | None, host: str, is_welcome: bool) -> None:
    there = door(gateway_allowed_origins=" https://UI.example,, ")
    assert there.is_welcome(origin, host) is is_welcome


def test_a_star_lets_every_page_in() -> None:
    assert door(gateway_allowed_origins="*").is_welcome("https://evil.example", "eva.home")


async def test_a_seat_is_free_again_when_its_client_has_left() -> None:
    there = door(gateway_max_sessions=1)
    with there.seat(outbox()):
        assert there.sessions == 1
        with pytest.raises(Busy), there.seat(outbox()):
            pass
    with there.seat(outbox()):
        pass
    assert there.sessions == 0


async def test_nobody_is_let_in_once_it_drains() -> None:
    there = door()
    await there.drain(0.01)
    with pytest.raises(Draining), there.seat(outbox()):
        pass


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
