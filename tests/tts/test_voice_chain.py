from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from services.tts.chain import Chain, Standing, judged, longest_s, unspoken
from shared.audio import Samples
from shared.errors import EngineFailed
from shared.messages import EngineFact
from tests.fakes.voices import (
    RATE_HZ,
    FakeEngine,
    FakeVoice,
    breaking_after,
    empty,
    endless,
    engine,
    not_a_number,
    raising,
    silent,
    tone,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def say(chain: Chain, text: str = "one two three", *, language: str = "en", wanted: str = "") -> list[str]:
    """Returns the engine of each piece."""
    return [p.engine.name for p in chain.speak(text, language=language, wanted=wanted, speed=1.0, asked=[])]


def test_the_first_engine_speaks_when_it_can() -> None:
    first, second = engine("first"), engine("second")
    assert say(Chain([first, second], Clock())) == ["first"] * 3
    assert second.owned[0].said == []


@pytest.mark.parametrize("script", [empty, silent, not_a_number, raising])
def test_an_engine_without_usable_audio_is_followed_by_the_next_with_the_whole_sentence(
    script: object,
) -> None:
    second = engine("second")
    assert say(Chain([engine("first", script), second], Clock())) == ["second"] * 3  # type: ignore[arg-type]
    assert second.owned[0].said == ["one two three"]


def test_an_endless_engine_is_cut_off_and_what_was_sent_stands() -> None:
    names = say(Chain([engine("first", endless), engine("second")], Clock()), "one")
    assert set(names) == {"first"}
    assert len(names) == int(longest_s("one", 1.0))


def test_an_engine_that_breaks_off_is_followed_by_the_next_at_the_next_word() -> None:
    second = engine("second")
    text = "one two three four five six seven eight"
    names = say(Chain([engine("first", breaking_after(0.5)), second], Clock()), text)
    assert names == ["first", *["second"] * 6]
    assert second.owned[0].said == ["three four five six seven eight"]


def test_an_engine_that_breaks_off_at_the_end_ends_the_sentence() -> None:
    second = engine("second")
    assert say(Chain([engine("first", breaking_after(3.0)), second], Clock())) == ["first"]
    assert second.owned[0].said == []


def test_when_no_engine_can_speak_it_is_said_why_of_each() -> None:
    with pytest.raises(EngineFailed, match=r"first: no audio; second: only silence"):
        say(Chain([engine("first", empty), engine("second", silent)], Clock()))
    with pytest.raises(EngineFailed, match="no engine"):
        say(Chain([], Clock()))


def test_the_third_failure_on_end_sets_an_engine_aside_and_time_brings_it_back() -> None:
    clock = Clock()
    first, second = engine("first", empty), engine("second")
    chain = Chain([first, second], clock)
    for _ in range(5):
        say(chain)
    assert len(first.owned[0].said) == 3
    assert [(fact.name, fact.state) for fact in chain.facts()] == [("first", "failed"), ("second", "serving")]
    assert chain.facts()[0].detail == "no audio"
    assert chain.trouble() == "first en_US-first: no audio"
    clock.now += 6.0
    first.owned[0].script = None
    assert say(chain) == ["first"] * 3
    assert [(fact.name, fact.state) for fact in chain.facts()] == [
        ("first", "serving"),
        ("second", "standby"),
    ]
    assert chain.trouble() == ""


def test_the_pause_doubles_up_to_a_bound_and_one_success_forgets_it() -> None:
    standing = Standing()
    pauses = []
    for _ in range(12):
        standing.fail(0.0, "broken")
        pauses.append(standing.pause_s)
    assert pauses[:6] == [0.0, 0.0, 5.0, 10.0, 20.0, 40.0]
    assert pauses[-1] == 300.0
    standing.succeed()
    assert standing == Standing()


def test_an_engine_that_hangs_is_set_aside_at_once() -> None:
    chain = Chain([first := engine("first"), engine("second")], Clock())
    chain.blame(first, "hangs", hangs=True)
    assert say(chain) == ["second"] * 3


def test_when_all_are_aside_the_one_due_first_is_asked() -> None:
    clock = Clock()
    first, second = engine("first"), engine("second")
    chain = Chain([first, second], clock)
    chain.blame(first, "hangs", hangs=True)
    chain.blame(first, "hangs", hangs=True)
    chain.blame(second, "hangs", hangs=True)
    assert say(chain) == ["second"] * 3


def test_a_voice_is_chosen_by_name_then_by_language_then_another_engine_of_that_language() -> None:
    piper = FakeEngine(
        name="piper", owned=(FakeVoice("en_US-a"), FakeVoice("en_GB-b"), FakeVoice("de_DE-c", "de"))
    )
    espeak = FakeEngine(name="espeak", is_degraded=True, owned=(FakeVoice("en"), FakeVoice("fr", "fr")))
    chain = Chain([piper, espeak], Clock())

    def voice(language: str, wanted: str) -> str:
        pieces = chain.speak("one", language=language, wanted=wanted, speed=1.0, asked=[])
        return next(piece.voice.name for piece in pieces)

    assert voice("en", "en_GB-b") == "en_GB-b"
    assert voice("en", "unknown") == "en_US-a"
    assert voice("de", "") == "de_DE-c"
    assert voice("fr", "") == "fr"
    assert voice("xx", "") == "en_US-a"


def test_the_language_is_the_asked_one_or_that_of_the_voice() -> None:
    piper = FakeEngine(name="piper", owned=(FakeVoice("fr_FR-a", "fr"), FakeVoice("en_US-b")))
    chain = Chain([piper], Clock())
    assert chain.language("en-US", "") == "en"
    assert chain.language("fr_FR", "") == "fr"
    assert chain.language("", "en_US-b") == "en"
    assert chain.language("", "") == "fr"
    assert Chain([], Clock()).language("", "") == "en"


def test_a_degraded_engine_in_use_is_trouble_and_a_second_language_is_served_beside() -> None:
    piper = FakeEngine(name="piper", owned=(FakeVoice("en_US-a"),))
    espeak = FakeEngine(name="espeak", is_degraded=True, owned=(FakeVoice("en"), FakeVoice("fr", "fr")))
    chain = Chain([piper, espeak], Clock())
    assert [(fact.model, fact.state) for fact in chain.facts()] == [
        ("en_US-a", "serving"), ("en", "standby"), ("fr", "serving"),
    ]  # fmt: skip
    assert chain.trouble() == ""
    assert Chain([espeak], Clock()).trouble() == "espeak serves"
    assert Chain([], Clock()).trouble() == "nothing serves"


def test_what_was_refused_at_start_stays_visible() -> None:
    broken = EngineFact(name="piper", state="failed", model="en_US-x", detail="x.onnx: is empty")
    chain = Chain([engine("espeak")], Clock(), refused=[broken])
    assert chain.facts()[0] == broken
    assert chain.trouble() == "piper en_US-x: x.onnx: is empty"


def test_the_speed_is_kept_within_what_voices_can() -> None:
    first = engine("first")
    chain = Chain([first], Clock())
    for speed in (0.01, 1.5, 99.0):
        list(chain.speak("one", language="en", wanted="", speed=speed, asked=[]))
    assert first.owned[0].speeds == [0.25, 1.5, 4.0]


def test_silence_at_the_start_is_held_back_until_something_is_heard() -> None:
    quiet = np.zeros(160, np.float32)

    def pieces() -> Iterator[Samples]:
        yield quiet
        yield tone(0.1)
        yield quiet

    assert [len(piece) for piece in judged("x", pieces(), RATE_HZ, 10.0)] == [160, 1600, 160]


def test_the_words_behind_a_break_are_told_by_proportion() -> None:
    assert unspoken("one two three", 0.0, 1.0) == "one two three"
    assert unspoken("one two three", 0.1, 1.0) == "two three"
    assert unspoken("one two three", 0.1, 4.0) == "three"
    assert unspoken("one two three", 9.0, 1.0) == ""
