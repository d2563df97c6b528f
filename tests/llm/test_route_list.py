"""The list of routes, the keys of servers, and the table of prices, as the configuration writes them."""

from __future__ import annotations

import pytest

from services.llm.engine import Price, Usage
from services.llm.prices import BUILT_IN, BadPrice, parse_prices, price_of
from services.llm.route_list import BadRouteList, RouteSpec, host_of, parse_keys, parse_routes


def test_routes_stand_in_order_with_commas_or_spaces() -> None:
    text = " groq:llama-3.3-70b,groq:openai/gpt-oss-20b  openai:http://10.0.0.2:8000/v1:qwen ,companion"
    assert parse_routes(text) == (
        RouteSpec(kind="groq", model="llama-3.3-70b"),
        RouteSpec(kind="groq", model="openai/gpt-oss-20b"),
        RouteSpec(kind="openai", base_url="http://10.0.0.2:8000/v1", model="qwen"),
        RouteSpec(kind="companion"),
    )


def test_no_text_is_no_routes_and_the_companion_is_always_the_last() -> None:
    assert parse_routes(" ") == ()
    assert [spec.name for spec in parse_routes("groq:m")] == ["groq:m", "companion"]


@pytest.mark.parametrize(
    ("text", "url", "model"),
    [
        ("http://127.0.0.1:11434/v1:llama3.2:3b", "http://127.0.0.1:11434/v1", "llama3.2:3b"),
        (
            "https://api.example.org/openai/v1/:org/big:free",
            "https://api.example.org/openai/v1",
            "org/big:free",
        ),
        ("http://[::1]:8080/v1:m", "http://[::1]:8080/v1", "m"),
    ],
)
def test_an_address_may_have_a_port_and_a_model_colons(text: str, url: str, model: str) -> None:
    spec = parse_routes(f"openai:{text}")[0]
    assert (spec.base_url, spec.model) == (url, model)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (RouteSpec(kind="groq", model="a/b"), "groq:a/b"),
        (RouteSpec(kind="openai", base_url="http://H:1/v1", model="m:3b"), "openai:h:1:m:3b"),
        (RouteSpec(kind="openai", base_url="http://u:secret@h:1/v1"), "openai:h:1"),
        (RouteSpec(kind="openai"), "openai:local"),
        (RouteSpec(kind="companion"), "companion"),
    ],
)
def test_a_route_is_called_by_provider_and_model_without_a_key(spec: RouteSpec, name: str) -> None:
    assert spec.name == name


@pytest.mark.parametrize(
    ("text", "part", "reason"),
    [
        ("groq", "groq", "names no model"),
        ("groq:m, grok:m", "grok:m", "begins with none of"),
        ("groq:m groq:m", "groq:m", "twice"),
        ("companion groq:m", "companion", "must be the last"),
        ("companion:m", "companion:m", "has no model"),
        ("openai:m", "openai:m", "needs an address and a model"),
        ("openai:http://h/v1", "openai:http://h/v1", "names no model"),
        ("openai:http://h/v1:", "openai:http://h/v1:", "names no model"),
        ("openai:http://h:11434:m", "openai:http://h:11434:m", "version path"),
        ("openai:http://h:99999/v1:m", "openai:http://h:99999/v1:m", "99999 is no port"),
    ],
)
def test_an_entry_that_is_none_is_named_with_its_fault(text: str, part: str, reason: str) -> None:
    with pytest.raises(BadRouteList, match=reason) as caught:
        parse_routes(text)
    assert caught.value.part == part


@pytest.mark.parametrize("text", ["openai:http://sk-1@h/v1:m", "openai:sk-1@h", "http://sk-1@h/v1:m"])
def test_a_key_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadRouteList) as caught:
        parse_routes(text)
    assert "sk-1" not in str(caught.value)


def test_keys_stand_by_their_hosts() -> None:
    assert parse_keys("API.example.org=sk=1, 10.0.0.2:8000=b") == {
        "api.example.org": "sk=1",
        "10.0.0.2:8000": "b",
    }
    assert parse_keys("") == {}
    assert host_of("http://u:p@API.example.org:8/v1") == "api.example.org:8"


@pytest.mark.parametrize("text", ["a=b, sk-1", "a=b, =sk-1", "a=b, sk-1="])
def test_a_key_without_a_host_is_told_by_its_number_only(text: str) -> None:
    with pytest.raises(BadRouteList, match="entry 2") as caught:
        parse_keys(text)
    assert "sk-1" not in str(caught.value)


def test_the_longest_beginning_of_a_name_gives_the_price() -> None:
    prices = parse_prices("groq:=1/2, groq:llama-3.3=0.5/0.6/0.1, qwen/big = 3/4")
    assert price_of("groq:llama-3.3-70b-versatile", "llama-3.3-70b-versatile", prices).cached == 0.1
    assert price_of("groq:other", "other", prices) == Price(input=1, output=2)
    assert price_of("openai:h:1:qwen/big-7b", "qwen/big-7b", prices) == Price(input=3, output=4)


def test_groqs_default_models_have_a_price_and_unknown_ones_none() -> None:
    route = "groq:llama-3.1-8b-instant"
    assert price_of(route, "llama-3.1-8b-instant", {}) == BUILT_IN[route]
    assert price_of(route, "llama-3.1-8b-instant", parse_prices("llama=9/9")) == Price(input=9, output=9)
    assert price_of("openai:local", "llama3.2", {}) == Price()


def test_a_turn_costs_what_its_tokens_cost() -> None:
    price = parse_prices("m=1/2/0.5")["m"]
    assert price.of(Usage(input_tokens=1000, output_tokens=100, cached_tokens=400)) == pytest.approx(
        (600 * 1 + 400 * 0.5 + 100 * 2) / 1e6
    )


@pytest.mark.parametrize("text", ["m", "=1/2", "m=1", "m=1/2/3/4", "m=a/b", "m=-1/2", "m=1/nan", "m=1/inf"])
def test_a_price_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadPrice) as caught:
        parse_prices(f"ok=1/1, {text}")
    assert caught.value.part == text
