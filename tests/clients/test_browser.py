"""``docs/clients/browser`` as it stands, in a real browser, with a client secret, from another origin."""

from __future__ import annotations

import base64
import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from shared.audio import from_pcm16
from tests.clients.node import SNIPPETS
from tests.clients.place import ANSWER, QUESTION, RATE_HZ, SAID, Place
from tests.e2e.talker import is_audible
from tests.fakes.provider import Reply
from tests.fakes.speech import silence, speech
from tests.page.browser import HERE, WAIT_MS, Tab, a_browser, needs_chromium

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session"), needs_chromium]
STORY = tuple(f" number {count} is a very nice one, I think." for count in range(1, 60))
LISTEN = """
const start = AudioBufferSourceNode.prototype.start;
bench.played = [];
AudioBufferSourceNode.prototype.start = function (when) {
  if (this.buffer.sampleRate === 24000) bench.played.push(...this.buffer.getChannelData(0));
  return start.call(this, when ?? 0);
};
bench.received = [];
const Socket = WebSocket;
globalThis.WebSocket = class extends Socket {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => bench.received.push(JSON.parse(data)));
  }
};
"""
PLAYED = """() => {
  const pcm = Int16Array.from(bench.played, (sample) => sample * 32767);
  let text = "";
  for (const byte of new Uint8Array(pcm.buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The folder, served as a person would."""
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(SNIPPETS / "browser"))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def received(tab: Tab, kind: str, count: int = 1) -> list[dict[str, Any]]:
    """The events of a type, as soon as there are so many."""
    found: list[dict[str, Any]] = await tab.when(
        f"(() => {{ const found = bench.received.filter((event) => event.type === {kind!r});"
        f" return found.length >= {count} ? found : null; }})()"
    )
    return found


@pytest.mark.compatible("plain JavaScript", "spoken turn", "barge-in", "truncation", "streaming sound")
async def test_a_page_talks_is_interrupted_and_says_how_much_it_played(place: Place, site: str) -> None:
    place.will(SAID)
    made = await place.home.http.post(
        f"{place.url}/realtime/client_secrets",
        headers={"Authorization": f"Bearer {place.key}"},
        json={"session": {"type": "realtime"}},
    )
    async with a_browser("--autoplay-policy=no-user-gesture-required") as browser:
        page = await browser.new_page()
        page.set_default_timeout(WAIT_MS)
        tab = Tab(page)
        page.on("console", lambda message: tab.heard(f"{message.text} {message.location}"))
        page.on("pageerror", lambda error: tab.heard(str(error)))
        await page.add_init_script(path=HERE / "fake_microphone.js")
        await page.add_init_script(LISTEN)
        await page.goto(f"{site}/index.html?url={quote(place.url)}#{made.json()['value']}")
        await page.click("#talk")
        await tab.sees("li", "(listens)")
        await tab.say(np.concatenate([speech(QUESTION), silence(0.5)]))
        await tab.sees("li", f"you: {QUESTION}")
        await tab.sees("li", f"eva: {ANSWER}")
        assert place.told == [("user", QUESTION)]
        await received(tab, "response.done")
        played = base64.b64decode(await page.evaluate(PLAYED))
        assert is_audible(from_pcm16(played))
        assert len(played) > RATE_HZ  # half a second
        place.will(Reply(tokens=STORY, delay_s=0.1))  # however often an answer is begun
        await tab.say(np.concatenate([speech(QUESTION), silence(0.5)]))
        await received(tab, "input_audio_buffer.speech_stopped", 2)
        item_id = (await received(tab, "response.created", 2))[1]["response"]["id"]
        await tab.when(
            f"bench.received.some((event) => event.type === 'response.output_audio.delta'"
            f" && event.response_id === {item_id!r})"
        )
        place.will(SAID)
        await tab.say(np.concatenate([silence(1.5), speech(QUESTION), silence(0.5)]))
        truncated = (await received(tab, "conversation.item.truncated"))[0]
        assert truncated["audio_end_ms"] > 0
        done = (await received(tab, "response.done", 3))[1:3]
        assert [event["response"]["status"] for event in done] == ["cancelled", "completed"]
        assert await page.evaluate("bench.received.filter((event) => event.type === 'error')") == []
        assert tab.console == []
