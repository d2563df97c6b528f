"""What the mind's worker can be told, and which minds follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.llm.__main__ import make, minds
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
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"EVA_{name.upper()}"):
        LlmSettings.read(**{name: value})


async def test_without_anything_only_the_companion_and_a_search_are_left() -> None:
    assert [mind.name for mind in minds(LlmSettings.read())] == ["openai-compatible", "companion"]
    assert [mind.name for mind in minds(LlmSettings.read(llm_discover="off"))] == ["companion"]


async def test_with_a_key_groq_comes_first() -> None:
    settings = LlmSettings.read(groq_api_key="k", llm_base_url="http://127.0.0.1:9/v1/", llm_model="m")
    chosen = minds(settings)
    assert [mind.name for mind in chosen] == ["groq", "openai-compatible", "companion"]
    assert [mind.model for mind in chosen] == [settings.llm_groq_model, "m", "scripted"]
    assert settings.llm_base_url == "http://127.0.0.1:9/v1"
    for mind in chosen:
        await mind.close()


async def test_the_worker_takes_its_name_from_the_settings_or_makes_one() -> None:
    assert make(LlmSettings.read(worker_id="W7", llm_discover="off")).facts().worker == "W7"
    assert len(make(LlmSettings.read(llm_discover="off")).facts().worker) == 26
