"""A Chromium for tests of the page: its microphone speaks on command, and its loudspeaker is listened to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Locator, Page, async_playwright, expect

from tests.fakes.provider import FakeProvider
from tests.fakes.speech import Pcm

HERE = Path(__file__).parent
WAIT_MS = 60_000.0
"""A net against "never", not a bound."""
expect.set_options(timeout=WAIT_MS)
POLL_S = 0.03
LOADS = 5
MOVED = "ERR_NETWORK_CHANGED"
"""Somebody on this machine has started a container, say."""
HEARD_HZ = 16000
"""Of what the loudspeaker plays, as it is recorded."""
DESKTOP, PHONE = (1280, 800), (390, 844)
Scheme = Literal["light", "dark"]
Motion = Literal["reduce", "no-preference"]
_BINARIES = ("/usr/lib/chromium/chromium", "chromium", "chromium-browser", "google-chrome")


@functools.cache
def chromium() -> str | None:
    """Returns the path of a Chromium, if there is one; ``EVA_TEST_CHROMIUM`` names another."""
    names = (os.environ.get("EVA_TEST_CHROMIUM", ""), *_BINARIES)
    return next((found for name in names if name and (found := shutil.which(name))), None)


needs_chromium = pytest.mark.skipif(
    chromium() is None, reason="no Chromium here (Debian: apt-get install chromium, or set EVA_TEST_CHROMIUM)"
)


@dataclass
class Tab:
    """One page, and all that its console said."""

    page: Page
    console: list[str] = field(default_factory=list)
    disturbances: int = 0
    """How often the browser broke off what was being fetched because this machine's network changed."""

    async def open(self, url: str) -> None:
        """Loads the page; again if the machine's network changed meanwhile."""
        for _ in range(LOADS):
            before = self.disturbances
            try:
                await self.page.goto(url)
            except Error as error:
                if MOVED not in error.message:
                    raise
                continue
            await self.page.wait_for_load_state("networkidle")
            if self.disturbances == before:
                return

    def heard(self, said: str, of: str = "") -> None:
        """Takes what the console says; ``of``: the address that it is about.

        The page asks again and again how EVA is, and 503 is an answer: a part of it says nothing just now.
        """
        if MOVED in said:
            self.disturbances += 1
        elif not (of.endswith("/health") and "status of 503" in said):
            self.console.append(said)

    @property
    def face(self) -> Locator:
        """The root element, whose attribute names the state."""
        return self.page.locator("html")

    def at(self, selector: str) -> Locator:
        return self.page.locator(selector)

    async def shows(self, *faces: str) -> None:
        """Waits until the talk button shows one of these states."""
        names = ", ".join(f'html[data-face="{name}"]' for name in faces)
        await expect(self.page.locator(names)).to_have_count(1, timeout=WAIT_MS)

    async def sees(self, selector: str, text: str | None = None) -> Locator:
        """Waits until something is visible, with a text in it if one is given."""
        found = self.page.locator(selector).filter(visible=True)
        if text is not None:
            found = found.filter(has_text=text)
        await expect(found.first).to_be_visible(timeout=WAIT_MS)
        return found.first

    async def begin(self) -> None:
        """Presses the talk button, and waits until EVA listens."""
        await self.shows("ready")
        await self.at("#talk").click()
        await self.shows("listening")
        await self.when("bench.recorders > 0")

    async def type(self, text: str) -> None:
        await self.at("#say").fill(text)
        await self.at("#say").press("Enter")

    async def say(self, pcm: Pcm) -> None:
        """Speaks; returns when all was said."""
        await self.page.evaluate("bench.say", base64.b64encode(pcm.tobytes()).decode())

    async def when(self, condition: str) -> Any:
        """Waits until an expression of the page's is true; its policy forbids Playwright's own way."""
        try:
            async with asyncio.timeout(WAIT_MS / 1000):
                while not (value := await self.page.evaluate(condition)):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"never: {condition}") from None
        return value

    async def run(self, module: str, body: str, given: object = None) -> Any:
        """Runs JavaScript with a module of the page as ``m`` and a value as ``given``."""
        script = f"async (given) => {{ const m = await import('/page/{module}'); {body} }}"
        return await self.page.evaluate(script, given)

    async def sound(self, since: int = 0) -> npt.NDArray[np.float32]:
        """What the loudspeaker has played from a block on, at ``HEARD_HZ``."""
        raw = base64.b64decode(await self.page.evaluate("bench.sound", since))
        return (np.frombuffer(raw, np.int16) / 32768).astype(np.float32)

    async def blocks(self) -> int:
        """So many blocks of 20 ms were played."""
        return cast("int", await self.page.evaluate("bench.heard.length"))

    async def sent(self) -> list[str]:
        """What went over the page's sockets: JSON, ``sound`` or ``silence``."""
        return cast("list[str]", await self.page.evaluate("bench.sockets"))

    async def session(self) -> str:
        """The id of the tab's conversation; "" before it has one."""
        return cast("str", await self.page.evaluate("sessionStorage.getItem('eva.session') ?? ''"))

    async def messages(self, kind: str) -> list[dict[str, Any]]:
        """What of a kind the page has sent."""
        found = [json.loads(text) for text in await self.sent() if text.startswith("{")]
        return [message for message in found if message["type"] == kind]

    async def is_clean(self) -> None:
        """Fails if the console said anything, or the page's policy was violated."""
        assert self.console == []
        assert await self.page.evaluate("bench.violations") == []


@contextlib.asynccontextmanager
async def a_browser(*flags: str) -> AsyncIterator[Browser]:
    """A Chromium without a window; it reaches nothing but this machine."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            timeout=WAIT_MS,
            args=[
                "--use-fake-ui-for-media-stream",
                "--disable-background-networking",
                "--host-resolver-rules=MAP eva.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                *flags,
            ],
        )
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def a_tab(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = DESKTOP,
    scheme: Scheme = "light",
    motion: Motion = "no-preference",
    locale: str = "en-GB",
    is_touch: bool = False,
    refuses: str = "",
    has_bench: bool = True,
    scale: float = 1.0,
) -> AsyncIterator[Tab]:
    """EVA's page. ``refuses``: the name of the exception by which the microphone is refused."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        reduced_motion=motion,
        locale=locale,
        has_touch=is_touch,
        device_scale_factor=scale,
    )
    context.set_default_timeout(WAIT_MS)
    try:
        page = await context.new_page()
        tab = Tab(page)
        page.on("console", lambda message: tab.heard(_said(message), message.location["url"]))
        page.on("pageerror", lambda error: tab.heard(f"error: {error}"))
        if has_bench:
            await page.add_init_script(path=HERE / "fake_microphone.js")
            await page.add_init_script(f"bench.refuse = {refuses!r}")
        await tab.open(url)
        yield tab
    finally:
        await context.close()


def conversation(provider: FakeProvider, last: str) -> list[dict[str, str]]:
    """What a model was told when a person had last said this; EVA's own trials are no conversation."""
    told = [request.body["messages"] for request in provider.requests]
    found = (messages for messages in reversed(told) if last in _questions(messages)[-1])
    return next(found)


def _questions(messages: list[dict[str, str]]) -> list[str]:
    return [each["content"] for each in messages if each["role"] == "user"]


def _said(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"
