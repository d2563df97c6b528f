"""The ways of taking turns on the page: push to talk, muted, one at a time, and stopping her."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.async_api import Browser, expect

from tests.e2e.house import House
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import silence, speech
from tests.models.tiny_whisper import PHRASES
from tests.page.browser import a_tab, needs_chromium

pytestmark = [needs_chromium, pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SAID = speech(PHRASES[0])
HELD = np.concatenate([SAID, silence(0.6)])
"""Who holds a button lets it go when all was said: what is heard of it comes a little later."""
STORY = Reply(tokens=tuple(f" number {count} is a very nice one, I think." for count in range(1, 60)))
SHORT = Reply(tokens=("All", " right", "."))


async def test_push_to_talk_sends_sound_only_while_the_space_bar_is_held(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [SHORT]
    async with a_tab(browser, home.url) as tab:
        await tab.at("input[value=push]").check(force=True)
        await tab.begin()
        assert (await tab.messages("start"))[0]["turn_taking"] == {"mode": "manual"}
        await tab.say(HELD)
        assert "sound" not in await tab.sent()
        await tab.page.locator("body").click(position={"x": 5, "y": 400})
        await tab.page.keyboard.down("Space")
        await tab.shows("hearing")
        await tab.say(HELD)
        await tab.page.keyboard.up("Space")
        await tab.sees(".person.done .words", PHRASES[0])
        await tab.sees(".eva.done .heard", "All right.")
        assert len(await tab.messages("end_of_speech")) == 1
        await tab.is_clean()


async def test_the_talk_button_is_held_with_a_finger_too(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [SHORT]
    async with a_tab(browser, home.url, size=(390, 844), is_touch=True) as tab:
        await tab.at("input[value=push]").check(force=True)
        await tab.begin()
        await tab.at("#talk").hover()
        await tab.page.mouse.down()
        await tab.shows("hearing")
        await tab.say(HELD)
        await tab.page.mouse.up()
        await tab.sees(".person.done .words", PHRASES[0])
        await tab.sees(".eva.done .heard", "All right.")
        assert await tab.messages("interrupt") == [], "the click behind a release means nothing"
        await tab.is_clean()


async def test_muted_nothing_but_silence_is_sent_and_m_opens_it_again(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [SHORT]
    async with a_tab(browser, home.url) as tab:
        await tab.begin()
        await tab.when("bench.sockets.includes('silence')")  # frames flow
        await tab.page.keyboard.press("m")
        await tab.shows("muted")
        assert await tab.at("#mute").get_attribute("aria-pressed") == "true"
        await tab.say(HELD)
        assert "sound" not in await tab.sent()
        await expect(tab.at(".person")).to_have_count(0)
        await tab.page.keyboard.press("m")
        await tab.shows("listening")
        await tab.say(SAID)
        await tab.sees(".person.done .words", PHRASES[0])
        await tab.is_clean()


async def test_one_at_a_time_she_does_not_hear_what_is_said_into_her_answer(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    story = Reply(tokens=tuple(f" number {count} is a very nice one, I think." for count in range(1, 4)))
    provider.replies = [story]
    async with a_tab(browser, home.url) as tab:
        await tab.at("input[value=turns]").check(force=True)
        await tab.begin()
        assert (await tab.messages("start"))[0]["barge_in"] == {"mode": "half_duplex"}
        await tab.type("Tell me a story.")
        await tab.sees(".eva .heard", "number 1")
        await tab.say(SAID[: 16000 // 2])
        await tab.sees(".eva.done .heard", "number 3 is a very nice one, I think.")
        await tab.shows("listening")
        await expect(tab.at(".struck")).to_have_count(0)
        await expect(tab.at(".person")).to_have_count(1)
        await tab.is_clean()


async def test_escape_stops_her_and_keeps_the_heard_words(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [STORY]
    async with a_tab(browser, home.url) as tab:
        await tab.begin()
        await tab.type("Tell me a long story.")
        await tab.sees(".eva .coming", "number 10 is")
        await tab.sees(".eva .heard", "number 1 is")
        await tab.at("#talk").focus()
        await tab.page.keyboard.press("Escape")
        await tab.sees(".eva.stopped .struck", "number 10 is")
        await tab.shows("listening")
        assert (await tab.messages("interrupt"))[0]["played_ms"] > 0
        await tab.is_clean()
