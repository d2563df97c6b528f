"""What the page says: in trouble, of the parts of EVA, and in two languages."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.fakes.gateway import running_gateway
from tests.page.browser import Tab, a_tab, needs_chromium

pytestmark = [needs_chromium, pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    async with running_gateway() as gateway, a_tab(browser, f"http://{gateway.address}/") as tab:
        yield tab


@pytest.mark.parametrize(
    ("name", "screen"),
    [("NotAllowedError", "denied"), ("SecurityError", "denied"), ("NotFoundError", "nodevice"),
     ("NotReadableError", "nomic")],
)  # fmt: skip
async def test_a_refused_microphone_has_its_screen(tab: Tab, name: str, screen: str) -> None:
    assert await tab.run("trouble.js", "return m.ofMicrophone({name: given})", name) == screen


async def test_it_waits_longer_after_each_try_and_not_for_ever(tab: Tab) -> None:
    waits = await tab.run("trouble.js", "return [0, 1, 2, 3, 4, 5, 50].map((n) => m.waitMs(n, 1))")
    assert waits == [400, 800, 1600, 3200, 6400, 8000, 8000]
    assert await tab.run("trouble.js", "return m.waitMs(5, 0)") == pytest.approx(4800)


async def test_every_sentence_is_there_in_both_languages(tab: Tab) -> None:
    body = """
        const isList = (value) => typeof value !== "object" || Array.isArray(value);
        const keys = (value, path = "") => isList(value) ? [path]
          : Object.entries(value).flatMap(([name, inner]) => keys(inner, `${path}.${name}`));
        const {en, fr} = m.LANGUAGES;
        const used = ["text", "label", "title", "placeholder"].flatMap((kind) =>
          [...document.querySelectorAll(`[data-${kind}]`)].map((element) => element.dataset[kind]));
        return [keys(en), keys(fr), used.filter((name) => typeof en[name] !== "string")];"""
    english, french, unknown = await tab.run("words.js", body)
    assert english == french
    assert len(english) > 100
    assert unknown == []


@pytest.mark.parametrize(
    ("chosen", "preferred", "language"),
    [("", ["fr-CA", "en"], "fr"), ("", ["de-DE", "fr"], "fr"), ("en", ["fr"], "en"), ("", ["ja"], "en")],
)
async def test_the_page_speaks_the_persons_language(
    tab: Tab, chosen: str, preferred: list[str], language: str
) -> None:
    assert await tab.run("words.js", "return m.languageOf(...given)", [chosen, preferred]) == language


# The system check

SERVING = {"state": "ready", "workers": 1, "engine": "e", "model": "m", "device": "cpu", "is_degraded": False}
WELL = {
    "broker": True, "database": True, "tts": True, "version": "1",
    "stages": {"stt": SERVING, "llm": SERVING, "tts": SERVING},
    "turn": {"last_audible_age_s": 1.0, "last_response_ms": 62.4},
}  # fmt: skip


async def rows(tab: Tab, **facts: object) -> dict[str, tuple[str, str]]:
    """State and remedy of each part."""
    known = {"isSecure": True, "status": 200, "health": WELL, "microphone": "ok", **facts}
    found = await tab.run("check.js", "return m.diagnose(given)", known)
    return {row["name"]: (row["state"], row["mend"]) for row in found}


async def test_the_check_names_the_part_that_is_dead_and_how_to_mend_it(tab: Tab) -> None:
    assert set((await rows(tab)).values()) == {("ok", "")}
    absent = {**SERVING, "state": "absent", "workers": 0}
    for stage in ("stt", "llm", "tts"):
        health = {**WELL, "stages": {**WELL["stages"], stage: absent}}  # type: ignore[dict-item]
        found = await rows(tab, health=health)
        assert {name for name, (state, _) in found.items() if state == "bad"} == {stage}
        assert found[stage] == ("bad", stage)
    assert (await rows(tab, status=0, health=None))["gateway"] == ("bad", "gateway")
    assert (await rows(tab, health={**WELL, "broker": False}))["broker"] == ("bad", "broker")
    assert (await rows(tab, health={**WELL, "database": False}))["broker"] == ("weak", "database")
    assert (await rows(tab, health={**WELL, "tts": False}))["sound"] == ("bad", "mute")
    assert (await rows(tab, isSecure=False))["secure"] == ("bad", "insecure")
    assert (await rows(tab, microphone="denied"))["microphone"] == ("bad", "denied")
    degraded = {**WELL, "stages": {**WELL["stages"], "llm": {**SERVING, "is_degraded": True}}}  # type: ignore[dict-item]
    assert (await rows(tab, health=degraded))["llm"] == ("weak", "weak_llm")
