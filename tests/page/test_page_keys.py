"""A gateway that asks for keys, on the page: what it says, where it keeps a key, and what a key may use."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from websockets.asyncio.client import connect

from shared.keys import KEY_PREFIX, KEYS_BUCKET, KeyLimits, new_secret, pack_record, record_of
from tests.e2e.house import POLL_S, WAIT_S, House, house
from tests.fakes.provider import FakeProvider, Reply
from tests.page.browser import WAIT_MS, Tab, a_tab, needs_chromium

pytestmark = [needs_chromium, pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
ANSWER = "All right."
WRONG = new_secret(KEY_PREFIX)
KEPT = """(key) => ({
  tab: Object.keys(sessionStorage).filter((name) => sessionStorage[name].includes(key)),
  browser: Object.values(localStorage).some((value) => value.includes(key)),
  page: document.documentElement.outerHTML.includes(key) || document.cookie.includes(key),
})"""


@dataclass(frozen=True)
class Guarded:
    """An EVA that lets in only who has a key."""

    home: House
    key: str

    async def more(self, limits: KeyLimits) -> str:
        """Makes a key that may use so much; returns it once the gateway knows it."""
        secret = new_secret(KEY_PREFIX)
        record = record_of(secret, "page", limits=limits, now=time.time())
        async with self.home.bus() as bus:
            await (await bus.bucket(KEYS_BUCKET, ttl_s=0)).create(record.id, pack_record(record))
        async with asyncio.timeout(WAIT_S):
            while not await self._lets_in(secret):  # noqa: ASYNC110 - another process's state is polled
                await asyncio.sleep(POLL_S)
        return secret

    async def _lets_in(self, key: str) -> bool:
        answer = await self.home.http.get(f"{self.home.url}/v1/models", headers=bearer(key))
        return answer.status_code == 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    provider.replies = [Reply(tokens=("All", " right", "."))]
    folder, key = tmp_path_factory.mktemp("guarded"), new_secret(KEY_PREFIX)
    file = folder / "keys"
    file.write_text(key + "\n")
    file.chmod(0o600)
    wishes = {
        "EVA_GATEWAY_AUTH": "on",
        "EVA_API_KEYS_FILE": str(file),
        "EVA_LLM_BASE_URL": provider.base_url,
        "EVA_GATEWAY_SPECULATION": "0",
    }
    async with house(folder / "eva", **wishes) as home:
        yield Guarded(home, key)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def addresses_of(page: Page) -> list[str]:
    """Fills with each address that the page asks or connects to."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    return asked


async def answered(tab: Tab, times: int) -> None:
    """Waits until an answer was heard to its end, so often."""
    whole = tab.at(".eva.done .heard").filter(has_text=ANSWER)
    await expect(whole).to_have_count(times, timeout=WAIT_MS)


@contextlib.asynccontextmanager
async def let_in(browser: Browser, guarded: Guarded, key: str) -> AsyncIterator[Tab]:
    """The page, with a key from its settings."""
    async with a_tab(browser, guarded.home.url) as tab:
        await tab.shows("ready")
        await tab.at("#open-settings").click()
        await tab.at("#key").fill(key)
        await tab.at("#key").press("Enter")
        await expect(tab.at("#settings")).to_be_hidden()
        yield tab


async def test_without_a_key_the_page_asks_for_one_and_with_the_right_one_the_turn_is_heard(
    guarded: Guarded, browser: Browser
) -> None:
    async with a_tab(browser, guarded.home.url) as tab:
        asked = addresses_of(tab.page)
        await tab.shows("ready")
        await tab.type("Is all right?")
        await tab.sees("#trouble[data-trouble=key]", "An API key is needed")
        await tab.shows("failed")

        await tab.at("#trouble input").fill(WRONG)
        await tab.at("#trouble .main").click()
        await tab.sees("#trouble[data-trouble=key]", "This key is not known")
        await tab.shows("failed")
        await expect(tab.at("#trouble input")).to_be_focused()
        await expect(tab.at("#trouble input")).to_have_value("")
        assert (await tab.messages("message"), await tab.session()) == ([], "")

        await tab.page.keyboard.type(guarded.key)
        await tab.page.keyboard.press("Enter")
        await answered(tab, 1)
        await expect(tab.at("#trouble")).to_be_hidden()
        heard = await tab.sound()
        assert float(np.abs(heard).max(initial=0.0)) > 0.01

        for key in (guarded.key, WRONG):
            is_right = key == guarded.key
            kept = {"tab": ["eva.key"] if is_right else [], "browser": False, "page": False}
            assert await tab.page.evaluate(KEPT, key) == kept
            assert not [line for line in (*tab.console, *asked, tab.page.url) if key in line]
        assert any(url.endswith("/ws/chat") for url in asked)
        refusals = re.compile("status of 401|/ws/chat' failed")
        assert not [line for line in tab.console if not refusals.search(line)]


async def test_a_key_is_kept_through_a_reload_and_not_in_another_tab(
    guarded: Guarded, browser: Browser
) -> None:
    async with let_in(browser, guarded, guarded.key) as tab:
        await tab.open(guarded.home.url)
        await tab.shows("ready")
        await tab.type("Is all right?")
        await answered(tab, 1)
        await tab.is_clean()
        other = Tab(await tab.page.context.new_page())
        await other.open(guarded.home.url)
        await other.shows("ready")
        await other.type("Is all right?")
        await other.sees("#trouble[data-trouble=key]", "An API key is needed")


async def test_a_key_with_no_conversation_left_says_so_and_the_page_comes_in_when_one_has_ended(
    guarded: Guarded, browser: Browser
) -> None:
    key = await guarded.more(KeyLimits(sessions=1))
    url = guarded.home.url.replace("http:", "ws:") + "/ws/chat"
    async with let_in(browser, guarded, key) as tab:
        async with connect(url, proxy=None, additional_headers=bearer(key)):
            await tab.type("Is all right?")
            await tab.sees("#trouble[data-trouble=limit]", "The limit is reached")
        await answered(tab, 1)
        await expect(tab.at("#trouble")).to_be_hidden()


async def test_a_key_that_has_used_up_its_sound_says_so_at_the_next_turn(
    guarded: Guarded, browser: Browser
) -> None:
    key = await guarded.more(KeyLimits(audio_s_per_day=0.1))
    async with let_in(browser, guarded, key) as tab:
        await tab.type("Is all right?")
        await answered(tab, 1)
        await tab.type("And now?")
        await tab.sees("#trouble[data-trouble=limit]", "The limit is reached")
        await tab.is_clean()


async def test_without_ears_the_page_says_so_and_typing_is_answered_until_they_are_back(
    guarded: Guarded, browser: Browser
) -> None:
    ears = guarded.home["stt"]
    async with let_in(browser, guarded, guarded.key) as tab:
        await ears.kill()
        await tab.sees("#checks [data-row=stt][data-state=bad]", "python -m services.stt")
        await tab.at("#talk").click()
        await tab.sees("#trouble[data-trouble=ears]", "Nobody can listen")
        await tab.type("Is all right?")
        await answered(tab, 1)
        await expect(tab.at("#trouble[data-trouble=ears]")).to_be_visible()
        await ears.start()
        await expect(tab.at("#trouble")).to_be_hidden(timeout=WAIT_MS)
        await tab.shows("listening")
