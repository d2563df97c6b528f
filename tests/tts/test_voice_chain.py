from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import numpy as np
import pytest

from services.tts.chain import Chain, Standing
from services.tts.engine import Engine, Line, Sound, SpokenWord
from services.tts.judge import longest_s
from services.tts.lanes import Listener
from services.tts.passage import Passage, Spoken
from services.tts.segment import behind
from shared.audio import Samples
from shared.errors import EngineFailed
from shared.messages import EngineFact
from tests.fakes.voices import (
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
    return [
        p.engine.name
        for p in chain.speak(Line(text=text), Listener(), language=language, wanted=wanted, asked=[])
    ]


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
    assert len(names) == int(longest_s(Line(text="one")))


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
        pieces = chain.speak(Line(text="one"), Listener(), language=language, wanted=wanted, asked=[])
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
        list(chain.speak(Line(text="one", speed=speed), Listener(), language="en", wanted="", asked=[]))
    assert first.owned[0].speeds == [0.25, 1.5, 4.0]


def test_a_broken_voice_does_not_set_aside_the_engine_s_other_voices() -> None:
    clock = Clock()
    french = FakeVoice("fr_FR-broken", "fr", script=not_a_number)
    piper = FakeEngine(name="piper", owned=(FakeVoice("en_US-a"), french))
    offline = FakeEngine(name="espeak", is_degraded=True, owned=(FakeVoice("en"), FakeVoice("fr", "fr")))
    chain = Chain([piper, offline], clock)
    for _ in range(4):
        assert say(chain, language="fr") == ["espeak"] * 3
    assert len(french.said) == 3
    assert say(chain, language="en") == ["piper"] * 3
    assert [(fact.model, fact.state) for fact in chain.facts()] == [
        ("en_US-a", "serving"), ("fr_FR-broken", "failed"), ("en", "standby"), ("fr", "serving"),
    ]  # fmt: skip
    assert chain.trouble() == "piper fr_FR-broken: samples are not finite"


def test_an_engine_that_hangs_takes_all_its_voices_with_it() -> None:
    piper = FakeEngine(name="piper", owned=(FakeVoice("en_US-a"), FakeVoice("fr_FR-b", "fr")))
    chain = Chain([piper, engine("espeak")], Clock())
    chain.blame(piper, "no chunk within 8.0 s", hangs=True)
    assert [(fact.model, fact.state) for fact in chain.facts()][:2] == [
        ("en_US-a", "failed"), ("fr_FR-b", "failed"),
    ]  # fmt: skip


def test_another_model_of_the_language_speaks_before_the_offline_voice() -> None:
    broken, same = FakeVoice("en_US-a", script=empty), FakeVoice("en_US-a#2")
    other = FakeVoice("en_GB-b", sha256="cd" * 32)
    piper = FakeEngine(name="piper", owned=(broken, same, other))
    offline = FakeEngine(name="espeak", is_degraded=True, owned=(FakeVoice("en"),))
    chain = Chain([piper, offline], Clock())
    assert say(chain) == ["piper"] * 3
    assert (same.said, other.said) == ([], ["one two three"])
    assert say(Chain([offline, piper], Clock())) == ["espeak"] * 3


def test_the_streamed_second_voice_speaks_before_another_voice_s_whole_twin() -> None:
    streamed = FakeEngine(
        name="piper", owned=(FakeVoice("a", script=empty), FakeVoice("b", sha256="cd" * 32))
    )
    whole = FakeEngine(name="piper-whole", owned=(FakeVoice("b", sha256="cd" * 32),))
    assert say(Chain([streamed, whole], Clock())) == ["piper"] * 3
    twin = FakeEngine(name="piper-whole", owned=(FakeVoice("a"),))
    assert say(Chain([streamed, twin], Clock())) == ["piper-whole"] * 3


@pytest.mark.parametrize("error", [MemoryError(), KeyError("a bug"), RuntimeError("CUDA error")])
def test_whatever_an_engine_raises_the_next_one_speaks(error: Exception) -> None:
    def script(_: str) -> Iterator[Samples]:
        yield tone(0.2)
        raise error

    chain = Chain([engine("first", script), engine("second")], Clock())
    assert say(chain) == ["first", "second", "second"]


def test_a_line_without_words_may_be_silent() -> None:
    chain = Chain([first := engine("first", empty), engine("second")], Clock())
    for _ in range(4):
        assert say(chain, "... !") == []
    assert len(first.owned[0].said) == 4


class TimedVoice(FakeVoice):
    """Tells when its words are said, then breaks off after a second and a half."""

    def speak(self, line: Line) -> Iterator[Sound]:
        spans = [found.span() for found in re.finditer(r"\S+", line.text)]
        ends = [1.45, 1.9, *(2.0 + 0.5 * number for number in range(len(spans)))]
        words = tuple(
            SpokenWord(begin=begin, end=end, start_s=start_s, end_s=end_s)
            for (begin, end), start_s, end_s in zip(spans, [0.0, *ends], ends, strict=False)
        )
        yield Sound(samples=tone(1.0), words=words)
        yield Sound(samples=tone(0.5))
        raise EngineFailed("timed", "as told")


def test_the_next_engine_goes_on_behind_the_last_word_that_was_heard() -> None:
    first, second = FakeEngine(name="first", owned=(TimedVoice(),)), engine("second")
    text = "Immediately we understood everything there."
    chain = Chain([first, second], Clock())
    pieces = list(chain.speak(Line(text=text), Listener(), language="en", wanted="", asked=[]))
    assert second.owned[0].said == ["we understood everything there."]  # by proportion: "everything there."
    assert {piece.begin for piece in pieces if piece.engine is second} == {text.index("we")}


def test_three_engines_share_a_line_and_each_says_its_own_words() -> None:
    engines = [engine("first", breaking_after(0.3)), engine("second", breaking_after(0.3)), engine("third")]
    text = "one two three four five six"
    pieces = list(
        Chain(engines, Clock()).speak(Line(text=text), Listener(), language="en", wanted="", asked=[])
    )
    assert [engine.owned[0].said for engine in engines] == [
        [text], ["two three four five six"], ["three four five six"],
    ]  # fmt: skip
    assert [text[piece.begin :].split(maxsplit=1)[0] for piece in pieces] == ["one", "two", *["three"] * 4]


def test_each_sound_is_made_in_a_turn_of_its_own_and_told_to_the_listener() -> None:
    told: list[str | float] = []

    class Watched(Listener):
        @contextlib.contextmanager
        def turn(self, device: str) -> Iterator[None]:
            told.append(device)
            yield

        def made(self, seconds: float) -> None:
            told.append(seconds)

    def script(_: str) -> Iterator[Samples]:
        yield np.zeros(1600, np.float32)
        yield tone(0.1)

    chain = Chain([engine("first", script, device="cuda:0")], Clock())
    asked: list[Engine] = []
    list(chain.speak(Line(text="one"), Watched(), language="en", wanted="", asked=asked))
    assert told == ["cuda:0", "cuda:0", 0.1, 0.1, "cuda:0"]
    assert [engine.name for engine in asked] == ["first"]


def test_what_comes_behind_a_break_is_still_told_by_the_written_words() -> None:
    words = (
        Spoken(begin=0, end=2, spoken_begin=0, spoken_end=10),
        Spoken(begin=3, end=8, spoken_begin=11, spoken_end=16),
    )
    passage = Passage(text="twenty one years", words=words, pause_s=0.5)
    assert behind(passage, 0) is passage
    assert behind(passage, 7) == Passage(
        text="one years",
        words=(
            Spoken(begin=0, end=2, spoken_begin=0, spoken_end=3),
            Spoken(begin=3, end=8, spoken_begin=4, spoken_end=9),
        ),
        pause_s=0.5,
    )
    assert behind(passage, 11).words == (Spoken(begin=3, end=8, spoken_begin=0, spoken_end=5),)


def test_a_chain_names_its_links_the_best_first() -> None:
    engines = (engine("first"), engine("second"))
    assert Chain(engines, Clock()).engines == engines
