"""Where a key may stand."""

import pytest

from services.gateway.keys_offered import InvalidKey, Offer, read_offer, without_key

BEARER = [(b"authorization", b"Bearer eva_sk_1")]
PROTOCOLS = ["realtime", "openai-insecure-api-key.eva_sk_1", "openai-agents-sdk.0.1"]


@pytest.mark.parametrize(
    ("headers", "protocols", "offer"),
    [
        ([], [], Offer("", None)),
        (BEARER, [], Offer("eva_sk_1", None)),
        ([(b"authorization", b"bEARER  eva_sk_1 ")], [], Offer("eva_sk_1", None)),
        (BEARER, ["realtime"], Offer("eva_sk_1", "realtime")),
        ([], PROTOCOLS, Offer("eva_sk_1", "realtime")),
        (BEARER, PROTOCOLS, Offer("eva_sk_1", "realtime")),
        ([], ["openai-insecure-api-key.ek_2"], Offer("ek_2", None)),
        ([], ["openai-insecure-api-key."], Offer("", None)),
        ([], ["chat", "REALTIME"], Offer("", None)),
        ([(b"x-api-key", b"eva_sk_1")], [], Offer("", None)),
    ],
)
def test_a_key_stands_in_the_header_or_in_a_subprotocol(
    headers: list[tuple[bytes, bytes]], protocols: list[str], offer: Offer
) -> None:
    assert read_offer(headers, protocols, b"model=m", is_asked=True) == offer


@pytest.mark.parametrize(
    ("headers", "protocols"),
    [
        ([*BEARER, (b"authorization", b"Bearer other")], []),
        (BEARER, ["realtime", "openai-insecure-api-key.other"]),
        ([(b"authorization", b"Basic ZXZh")], []),
        ([(b"authorization", b"eva_sk_1")], []),
    ],
)
def test_two_keys_or_another_scheme_are_refused(
    headers: list[tuple[bytes, bytes]], protocols: list[str]
) -> None:
    with pytest.raises(InvalidKey) as refused:
        read_offer(headers, protocols, b"", is_asked=True)
    assert "eva_sk_1" not in str(refused.value)


@pytest.mark.parametrize("name", ["api_key", "API-KEY", "key", "token", "access_token", "client_secret"])
def test_a_key_in_the_url_is_refused_and_said_why(name: str) -> None:
    with pytest.raises(InvalidKey, match="ends in logs") as refused:
        read_offer(BEARER, [], f"model=m&{name}=geheim".encode(), is_asked=True)
    assert "geheim" not in str(refused.value)
    assert read_offer([], [], f"{name}=x".encode(), is_asked=False) == Offer("", None)


@pytest.mark.parametrize("value", ["eva_sk_1", "ek_2"])
def test_what_looks_like_a_key_is_refused_in_any_url(value: str) -> None:
    with pytest.raises(InvalidKey, match="make a new key"):
        read_offer([], [], f"anything={value}".encode(), is_asked=False)


def test_where_no_key_is_asked_for_other_credentials_are_nobodys_business() -> None:
    assert read_offer([(b"authorization", b"Basic ZXZh")], [], b"", is_asked=False) == Offer("", None)


def test_nobody_behind_sees_the_key() -> None:
    headers = [(b"host", b"eva"), *BEARER, (b"sec-websocket-protocol", ", ".join(PROTOCOLS).encode())]
    clean = without_key(headers, PROTOCOLS)
    assert clean == {
        "headers": [(b"host", b"eva"), (b"sec-websocket-protocol", b"realtime, openai-agents-sdk.0.1")],
        "subprotocols": ["realtime", "openai-agents-sdk.0.1"],
    }
    assert without_key(headers, [])["headers"] == [(b"host", b"eva")]
