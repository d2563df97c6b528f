"""The page's two worklets: samples in, samples out, in a browser and without a sound card."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
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


PLAY = """
    const playout = new m.Playout(24000);
    const heard = [];
    const pull = (ms) => {
      for (let left = 24 * ms; left > 0; left -= 120) {
        const out = new Float32Array(120);
        playout.pull(out);
        heard.push(...out);
      }
    };
    const ramp = (ms, from = 0) =>
      Float32Array.from({length: 24 * ms}, (_, index) => (from + index) / 100000);
"""


async def play(tab: Tab, body: str) -> Any:
    return await tab.run("playback.worklet.js", PLAY + body)


async def test_playing_begins_with_60_ms_or_with_all_there_is(tab: Tab) -> None:
    assert await play(
        tab,
        """
        playout.push("t", ramp(40)); pull(10); const early = playout.isPlaying;
        playout.push("t", ramp(30)); pull(10); const enough = playout.isPlaying;
        const short = new m.Playout(24000); short.push("s", ramp(10)); short.end("s");
        short.pull(new Float32Array(120));
        return [early, enough, short.isPlaying];""",
    ) == [False, True, True]


async def test_all_samples_are_played_once_in_order_and_the_end_is_told(tab: Tab) -> None:
    heard, events = await play(
        tab,
        """
        playout.push("t", ramp(100)); playout.push("t", ramp(100, 2400)); playout.end("t"); pull(220);
        return [heard, playout.events];""",
    )
    played = np.array(heard[120:4800])
    assert np.allclose(played, np.arange(120, 4800) / 100000, atol=1e-6)
    assert [event["type"] for event in events] == ["started", "finished", "silent"]
    assert events[1]["ms"] == pytest.approx(200)


async def test_a_pause_holds_the_exact_sample(tab: Tab) -> None:
    heard, at, later = await play(
        tab,
        """
        playout.push("t", ramp(400)); pull(100); playout.pause(); const at = playout.playedMs("t");
        pull(50); const held = playout.playedMs("t"); playout.resume(); pull(100);
        return [heard, at, held];""",
    )
    assert at == later == pytest.approx(100)
    faded, silent = np.array(heard[2400:2520]), np.array(heard[2520:3600])
    assert np.all(np.abs(np.diff(faded)) < 0.001), "a click"
    assert np.all(silent == 0)
    resumed = np.array(heard[3600 + 120 : 6000])
    assert np.allclose(resumed, np.arange(2400 + 120, 4800) / 100000, atol=1e-6)


async def test_a_flush_fades_within_5_ms_and_tells_what_was_heard(tab: Tab) -> None:
    heard, events, waiting = await play(
        tab,
        """
        playout.push("t", ramp(400)); pull(100);
        playout.push("u", ramp(10)); playout.flush("t"); playout.pause(); pull(20);
        return [heard, playout.events, playout.waiting];""",
    )
    assert {"type": "flushed", "turn": "t", "ms": pytest.approx(100)} in events
    assert waiting == 240, "the next turn's sound stays"
    assert np.all(np.array(heard[2520:2640]) < 0.003)


async def test_after_running_dry_it_waits_longer(tab: Tab) -> None:
    heard, underruns, prebuffer, ended = await play(
        tab,
        """
        playout.push("t", ramp(70, 5000)); pull(120); const before = [playout.underruns, playout.prebufferMs];
        playout.push("t", ramp(90)); playout.end("t"); pull(120);
        return [heard, ...before, playout.underruns];""",
    )
    assert (underruns, prebuffer, ended) == (1, 80, 1)
    assert np.max(np.abs(np.diff(np.array(heard[240:2400])))) < 0.002, "a click"


async def test_who_has_run_dry_is_still_the_one_that_was_heard_so_far(tab: Tab) -> None:
    """Who stops her then, or loses the connection, can say how much that was."""
    dry, before, after = await play(
        tab,
        """
        playout.push("t", ramp(70)); pull(120);
        const dry = [playout.isPlaying, playout.turn, playout.playedMs("t")];
        playout.end("t"); const ended = playout.turn;
        playout.push("u", ramp(10)); playout.flush("u");
        return [dry, ended, playout.turn];""",
    )
    assert dry == [False, "t", pytest.approx(70)]
    assert (before, after) == (None, None)


# The microphone


@pytest.mark.parametrize("rate_hz", [16000, 22050, 44100, 48000, 96000])
async def test_the_microphone_is_brought_to_16_khz_without_mirror_tones(tab: Tab, rate_hz: int) -> None:
    body = """
        const resampler = new m.Resampler(given, 16000), framer = new m.Framer();
        const take = (hz) => {
          const frames = [];
          for (let at = 0; at < given; at += 128) {
            const wave = (_, index) => 0.5 * Math.sin(2 * Math.PI * hz * (at + index) / given);
            const block = Float32Array.from({length: 128}, wave);
            frames.push(...framer.push(resampler.push(block)));
          }
          return frames;
        };
        const low = take(1000), high = take(10500);
        const samples = low.flatMap((frame) => [...new Int16Array(frame.pcm)]);
        return [low.length, low[20].rms, high[20].rms, samples];"""
    count, low, high, pcm = await tab.run("capture.worklet.js", body, rate_hz)
    assert count in {49, 50}
    assert low == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    if rate_hz > 21000:
        assert high < 0.01
    spectrum = np.abs(np.fft.rfft(np.array(pcm[1600:14400]) * np.hanning(12800)))
    assert np.argmax(spectrum) * 16000 / 12800 == pytest.approx(1000, abs=2)


async def test_a_broken_sample_does_no_harm(tab: Tab) -> None:
    body = """
        const broken = Float32Array.from({length: 320}, (_, index) => [NaN, Infinity, 2, -2][index % 4]);
        const [frame] = new m.Framer().push(broken);
        return [...new Int16Array(frame.pcm)].slice(0, 4);"""
    assert await tab.run("capture.worklet.js", body) == [0, 0, 32767, -32767]
