"""What the doctor says about each route, asked over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from eva.checks import Check
from eva.mind_checks import GET_ONE, mind_checks
from tests.fakes.provider import FakeProvider


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GROQ_API_KEY", "EVA_GROQ_API_KEY", "EVA_LLM_BASE_URL", "EVA_LLM_ROUTES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EVA_LLM_DISCOVER", "off")
    monkeypatch.setenv("EVA_LLM_CONNECT_S", "60")


async def checks() -> list[Check]:
    return [check async for check in mind_checks()]


async def test_a_route_whose_key_and_model_are_good_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeProvider(models=("big", "small")) as provider:
        monkeypatch.setenv("EVA_LLM_BASE_URL", provider.base_url)
        monkeypatch.setenv("EVA_LLM_MODEL", "big")
        found = await checks()
    assert all(check.ok and not check.hint for check in found)
    assert any(check.detail.endswith("big can be used") for check in found)
    assert found[-1].detail == "companion can be used"


async def test_a_key_that_is_refused_is_a_failure_that_names_its_route_and_what_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeProvider(models_status=401) as provider:
        monkeypatch.setenv("GROQ_API_KEY", "wrong-and-secret")
        monkeypatch.setenv("EVA_LLM_GROQ_MODEL", "big")
        monkeypatch.setenv("EVA_LLM_GROQ_BASE_URL", provider.root)
        found = await checks()
    refused = found[0]
    assert not refused.ok
    assert refused.detail.startswith("groq:big: ")
    assert refused.hint
    assert "wrong-and-secret" not in str(found)


async def test_a_server_that_is_not_there_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVA_LLM_BASE_URL", "http://127.0.0.1:1/v1")
    found = await checks()
    assert [check.ok for check in found] == [False, True]


async def test_without_any_model_the_companion_is_named_and_how_to_get_better() -> None:
    assert await checks() == [
        Check("mind", ok=True, detail="companion can be used"),
        Check(
            "mind",
            ok=True,
            detail="no language model: the scripted companion answers, degraded",
            hint=GET_ONE,
        ),
    ]


async def test_settings_that_cannot_be_used_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVA_LLM_SLOTS", "many")
    (check,) = await checks()
    assert (check.ok, check.hint) == (False, "eva config show")
    assert "EVA_LLM_SLOTS" in check.detail
