"""What the mind's worker can be told, and which minds follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.llm.__main__ import make, minds
from services.llm.engine import Mind, Price
from services.llm.route import Policy
from services.llm.settings import USUAL_PORTS, LlmSettings
from shared.errors import ConfigError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No ``.env`` and no key of the developer's."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "GROQ_API_KEY",
        "EVA_GROQ_API_KEY",
        "EVA_LLM_BASE_URL",
        "EVA_LLM_ROUTES",
        "EVA_LLM_API_KEYS",
        "EVA_LLM_PRICES",
        "EVA_LLM_DISCOVER",
        "EVA_SECRETS_DIR",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["GROQ_API_KEY", "EVA_GROQ_API_KEY"])
def test_groqs_key_is_read_under_both_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "gsk_1")
    settings = LlmSettings.read()
    assert settings.groq_api_key.get_secret_value() == "gsk_1"
    assert "gsk_1" not in repr(settings)


def test_groqs_key_is_read_from_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GROQ_API_KEY=gsk_2\n")
    assert LlmSettings.read().groq_api_key.get_secret_value() == "gsk_2"


def test_groqs_key_is_read_from_a_secrets_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "GROQ_API_KEY").write_text("gsk_3\n")
    monkeypatch.setenv("EVA_SECRETS_DIR", str(tmp_path))
    assert LlmSettings.read().groq_api_key.get_secret_value() == "gsk_3"


def test_the_gateways_own_port_is_never_looked_at() -> None:
    assert LlmSettings.read().discover_ports == tuple(port for port in USUAL_PORTS if port != 8000)
    assert LlmSettings.read(port=8080, llm_discover="8080, 1234").discover_ports == (1234,)
    assert LlmSettings.read(llm_discover="off").discover_ports == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("llm_discover", "here"),
        ("llm_base_url", "localhost:11434"),
        ("llm_slots", 0),
        ("llm_first_token_s", 0),
        ("llm_routes", "groq:m"),  # without a key
        ("llm_routes", "somewhere:m"),
        ("llm_prices", "m=cheap"),
        ("llm_api_keys", "sk-1"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"EVA_{name.upper()}"):
        LlmSettings.read(**{name: value})


async def test_without_anything_only_the_companion_and_a_search_are_left() -> None:
    assert [mind.name for mind in minds(LlmSettings.read())] == ["openai-compatible", "companion"]
    assert [mind.name for mind in minds(LlmSettings.read(llm_discover="off"))] == ["companion"]


async def closed(chosen: list[Mind]) -> None:
    for mind in chosen:
        await mind.close()


async def test_with_a_key_groq_comes_first_with_a_smaller_model_behind() -> None:
    settings = LlmSettings.read(groq_api_key="k", llm_base_url="http://127.0.0.1:9/v1/", llm_model="m")
    chosen = minds(settings)
    assert [mind.name for mind in chosen] == ["groq", "groq", "openai-compatible", "companion"]
    assert [mind.route for mind in chosen] == [
        "groq:llama-3.3-70b-versatile",
        "groq:llama-3.1-8b-instant",
        "openai:127.0.0.1:9:m",
        "companion",
    ]
    assert settings.llm_base_url == "http://127.0.0.1:9/v1"
    await closed(chosen)


@pytest.mark.parametrize("fallback", ["", "llama-3.3-70b-versatile"])
async def test_groqs_second_model_may_be_none(fallback: str) -> None:
    settings = LlmSettings.read(groq_api_key="k", llm_groq_fallback_model=fallback, llm_discover="off")
    chosen = minds(settings)
    assert [mind.route for mind in chosen] == ["groq:llama-3.3-70b-versatile", "companion"]
    await closed(chosen)


async def test_named_routes_replace_all_others_and_each_has_its_price() -> None:
    chosen = minds(
        LlmSettings.read(
            groq_api_key="k",
            llm_routes="openai:http://127.0.0.1:9/v1:a:1b groq:x, openai:http://127.0.0.1:9/v1:b",
            llm_prices="groq:=1/2, b=3/4",
        )
    )
    assert [mind.route for mind in chosen] == [
        "openai:127.0.0.1:9:a:1b",
        "groq:x",
        "openai:127.0.0.1:9:b",
        "companion",
    ]
    assert [mind.model for mind in chosen] == ["a:1b", "x", "b", "scripted"]
    assert [mind.price for mind in chosen] == [
        Price(),
        Price(input=1, output=2),
        Price(input=3, output=4),
        Price(),
    ]
    await closed(chosen)


def test_a_server_may_have_a_key_of_its_own() -> None:
    settings = LlmSettings.read(llm_api_key="sk-all", llm_api_keys="api.example.org=sk-1, 10.0.0.2:8000=sk-2")
    assert settings.key_of("https://api.example.org:443/v1") == "sk-1"
    assert settings.key_of("http://10.0.0.2:8000/v1") == "sk-2"
    assert settings.key_of("http://10.0.0.2:9000/v1") == settings.key_of("") == "sk-all"
    assert "sk-1" not in repr(settings)


async def test_the_worker_takes_its_name_from_the_settings_or_makes_one() -> None:
    assert make(LlmSettings.read(worker_id="W7", llm_discover="off")).facts().worker == "W7"
    assert len(make(LlmSettings.read(llm_discover="off")).facts().worker) == 26


async def test_the_choice_of_routes_follows_the_settings() -> None:
    settings = LlmSettings.read(llm_slow_s=2, llm_hedge_share=0, llm_hedge_burst=3, llm_warm_every_s=60)
    assert settings.policy == Policy(slow_s=2.0, hedge_share=0.0, hedge_burst=3.0, warm_every_s=60.0)
    assert LlmSettings.read().policy == Policy()
