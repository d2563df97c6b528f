"""Which web pages may speak to the gateway: each hole that such lists have had elsewhere, tried."""

import pytest

from services.gateway.origins import is_fixed, is_local, is_welcome, read_allowed, read_host

ALLOWED = read_allowed("https://ui.example, http://ui.example:8080 ,https://b.example:443,,")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "eva.home"),
        ("http://eva.home", "eva.home"),
        ("http://eva.home", "eva.home:80"),
        ("https://eva.home", "eva.home:443"),
        ("https://eva.home", "eva.home"),
        ("http://EVA.home:8000", "eva.HOME:8000"),
        ("http://[2001:db8::1]:8000", "[2001:db8::1]:8000"),
        ("https://ui.example", "eva.home"),
        ("https://ui.example:443", "eva.home"),
        ("HTTPS://UI.example", "eva.home"),
        ("http://ui.example:8080", "eva.home"),
        ("https://b.example", "eva.home"),
        ("http://localhost:3000", "eva.home"),
        ("https://localhost", "eva.home"),
        ("http://127.0.0.1:5173", "eva.home"),
        ("http://127.8.9.1", "eva.home"),
        ("http://[::1]:3000", "eva.home"),
    ],
)
def test_these_pages_are_welcome(origin: str | None, host: str) -> None:
    assert is_welcome(origin, host, ALLOWED, is_keyless=False)


@pytest.mark.parametrize("is_keyless", [True, False])
@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("null", "eva.home"),
        ("NULL", "null"),
        ("", ""),
        ("", "eva.home"),
        ("*", "eva.home"),
        ("file://", "eva.home"),
        ("file:///etc/passwd", "eva.home"),
        ("chrome-extension://eva.home", "eva.home"),
        ("ws://eva.home", "eva.home"),
        ("javascript:alert(1)", "eva.home"),
        ("//eva.home", "eva.home"),
        ("eva.home", "eva.home"),
        ("http://eva.home:9000", "eva.home:8000"),
        ("http://eva.home:8000", "eva.home"),
        ("https://eva.home", "eva.home:80"),
        ("http://eva.home", "eva.home:443"),
        ("http://eva.home.evil.example", "eva.home"),
        ("http://evil.example/eva.home", "eva.home"),
        ("http://evil.example?eva.home", "eva.home"),
        ("http://evil.example#@eva.home", "eva.home"),
        ("http://eva.home@evil.example", "eva.home"),
        ("http://evil.example@eva.home", "eva.home"),
        ("http://eva.home:80@evil.example", "eva.home"),
        ("http://eva.home\\@evil.example", "eva.home"),
        ("http://eva.home.", "eva.home"),
        ("http://eva.home ", "eva.home"),
        (" http://eva.home", "eva.home"),
        ("http://eva.home:", "eva.home:1"),
        ("http://eva.home:x", "eva.home:x"),
        ("http://eva.home:99999", "eva.home:99999"),
        ("http://[", "eva.home"),
        ("http://[::1", "eva.home"),
        ("http://localhost.evil.example", "eva.home"),
        ("http://evil-localhost", "eva.home"),
        ("http://127.0.0.1.evil.example", "eva.home"),
        ("http://127.1", "eva.home"),
        ("http://2130706433", "eva.home"),
        ("http://0x7f.0.0.1", "eva.home"),
        ("http://[::ffff:1.2.3.4]", "eva.home"),
        ("http://0.0.0.0:8000", "eva.home"),
        ("http://user@localhost", "eva.home"),
        ("http://localhost@evil.example", "eva.home"),
        ("http://ui.example", "eva.home"),
        ("https://ui.example:8080", "eva.home"),
        ("https://ui.example.evil", "eva.home"),
        ("https://ui.example:444", "eva.home"),
        ("https://evil.example, https://ui.example", "eva.home"),
        ("https://ui.example https://evil.example", "eva.home"),
    ],
)
def test_these_pages_are_turned_away(origin: str, host: str, is_keyless: bool) -> None:
    assert not is_welcome(origin, host, ALLOWED, is_keyless=is_keyless)


@pytest.mark.parametrize(
    ("host", "is_safe"),
    [
        ("evil.example:8000", False),
        ("eva.home:8000", False),
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("192.168.1.7:8000", True),
        ("[2001:db8::1]:8000", True),
    ],
)
def test_without_a_key_a_name_that_anybody_can_point_here_is_no_proof_of_being_here(
    host: str, is_safe: bool
) -> None:
    assert is_welcome(f"http://{host}", host, frozenset(), is_keyless=True) is is_safe
    assert is_welcome(f"http://{host}", host, frozenset(), is_keyless=False)


def test_a_star_lets_every_page_in_that_has_an_origin() -> None:
    assert is_welcome("https://evil.example", "eva.home", read_allowed("*"), is_keyless=False)
    assert not is_welcome("null", "eva.home", read_allowed("*"), is_keyless=False)


@pytest.mark.parametrize(
    "entry", ["null", "eva.home", "https://", "https://a.example/path", "https://u@a.example"]
)
def test_an_entry_that_could_never_match_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        read_allowed(f"https://fine.example, {entry}")


def test_the_list_is_spelled_as_browsers_spell_origins() -> None:
    assert read_allowed("HTTPS://A.example:443, http://[::2]:80, http://b.example:81") == {
        "https://a.example", "http://[::2]", "http://b.example:81",
    }  # fmt: skip


def test_a_host_that_is_none_is_nobody() -> None:
    assert read_host("eva.home/x", "http") is None
    assert read_host("", "http") is None


@pytest.mark.parametrize(
    ("host", "local", "fixed"),
    [("localhost", True, True), ("127.3.2.1", True, True), ("::1", True, True), ("10.0.0.1", False, True),
     ("0.0.0.0", False, True), ("", False, False), ("eva.home", False, False)],
)  # fmt: skip
def test_what_is_this_machine_and_what_no_name_server_decides(host: str, local: bool, fixed: bool) -> None:
    assert (is_local(host), is_fixed(host)) == (local, fixed)
