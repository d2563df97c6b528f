"""The page for everybody: by keyboard alone, read aloud, in both lights, on a phone, without motion."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.fakes.gateway import RunningGateway, running_gateway
from tests.page.browser import DESKTOP, PHONE, WAIT_MS, Scheme, Tab, a_tab, needs_chromium

pytestmark = [needs_chromium, pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
WHOLE = "Hello there. How are you?"
"""All that the workers answer."""
READABLE = 4.5
"""WCAG 2.2, 1.4.3: contrast of text, level AA."""

CONTRASTS = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const part = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  let seen = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const isShown = element.checkVisibility({opacityProperty: true});
    if (!own || !isShown || element.closest(":disabled, .hidden, svg")) continue;
    if (element.getBoundingClientRect().width < 2) continue;
    seen += 1;
    const pair = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    const name = `${element.tagName}.${element.className}: ${element.textContent.slice(0, 40)}`;
    if (ratio < LIMIT) poor.push(`${ratio.toFixed(2)} ${name}`);
  }
  return [seen, poor];
}""".replace("LIMIT", str(READABLE))

STILL = """document.getAnimations().every((one) =>
  one.playState !== "running" || one.effect.getComputedTiming().endTime === Infinity)"""

NAMELESS = """() => [..."button, input, select, a, canvas, svg, dialog, [role], [tabindex]".split(", ")]
  .flatMap((selector) => [...document.querySelectorAll(selector)])
  .filter((element) => !element.closest("[aria-hidden=true]") && element.checkVisibility())
  .filter((element) => {
    const labelled = document.getElementById(element.getAttribute("aria-labelledby") ?? "")?.textContent;
    const label = [...(element.labels ?? [])].map((one) => one.textContent).join("");
    const name = element.getAttribute("aria-label") ?? labelled ?? (label || element.textContent);
    return !name.trim() && !["status", "alert"].includes(element.getAttribute("role"));
  }).map((element) => element.outerHTML.slice(0, 120))"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway() as gateway:
        await gateway.http.post("/chat", json={"message": "Hi"})
        gateway.workers.tells_words = True
        yield gateway


def url_of(gateway: RunningGateway) -> str:
    return f"http://{gateway.address}"


async def is_readable(tab: Tab, at_least: int) -> None:
    # In one step of the page's: behind it a colour may already be on its way to the next.
    seen, poor = await tab.when(f"{STILL} && ({CONTRASTS})()")
    assert seen >= at_least
    assert poor == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_all_text_can_be_read_in_both_lights(
    gateway: RunningGateway, browser: Browser, scheme: Scheme
) -> None:
    async with a_tab(browser, url_of(gateway), scheme=scheme, refuses="NotAllowedError") as tab:
        await tab.shows("ready")
        await is_readable(tab, 30)
        await tab.at("#talk").click()
        await tab.sees("#trouble")
        await is_readable(tab, 30)
        await tab.type("Hello?")
        await tab.sees(".eva.done .strip")
        await tab.at("#talk").focus()
        await tab.page.keyboard.press("d")
        await is_readable(tab, 30)
        await tab.at("#open-settings").click()
        await is_readable(tab, 30)
        for theme in ("dark", "light"):
            await tab.at(f"input[name=theme][value={theme}]").check(force=True)
            await is_readable(tab, 30)


async def test_the_button_can_be_read_in_every_state(gateway: RunningGateway, browser: Browser) -> None:
    async with a_tab(browser, url_of(gateway), motion="reduce") as tab:
        await tab.shows("ready")
        faces = await tab.run("state.js", "return m.FACES")
        for theme in ("dark", "light"):
            for face in faces:
                await tab.page.evaluate(
                    "([theme, face]) => Object.assign(document.documentElement.dataset, {theme, face})",
                    [theme, face],
                )
                await tab.page.evaluate(
                    "Promise.all(document.getAnimations().map((one) => one.finish?.() ?? 0))"
                )
                await is_readable(tab, 20)


async def test_everything_that_can_be_used_has_a_name(gateway: RunningGateway, browser: Browser) -> None:
    for locale in ("en", "fr"):
        async with a_tab(browser, url_of(gateway), locale=locale) as tab:
            await tab.shows("ready")
            assert await tab.page.evaluate(NAMELESS) == []
            await tab.at("#open-settings").click()
            assert await tab.page.evaluate(NAMELESS) == []


async def test_the_state_is_told_to_who_does_not_see_it(gateway: RunningGateway, browser: Browser) -> None:
    async with a_tab(browser, url_of(gateway)) as tab:
        await tab.shows("ready")
        status = tab.page.get_by_role("status")
        await expect(status).to_contain_text("Talk")
        await tab.at("#talk").click()
        await expect(status).to_contain_text("Listening", timeout=WAIT_MS)
        await tab.page.keyboard.press("m")
        await expect(status).to_contain_text("Muted", timeout=WAIT_MS)


async def test_a_conversation_needs_nothing_but_a_keyboard(gateway: RunningGateway, browser: Browser) -> None:
    async with a_tab(browser, url_of(gateway)) as tab:
        await tab.shows("ready")
        reached = []
        for _ in range(20):
            await tab.page.keyboard.press("Tab")
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            name, drawn = await tab.page.evaluate(f"[document.activeElement.id, {outline}]")
            reached.append(name)
            if name and name != "scroll":
                assert drawn != "none", name
            if name == "say":
                break
        assert {"health", "to-fr", "open-settings", "talk", "scroll", "say"} <= set(reached)
        await tab.page.keyboard.type("Hello?")
        await tab.page.keyboard.press("Enter")
        await tab.sees(".eva.done .heard", WHOLE)
        await tab.shows("ready")  # while she speaks, the button stops her
        await tab.at("#talk").focus()
        await expect(tab.at("#talk")).to_be_focused()
        await tab.page.keyboard.press("Enter")
        await tab.shows("listening")
        await tab.page.keyboard.press("m")
        await tab.shows("muted")
        await tab.page.keyboard.press("d")
        await tab.sees("#panel")


async def test_the_settings_are_left_by_escape_and_the_focus_goes_back(
    gateway: RunningGateway, browser: Browser
) -> None:
    async with a_tab(browser, url_of(gateway)) as tab:
        await tab.shows("ready")
        await tab.at("#open-settings").focus()
        await tab.page.keyboard.press("Enter")
        await tab.sees("#settings-title")
        await tab.page.keyboard.press("Escape")
        await expect(tab.at("#settings")).to_be_hidden()
        await expect(tab.at("#open-settings")).to_be_focused()


@pytest.mark.parametrize("size", [DESKTOP, PHONE, (320, 640), (844, 390)])
async def test_it_fits_its_screen_and_fingers(
    gateway: RunningGateway, browser: Browser, size: tuple[int, int]
) -> None:
    async with a_tab(browser, url_of(gateway), size=size, locale="fr", is_touch=size != DESKTOP) as tab:
        await tab.shows("ready")
        wide = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
        assert await tab.page.evaluate(wide) <= 0
        for selector in ("#talk", "#say", "#devices", "input[value=turns]", "#open-settings"):
            box = await tab.at(selector).bounding_box()
            assert box is not None, selector
            assert box["x"] >= 0, selector
            assert box["x"] + box["width"] <= size[0] + 1, selector
            assert min(box["width"], box["height"]) >= 24, selector  # WCAG 2.2, 2.5.8


async def test_less_motion_is_no_motion(gateway: RunningGateway, browser: Browser) -> None:
    async with a_tab(browser, url_of(gateway), motion="reduce") as tab:
        await tab.begin()
        gateway.workers.gate_mind.clear()
        try:
            await tab.type("Hello?")
            await tab.shows("thinking")
            moving = "document.getAnimations().filter((one) => one.playState === 'running').length"
            await tab.when(f"{moving} === 0")
        finally:
            gateway.workers.gate_mind.set()
        await tab.sees(".eva.done .heard", "Hello there.")
        await tab.is_clean()
