"""What stands on the terminal, live and plain."""

import re

import pytest

from eva.captions import Captions
from eva.dialogue import Dialogue
from services.gateway.chat_protocol import (
    AudioEvent,
    ErrorEvent,
    Filler,
    FinalEvent,
    Flush,
    Interrupted,
    PartialEvent,
    ServerEvent,
    SpeechStartedEvent,
    Timeline,
    Token,
    ToolCallEvent,
    TurnDone,
)
from shared.messages import RouteReport

RATE_HZ = 1000
DONE = TurnDone(turn_id="a", text="One two three.", has_audio=True, timeline=Timeline(), engines={})


def show(
    captions: Captions, *events: ServerEvent, dialogue: Dialogue | None = None, at_s: float = 0.0
) -> None:
    dialogue = dialogue or Dialogue()
    for event in events:
        dialogue.take(event, bytes(2 * RATE_HZ) if isinstance(event, AudioEvent) else b"", at_s)
        captions.show(dialogue, event)


def sound() -> AudioEvent:
    return AudioEvent(
        turn_id="a", segment=0, seq=0, format="pcm", rate_hz=RATE_HZ, duration_ms=1000, size_bytes=2000
    )


def final(text: str) -> FinalEvent:
    return FinalEvent(text=text, language="en", turn_id="a")


@pytest.fixture(autouse=True)
def plain_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")


def test_captions_grow_in_place_and_are_gone_when_the_words_are_final(
    capsys: pytest.CaptureFixture[str],
) -> None:
    captions = Captions(is_live=True)
    show(
        captions,
        PartialEvent(text="good"),
        PartialEvent(text="good morning", stable=5),
        final("Good morning."),
    )
    shown = capsys.readouterr()
    assert shown.out == "You: Good morning.\n"
    assert "\n" not in shown.err
    assert shown.err.count("\r\x1b[2K") == 2
    assert "good \x1b[2mmorning\x1b[0m" in shown.err


def test_a_caption_never_writes_over_the_line_of_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    show(Captions(is_live=True), Token(turn_id="a", text="One two"), PartialEvent(text="mm"))
    assert capsys.readouterr().err == ""


def test_the_unheard_words_of_an_interrupted_answer_are_struck_through(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stopped = Interrupted(turn_id="a", reason="speech", heard="One", timeline=Timeline())
    show(Captions(is_live=True), Token(turn_id="a", text="One two three."), stopped)
    shown = capsys.readouterr()
    assert shown.out == "EVA: One two three.\n"
    assert re.search(r"One \x1b\[2;9mtwo three\.\x1b\[0m", shown.err)


def test_an_answer_that_was_whole_when_it_was_stopped_is_divided_by_what_was_played(
    capsys: pytest.CaptureFixture[str],
) -> None:
    captions, dialogue = Captions(is_live=False), Dialogue()
    show(captions, sound(), DONE, dialogue=dialogue)
    show(captions, Flush(turn_id="a"), dialogue=dialogue, at_s=0.3)
    shown = capsys.readouterr()
    assert shown.out == "EVA: One two three.\n"
    assert "heard: “One”, unheard: “two three.”" in shown.err


def test_a_flush_of_an_answer_in_the_making_waits_for_the_account_of_what_was_heard(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(Captions(is_live=False), sound(), Flush(turn_id="a"))
    assert capsys.readouterr().err == ""


def test_without_a_terminal_every_caption_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    show(Captions(is_live=False), SpeechStartedEvent(at_ms=0), PartialEvent(text="good"), final(""))
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "  … good\n")


def test_an_error_ends_the_line_of_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    captions = Captions(is_live=False)
    show(captions, Token(turn_id="a", text="One"), ErrorEvent(code="busy", message="too much"))
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("EVA: One\n", "eva: too much\n")


def test_a_quiet_conversation_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show(Captions(is_quiet=True), PartialEvent(text="good"), final("good"), DONE)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_a_filler_and_a_call_are_shown_beside_the_answer_and_the_way_behind_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = ToolCallEvent(turn_id="a", call_id="1", name="weather", arguments="{}")
    route = RouteReport(route="groq:big", queue_ms=1, first_token_ms=98, first_segment_ms=117)
    done = TurnDone(
        turn_id="a", text="One two.", has_audio=True, timeline=Timeline(), engines={}, route=route
    )
    show(
        Captions(is_live=False),
        Filler(turn_id="a", text="Hmm…"),
        call,
        Token(turn_id="a", text="One "),
        Filler(turn_id="a", text="One moment."),
        call,
        Token(turn_id="a", text="two.", at=4),
        done,
    )
    shown = capsys.readouterr()
    assert shown.out == "EVA: One two.\n"
    assert shown.err.splitlines() == [
        "  (Hmm…)",
        "  calls weather",
        "  llm 0 · tts 0 · send 0 → 0 ms",
        "  way groq:big: queue 1 · first token 98 · first segment 117 ms",
    ]
