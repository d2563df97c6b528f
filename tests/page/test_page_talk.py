"""Conversations on the page: a spoken WAV as the microphone, a real EVA, and ears at the loudspeaker."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from playwright.async_api import Browser, expect

from services.tts import piper
from tests.e2e.house import House
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import speech
from tests.models import tiny_voice
from tests.models.tiny_whisper import PHRASES
from tests.page.browser import HEARD_HZ, WAIT_MS, Tab, a_tab, conversation, needs_chromium

pytestmark = [needs_chromium, pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SAID = speech(PHRASES[0])
BLOCK = HEARD_HZ // 50
ANSWER = "Hello there, my friend. Good to hear you."
STORY = Reply(tokens=tuple(f" number {count} is a very nice one, I think." for count in range(1, 60)))
SHORT = Reply(tokens=("All", " right", "."))
COUNT_GREY = """() => {
  globalThis.grey = 0;
  const count = () => (grey += document.querySelectorAll(".person:not(.done) .partial").length);
  new MutationObserver(count).observe(document.getElementById("captions"), {childList: true, subtree: true});
}"""


def is_audible(samples: npt.NDArray[np.float32]) -> bool:
    """Whether 20 ms of it are: how long it was silent before depends on the machine."""
    blocks = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK)
    return bool(blocks.size) and float(np.sqrt(np.mean(blocks**2, axis=1)).max()) > 0.01


async def told_far_ahead(tab: Tab) -> None:
    """Waits until her story is heard, and its words are there far beyond what is."""
    await tab.sees(".eva .coming", "number 10 is")
    await tab.sees(".eva .heard", "number 1 is")


async def test_a_spoken_turn_is_captioned_on_both_sides_and_its_answer_can_be_read_back_from_the_sound(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [Reply(tokens=(ANSWER,))]
    async with a_tab(browser, home.url) as tab:
        await tab.begin()
        since = await tab.blocks()
        await tab.say(SAID)
        await tab.sees(".person.done .words", PHRASES[0])
        await tab.sees(".eva.done .heard", ANSWER)
        await tab.shows("listening")
        await expect(tab.at(".eva .coming, .eva .struck")).to_have_count(0)
        await tab.sees(".eva .strip [data-verdict]")
        heard = await tab.sound(since)
        model = home.models_dir / "tts" / "en_US-tiny-low" / "en_US-tiny-low.onnx"
        voice = piper.load_voice(model, device="cpu", threads=1)
        expected = tiny_voice.sounding([one for part in voice.vits.phonemize(ANSWER) for one in part])
        assert alike(tiny_voice.decode(heard, HEARD_HZ), expected) > 0.85
        assert (await tab.messages("played"))[-1]["ms"] > 1000
        await tab.is_clean()


def alike(heard: list[str], expected: list[str]) -> float:
    """The longest common sequence, as a share of what was expected."""
    row = [0] * (len(heard) + 1)
    for symbol in expected:
        above = row[:]
        for index, other in enumerate(heard):
            row[index + 1] = above[index] + 1 if symbol == other else max(above[index + 1], row[index])
    return row[-1] / len(expected)


async def test_what_is_said_is_grey_until_it_is_final(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [SHORT]
    async with a_tab(browser, home.url) as tab:
        await tab.begin()
        await tab.page.evaluate(COUNT_GREY)
        await tab.say(np.concatenate([SAID, SAID]))
        await tab.sees(".person.done")
        assert await tab.page.evaluate("grey") > 0
        await expect(tab.at(".person .partial")).to_have_count(0)
        await tab.is_clean()


async def test_speech_into_an_answer_silences_it_and_strikes_the_words_that_were_not_heard(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [STORY, SHORT]
    async with a_tab(browser, home.url) as tab:
        await tab.begin()
        await tab.type("Tell me a long story.")
        await told_far_ahead(tab)
        saying = asyncio.create_task(tab.say(SAID))
        await tab.sees(".eva.stopped .struck", "number 10 is")
        await saying
        heard = await tab.at(".eva.stopped .heard").inner_text()
        assert "number 1 is" in heard
        assert "number 5 is" not in heard, "that is eleven seconds into her story"
        await tab.sees(".eva.done .words", "All right.")
        await tab.sees(".person .words", PHRASES[0])
        await tab.shows("listening")
        remembered = conversation(provider, PHRASES[0])
        kept = [each["content"] for each in remembered if each["role"] == "assistant"][-1]
        assert "number 1 is" in kept
        assert "number 5 is" not in kept
        await tab.is_clean()


async def test_a_typed_turn_needs_no_microphone_and_is_heard(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [SHORT]
    async with a_tab(browser, home.url) as tab:
        await tab.shows("ready")
        await tab.type("Is all right?")
        await tab.sees(".person .words", "Is all right?")
        await tab.sees(".eva.done .heard", "All right.")
        await tab.shows("ready")
        assert is_audible(await tab.sound())
        assert await tab.page.evaluate("bench.constraints") is None
        assert "sound" not in await tab.sent()
        await tab.is_clean()


async def test_the_conversation_can_be_downloaded_and_forgotten(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [SHORT]
    async with a_tab(browser, home.url) as tab:
        await tab.shows("ready")
        await tab.type("Is all right?")
        await tab.sees(".eva.done .heard", "All right.")
        session = await tab.session()
        await tab.at("#open-settings").click()
        async with tab.page.expect_download() as downloading:
            await tab.at("#download").click()
        path = await (await downloading.value).path()
        assert read(path) == "You: Is all right?\n\nEVA: All right.\n"
        await tab.at("#forget").click()
        await tab.sees("#resumed", "forgotten")
        await expect(tab.at("#captions li")).to_have_count(0)
        assert (await home.http.delete(f"{home.url}/sessions/{session}")).status_code == 404
        await tab.is_clean()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


async def test_a_page_that_is_loaded_anew_goes_on_with_its_conversation(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [SHORT]
    async with a_tab(browser, home.url) as tab:
        await tab.shows("ready")
        await tab.type("Is all right?")
        await tab.sees(".eva.done .heard", "All right.")
        await tab.at("#leave").click()
        await tab.page.reload()
        await tab.begin()
        await tab.sees("#resumed", "1 turn before")
        await tab.is_clean()


async def test_the_developer_panel_tells_events_buffer_session_and_turn(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [STORY]
    async with a_tab(browser, home.url) as tab:
        await tab.begin()
        await tab.page.keyboard.press("d")
        await tab.type("Tell me a long story.")
        await tab.sees("#events li", "turn_started")
        await tab.sees(".eva .heard", "number 1 is")
        session = await tab.session()
        await tab.sees("[data-figure=session]", session)
        await expect(tab.at("[data-figure=buffer]")).to_have_text(re.compile(r"^[1-9]\d* ms$"))
        await expect(tab.at("[data-figure=underruns]")).to_have_text(re.compile(r"^\d+$"), timeout=WAIT_MS)
        await expect(tab.at("[data-figure=round]")).to_contain_text("ms", timeout=WAIT_MS)
        await tab.page.locator("#talk").focus()
        await tab.page.keyboard.press("d")
        await expect(tab.at("#panel")).to_be_hidden()
        await tab.is_clean()


async def test_a_frenchman_reads_french(home: House, provider: FakeProvider, browser: Browser) -> None:
    provider.replies = [Reply(tokens=("Bonjour, tout va bien.",))]
    async with a_tab(browser, home.url, locale="fr-FR") as tab:
        await tab.sees("#face", "Parler")
        assert await tab.face.get_attribute("lang") == "fr"
        await tab.begin()
        await tab.sees("#face", "J'écoute")
        await tab.type("Ça va ?")
        await tab.sees(".eva.done .strip", "premier son")
        await tab.at("#to-en").click()
        await tab.sees("#captions .strip", "first sound")
        await tab.sees("#face", "Listening")
        await tab.is_clean()
