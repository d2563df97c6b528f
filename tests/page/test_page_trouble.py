"""Each screen of trouble: what is wrong, and how to mend it, stand on the page until it is mended."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from services.gateway.chat_protocol import ErrorEvent
from tests.e2e.house import House
from tests.e2e.talker import talker
from tests.fakes.gateway import RunningGateway, running_gateway
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import noise
from tests.page.browser import WAIT_MS, Tab, a_browser, a_tab, conversation, needs_chromium

pytestmark = [needs_chromium, pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SHORT = Reply(tokens=("All", " right", "."))


@contextlib.asynccontextmanager
async def proven(**settings: object) -> AsyncIterator[RunningGateway]:
    """A gateway that has been audible, with workers that need no models."""
    async with running_gateway(**settings) as gateway:
        await gateway.http.post("/chat", json={"message": "Hi"})
        yield gateway


def url_of(gateway: RunningGateway) -> str:
    return f"http://{gateway.address}"


async def gone(tab: Tab) -> None:
    await expect(tab.at("#trouble")).to_be_hidden(timeout=WAIT_MS)


@pytest.mark.parametrize(
    ("refuses", "screen", "words"),
    [
        ("NotAllowedError", "denied", "Allow the microphone"),
        ("NotFoundError", "nodevice", "not plugged in"),
        ("NotReadableError", "nomic", "Another program"),
    ],
)
async def test_a_microphone_that_cannot_be_had_is_named_and_typing_goes_on(
    browser: Browser, refuses: str, screen: str, words: str
) -> None:
    async with proven() as gateway, a_tab(browser, url_of(gateway), refuses=refuses) as tab:
        await tab.shows("ready")
        await tab.at("#talk").click()
        await tab.sees(f"#trouble[data-trouble={screen}]", words)
        await tab.sees("#checks [data-row=microphone][data-state=bad]")
        await tab.type("Hello?")
        await tab.sees(".eva.done .heard", "Hello there.")
        await tab.page.evaluate("bench.refuse = ''")
        await tab.at("#trouble .main").click()
        await tab.shows("listening")
        await gone(tab)
        await tab.is_clean()


async def test_the_browsers_own_refusal_is_understood() -> None:
    """Without the test's microphone: Chromium's real answers."""
    async with (
        proven() as gateway,
        a_browser("--deny-permission-prompts") as strict,
        a_tab(strict, url_of(gateway), has_bench=False) as tab,
    ):
        await tab.shows("ready")
        await tab.at("#talk").click()
        await tab.sees("#trouble[data-trouble=denied], #trouble[data-trouble=nodevice]")
        assert tab.console == []


async def test_over_plain_http_on_another_name_the_page_says_why_there_is_no_microphone(
    browser: Browser,
) -> None:
    async with proven() as gateway:
        url = f"http://eva.test:{gateway.listener_address[1]}"
        async with a_tab(browser, url) as tab:
            await tab.sees("#trouble[data-trouble=insecure]", "ssh -L")
            await tab.sees("#checks [data-row=secure][data-state=bad]")


async def test_a_page_from_an_address_that_the_gateway_does_not_know_is_told_who_can_let_it_in(
    browser: Browser,
) -> None:
    """Without keys a name is not enough: a foreign DNS server can point any name here."""
    async with proven() as gateway:
        url = f"http://eva.test:{gateway.listener_address[1]}"
        async with a_tab(browser, url) as tab:
            await tab.sees("#trouble[data-trouble=insecure]")
            await tab.type("Hello?")
            await tab.sees("#trouble[data-trouble=origin]", "EVA_GATEWAY_ALLOWED_ORIGINS")
            await tab.shows("failed")


async def test_a_line_on_which_nothing_is_said_is_closed_and_goes_on_when_it_is_wanted(
    browser: Browser,
) -> None:
    async with proven(gateway_idle_s=6.0) as gateway, a_tab(browser, url_of(gateway)) as tab:
        await tab.shows("ready")
        await tab.type("Hello?")
        await tab.sees("#trouble[data-trouble=idle]", "The conversation is kept")
        await tab.shows("ready")
        session = await tab.session()
        await tab.at("#trouble .main").click()  # and an open microphone is never idle
        await tab.shows("listening")
        await gone(tab)
        assert (await tab.messages("start"))[-1]["session_id"] == (session or None)
        await tab.is_clean()


async def test_a_worker_that_is_gone_is_named_by_the_check_and_the_line_above_it(browser: Browser) -> None:
    async with proven() as gateway, a_tab(browser, url_of(gateway)) as tab:
        await tab.sees("#health[data-health=ok]", "All parts in order")
        gateway.workers.silent.add("tts")
        await tab.sees("#checks [data-row=tts][data-state=bad]", "python -m services.tts")
        await tab.sees("#health[data-health=bad]", "A part is down")
        gateway.workers.silent.clear()
        await tab.sees("#health[data-health=ok]")


async def test_a_lost_broker_has_its_screen_until_it_is_back(browser: Browser) -> None:
    async with proven() as gateway, a_tab(browser, url_of(gateway)) as tab:
        await tab.shows("ready")
        gateway.broker.go_down()
        await tab.type("Hello?")
        await tab.sees("#trouble[data-trouble=broker]", "NATS")
        await tab.sees("#checks [data-row=broker][data-state=bad], .person")
        gateway.broker.come_up()
        await tab.sees(".eva.done .heard", "Hello there.")
        await gone(tab)


async def test_a_gateway_that_is_full_says_so_and_the_page_comes_in_when_there_is_room(
    browser: Browser,
) -> None:
    async with proven(gateway_max_sessions=1) as gateway, a_tab(browser, url_of(gateway)) as tab:
        await tab.shows("ready")
        async with gateway.client() as other:
            await other.send(type="start")
            await other.expect("ready")
            await tab.type("Hello?")
            await tab.sees("#trouble[data-trouble=busy]")
        await tab.sees(".eva.done .heard", "Hello there.")
        await gone(tab)


async def test_a_second_tab_takes_the_conversation_over_and_the_first_can_take_it_back(
    home: House, browser: Browser
) -> None:
    async with a_tab(browser, home.url) as tab:
        await tab.begin()
        async with talker(home.url, session_id=await tab.session()) as other:
            await tab.sees("#trouble[data-trouble=taken]")
            await tab.shows("ready")
            await tab.at("#trouble .main").click()
            await tab.shows("listening")
            await gone(tab)
            assert (await other.hears(ErrorEvent)).code == "session_taken_over"
        await tab.is_clean()


async def test_an_erased_conversation_says_so_and_a_new_one_begins(home: House, browser: Browser) -> None:
    async with a_tab(browser, home.url) as tab:
        await tab.begin()
        session = await tab.session()
        await home.http.delete(f"{home.url}/sessions/{session}")
        await tab.sees("#trouble[data-trouble=erased]")
        await tab.at("#trouble .main").click()
        await tab.shows("listening")
        assert await tab.session() not in {"", session}


async def test_a_microphone_that_hears_nothing_is_told_from_one_that_works(browser: Browser) -> None:
    async with proven() as gateway, a_tab(browser, url_of(gateway)) as tab:
        await tab.shows("ready")
        await tab.at("#check-mic").click()
        await tab.sees("#checks [data-row=microphone][data-state=weak]", "silent")
        await tab.say(noise(0.5))
        await tab.sees("#checks [data-row=microphone][data-state=ok]")
        await tab.is_clean()


async def test_a_gateway_that_comes_back_is_found_and_the_conversation_goes_on(
    home: House, provider: FakeProvider, browser: Browser
) -> None:
    provider.replies = [SHORT]
    async with a_tab(browser, home.url) as tab:
        await tab.begin()
        await tab.type("Is all right?")
        await tab.sees(".eva.done .heard", "All right.")
        session = await tab.session()
        await home["gateway"].kill()
        await tab.shows("reconnecting")
        await tab.sees("#trouble[data-trouble=gone]", "keeps trying")
        await home["gateway"].start()
        await tab.shows("listening")
        await gone(tab)
        assert await tab.session() == session
        await tab.type("And now?")
        await tab.sees(".eva.done:last-child .heard", "All right.")
        told = conversation(provider, "And now?")  # the new gateway tries itself out, too
        asked = [each["content"] for each in told if each["role"] == "user"]
        assert asked[-2:] == ["Is all right?", "And now?"]


async def test_a_gateway_that_was_never_there_is_named(browser: Browser) -> None:
    async with proven() as gateway, a_tab(browser, url_of(gateway)) as tab:
        await tab.shows("ready")
        await tab.page.context.set_offline(True)
        await tab.at("#check-again").click()
        await tab.sees("#checks [data-row=gateway][data-state=bad]", "make run")
        await tab.sees("#health", "Gateway not reachable")
        await tab.page.context.set_offline(False)
        await tab.sees("#checks [data-row=gateway][data-state=ok]")
