"""Makes the pictures of the page in ``docs/page``: ``python -m tests.page.screenshots [FOLDER]``.

A whole EVA with small models and a scripted mind; what is seen is what it does.
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.async_api import Browser

from tests.e2e.house import ROOT, house
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import RATE_HZ, Pcm, speech, tone
from tests.models.tiny_whisper import PHRASES, tone_hz
from tests.page.browser import DESKTOP, PHONE, Scheme, Tab, a_browser, a_tab

PARIS = Reply(
    tokens=(
        "It is",
        " ten past nine",
        " in the evening there.",
        " The lamps",
        " are lit",
        " along the river.",
    )
)
TALE = (
    "A lighthouse keeper once counted every ship that passed. One night none came, so she lit the lamp "
    "twice, and in the morning there were two horizons. She rowed to the nearer one, and found a harbour "
    "that was on no chart, with every ship that she had ever counted lying at anchor."
)
STORY = Reply(tokens=tuple(f"{word} " for word in TALE.split()), delay_s=0.02)
QUIET = Reply(tokens=("Of course.", " I am quiet now."))


async def conversation(tab: Tab, provider: FakeProvider) -> None:
    """A question, a story that is cut off, and a story that is being told."""
    provider.replies = [PARIS, STORY, QUIET, STORY]
    await tab.begin()
    await ask(tab, 1)
    await tab.sees(".eva.done .strip")
    await tab.shows("listening")
    await ask(tab, 2)
    await tab.sees(".eva .heard", "every ship")
    await ask(tab, 3)
    await tab.sees(".struck")
    await tab.sees(".eva.done .words", "quiet now")
    await tab.shows("listening")
    await tab.type("Then go on with the story.")
    await tab.sees(".eva:last-child .heard", "lit the lamp")


async def ask(tab: Tab, phrase: int) -> None:
    await tab.say(spoken(phrase))


def spoken(phrase: int) -> Pcm:
    """A phrase as the small model of Whisper understands it, spoken so that it passes for speech."""
    voice = speech(PHRASES[phrase])
    return np.clip(voice + tone(tone_hz(phrase), len(voice) / RATE_HZ, amplitude=5000), -32768, 32767).astype(
        np.int16
    )


async def shoot(tab: Tab, folder: Path, name: str) -> None:
    path = folder / f"{name}.png"
    raw = await tab.page.screenshot(animations="disabled")
    # A palette is enough for flat colours, and a third of the size.
    Image.open(io.BytesIO(raw)).convert("RGB").quantize(160, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", file=sys.stderr)  # noqa: T201 - a command


async def both_sizes(
    browser: Browser, url: str, provider: FakeProvider, scheme: Scheme, folder: Path
) -> None:
    for name, size in (("desktop", DESKTOP), ("phone", PHONE)):
        async with a_tab(browser, url, size=size, scheme=scheme, is_touch=name == "phone") as tab:
            await tab.sees("#checks [data-row=sound][data-state=ok]")
            await tab.shows("ready")
            await shoot(tab, folder, f"check-{name}-{scheme}")
            await conversation(tab, provider)
            await shoot(tab, folder, f"talk-{name}-{scheme}")


async def more(browser: Browser, url: str, folder: Path) -> None:
    async with a_tab(browser, url, locale="fr-FR", refuses="NotAllowedError") as tab:
        await tab.shows("ready")
        await tab.sees("#checks [data-row=sound][data-state=ok]")
        await tab.at("#talk").click()
        await tab.sees("#trouble")
        await shoot(tab, folder, "trouble-french")
        await tab.at("#open-settings").click()
        await shoot(tab, folder, "settings-french")
    async with a_tab(browser, url, scheme="dark") as tab:
        await tab.begin()
        await tab.page.keyboard.press("d")
        await tab.type("Hello.")
        await tab.sees(".eva.done .strip")
        await shoot(tab, folder, "panel-dark")


async def main(folder: Path) -> None:
    async with FakeProvider() as provider, a_browser() as browser:
        with tempfile.TemporaryDirectory() as home_folder:
            wishes = {
                "EVA_LLM_BASE_URL": provider.base_url,
                "EVA_GATEWAY_SPECULATION": "0",
                "EVA_CANARY_EVERY_S": "600",
            }
            async with house(Path(home_folder), **wishes) as home:
                for scheme in ("light", "dark"):
                    await both_sizes(browser, home.url, provider, scheme, folder)
                await more(browser, home.url, folder)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "page"
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
