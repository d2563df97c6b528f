"""What the page decides, in a browser and without a conversation: its pure modules, one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

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


# What both sides say


async def captions(tab: Tab, *events: dict[str, object], then: str = "") -> list[dict[str, Any]]:
    """The entries after these events."""
    body = f"""
        const captions = new m.Captions();
        for (const event of given) captions.apply(event);
        {then};
        return captions.entries.map((entry) => ({{
          who: entry.who, text: entry.text, heard: entry.text.slice(0, entry.heard), stable: entry.stable,
          isFinal: entry.isFinal, isStruck: entry.isStruck, isAside: entry.isAside, isDone: entry.isDone,
        }}));"""
    found: list[dict[str, Any]] = await tab.run("captions.js", body, list(events))
    return found


def words(segment: int, *spans: tuple[int, int, int]) -> dict[str, object]:
    told = [{"text": "", "begin": a, "end": b, "start_ms": ms, "end_ms": ms + 90} for a, b, ms in spans]
    return {"type": "words", "turn_id": "t", "segment": segment, "words": told}


STARTED = {"type": "turn_started", "turn_id": "t", "is_spoken": True}
ANSWER = (
    STARTED,
    {"type": "token", "turn_id": "t", "text": "One two. Three four.", "at": 0},
    {"type": "segment", "turn_id": "t", "segment": 0, "text": "One two."},
    {"type": "segment", "turn_id": "t", "segment": 1, "text": "Three four."},
    words(0, (0, 3, 0), (4, 8, 300)),
    words(1, (0, 5, 700), (6, 11, 1000)),
)


async def test_a_partial_is_the_same_entry_until_it_is_final(tab: Tab) -> None:
    (entry,) = await captions(
        tab,
        {"type": "speech_started", "at_ms": 0},
        {"type": "partial", "text": "what ti", "stable": 4},
        {"type": "partial", "text": "what time", "stable": 5},
    )
    assert (entry["text"], entry["stable"], entry["isFinal"]) == ("what time", 5, False)
    (entry,) = await captions(
        tab,
        {"type": "partial", "text": "what ti"},
        {"type": "final", "text": "what time is it", "language": "en", "turn_id": "t"},
    )
    assert (entry["text"], entry["isFinal"], entry["isAside"]) == ("what time is it", True, False)


async def test_what_was_nothing_leaves_no_entry_and_a_backchannel_is_an_aside(tab: Tab) -> None:
    final = {"type": "final", "text": "", "language": "", "turn_id": None}
    assert await captions(tab, {"type": "speech_started", "at_ms": 0}, final) == []
    (entry,) = await captions(tab, {"type": "speech_started", "at_ms": 0}, {**final, "text": "mm-hm"})
    assert entry["isAside"]


@pytest.mark.parametrize(
    ("ms", "heard"),
    [(0, "One"), (299, "One"), (300, "One two."), (700, "One two. Three"), (5000, "One two. Three four.")],
)
async def test_evas_words_are_heard_as_far_as_the_loudspeaker_has_got(tab: Tab, ms: int, heard: str) -> None:
    (entry,) = await captions(tab, *ANSWER, then=f"captions.played('t', {ms})")
    assert entry["heard"] == heard


async def test_the_unheard_rest_of_an_interrupted_answer_is_struck_through(tab: Tab) -> None:
    cut = {"type": "interrupted", "turn_id": "t", "heard": "One two.", "reason": "speech", "timeline": {}}
    (entry,) = await captions(tab, *ANSWER, then=f"captions.played('t', 400); captions.apply({cut!r})")
    assert (entry["heard"], entry["isStruck"], entry["isDone"]) == ("One two.", True, True)


async def test_without_times_of_words_the_servers_word_is_taken_for_what_was_heard(tab: Tab) -> None:
    cut = {"type": "interrupted", "turn_id": "t", "heard": "One", "reason": "speech", "timeline": {}}
    (entry,) = await captions(tab, *ANSWER[:4], cut)
    assert (entry["heard"], entry["isStruck"]) == ("One", True)


async def test_an_answer_that_was_heard_to_its_end_is_not_struck_by_a_late_flush(tab: Tab) -> None:
    flush = {"type": "flush", "turn_id": "t"}
    (entry,) = await captions(tab, *ANSWER, then=f"captions.finished('t'); captions.apply({flush!r})")
    assert (entry["heard"], entry["isStruck"]) == ("One two. Three four.", False)


async def test_an_answer_that_was_begun_anew_reads_right(tab: Tab) -> None:
    again = {"type": "token", "turn_id": "t", "text": "Five.", "at": 9}
    (entry,) = await captions(tab, *ANSWER, again)
    assert entry["text"] == "One two. Five."


async def test_a_silent_answer_is_read_and_a_lost_connection_strikes_what_was_going_on(tab: Tab) -> None:
    done = {"type": "turn_done", "turn_id": "t", "text": "One two.", "has_audio": False, "timeline": {}}
    (entry,) = await captions(tab, STARTED, done)
    assert entry["heard"] == "One two."
    person, eva = await captions(tab, {"type": "partial", "text": "and"}, *ANSWER, then="captions.abandon()")
    assert person["isFinal"]
    assert eva["isStruck"]


async def test_the_text_to_keep_has_what_was_heard_of_each_side(tab: Tab) -> None:
    body = """
        const captions = new m.Captions();
        captions.typed("Hello.");
        for (const event of given) captions.apply(event);
        captions.played("t", 300);
        captions.apply({type: "flush", turn_id: "t"});
        return captions.transcript({person: "You", eva: "EVA"});"""
    assert await tab.run("captions.js", body, list(ANSWER)) == "You: Hello.\n\nEVA: One two. …\n"


# The latency strip


async def test_the_strip_tells_the_parts_in_order_and_judges_the_first_sound(tab: Tab) -> None:
    line = {"endpoint_ms": 200, "stt_ms": 40, "llm_ms": 100, "tts_ms": 50, "send_ms": 10, "response_ms": 400}
    told = await tab.run("latency.js", "return m.strip(given, 100)", line)
    assert [(part["name"], part["ms"]) for part in told["parts"]] == [
        ("endpoint", 200), ("stt", 40), ("llm", 100), ("tts", 50), ("send", 10), ("play", 100),
    ]  # fmt: skip
    assert sum(part["share"] for part in told["parts"]) == pytest.approx(1)
    assert (told["firstMs"], told["verdict"]) == (500, "fair")
    bridged = await tab.run("latency.js", "return m.strip(given, 20)", {**line, "first_sound_ms": 250})
    assert (bridged["firstMs"], bridged["verdict"]) == (270, "quick")
    assert await tab.run("latency.js", "return m.verdict(501)") == "slow"
    assert await tab.run("latency.js", "return m.strip({response_ms: 0})") is None


# The socket


async def test_a_socket_that_the_server_is_about_to_close_is_not_waited_for(tab: Tab) -> None:
    body = """
        const made = [], told = [], real = globalThis.WebSocket;
        globalThis.WebSocket = class {
          static OPEN = 1;
          readyState = 1;
          constructor() { made.push(this); }
          close() { this.readyState = 3; }
        };
        try {
          const on = {state: (name) => told.push(name), event() {}, sound() {}};
          const link = new m.Link({start: () => ({}), key: () => "", on});
          link.open(); link.open(); const before = link.isOpen;
          link.giveUp(); const over = link.isOpen;
          link.open();
          return [[before, over, link.isOpen], made.map((socket) => socket.readyState), told];
        } finally {
          globalThis.WebSocket = real;
        }"""
    is_open, sockets, told = await tab.run("link.js", body)
    assert is_open == [True, False, True]
    assert sockets == [3, 1]
    assert told == ["connecting", "closed", "connecting"]


# The talk button


async def faces(tab: Tab, *events: dict[str, object]) -> list[str]:
    """The states that are shown, one after the other, with a microphone and an open line."""
    body = """
        let facts = m.FIRST;
        const before = ["check.done", "mic.on", "link.connecting", "link.open"];
        for (const type of before) facts = m.step(facts, {type});
        return given.map((event) => m.face(facts = m.step(facts, event)));"""
    found: list[str] = await tab.run("state.js", body, list(events))
    return found


async def test_the_button_follows_a_spoken_turn(tab: Tab) -> None:
    turn = {"turn_id": "t"}
    assert await faces(
        tab,
        {"type": "speech_started"},
        {"type": "speech_stopped"},
        {"type": "final", "text": "hi", **turn},
        {"type": "turn_started", **turn},
        {"type": "playing", "on": True},
        {"type": "pause", **turn},
        {"type": "resume", **turn},
        {"type": "turn_done", **turn},
        {"type": "playing", "on": False},
    ) == [
        "hearing",
        "thinking",
        "listening",
        "thinking",
        "speaking",
        "paused",
        "speaking",
        "speaking",
        "listening",
    ]


async def test_the_button_says_muted_and_held_and_lost(tab: Tab) -> None:
    assert await faces(tab, {"type": "mute", "on": True}, {"type": "hold", "on": True}) == [
        "muted",
        "listening",
    ]
    assert await faces(tab, {"type": "mode", "mode": "push"}, {"type": "hold", "on": True}) == [
        "listening", "hearing",
    ]  # fmt: skip
    lost = await faces(
        tab, {"type": "turn_started", "turn_id": "t"}, {"type": "link.lost"}, {"type": "link.open"}
    )
    assert lost == ["thinking", "reconnecting", "listening"]
    assert await faces(tab, {"type": "link.failed"}, {"type": "mic.off"}) == ["failed", "failed"]


@pytest.mark.parametrize(
    ("facts", "is_open"),
    [({}, True), ({"isMuted": True}, False), ({"isMuted": True, "isHeld": True}, True),
     ({"mode": "push"}, False), ({"mode": "push", "isHeld": True}, True), ({"phase": "reconnecting"}, False)],
)  # fmt: skip
async def test_the_microphone_is_open_only_when_the_person_means_it(
    tab: Tab, facts: dict[str, object], is_open: bool
) -> None:
    body = "return m.isOpen({...m.FIRST, hasMicrophone: true, phase: 'open', ...given})"
    assert await tab.run("state.js", body, facts) is is_open


@pytest.mark.parametrize(
    ("facts", "wish"),
    [({}, "mute"), ({"isMuted": True}, "unmute"), ({"isPlaying": True}, "stop"), ({"turn": "t"}, "stop"),
     ({"mode": "push"}, "nothing"), ({"phase": "ready"}, "start"), ({"phase": "connecting"}, "nothing"),
     ({"phase": "reconnecting"}, "start"), ({"phase": "failed"}, "start"),
     ({"hasMicrophone": False}, "start")],
)  # fmt: skip
async def test_a_press_means_what_the_button_says(tab: Tab, facts: dict[str, object], wish: str) -> None:
    body = "return m.press({...m.FIRST, hasMicrophone: true, phase: 'open', ...given})"
    assert await tab.run("state.js", body, facts) == wish


async def test_what_was_said_while_the_finger_came_down_is_sent_and_a_muted_utterance_comes_to_its_end(
    tab: Tab,
) -> None:
    body = """
        const gate = new m.Gate();
        const one = new ArrayBuffer(2);
        const sent = (count, wish) => Array.from({length: count}, () => gate.take(one, wish)).flat();
        const closed = sent(50, {isOpen: false, isPush: true}).length;
        const pressed = sent(1, {isOpen: true, isPush: true}).length;
        const released = sent(20, {isOpen: false, isPush: true}).length;
        sent(5, {isOpen: true, isPush: false});
        const muted = sent(1000, {isOpen: false, isPush: false});
        return [closed, pressed, released, muted.length, muted.every((frame) => frame.byteLength === 640)];"""
    assert await tab.run("gate.js", body) == [0, 11, 0, 300, True]
