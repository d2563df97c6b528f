from __future__ import annotations

import numpy as np
import pytest

from services.stt.engine import RATE_HZ, EngineInfo, Word
from services.stt.settle import (
    FED,
    GROWING,
    PROMPT,
    WINDOWED,
    Settled,
    agreed,
    cut,
    joined,
    limit,
    policy_for,
    quietest,
)


def words(text: str, *, each_s: float = 0.5, gaps: dict[str, float] | None = None) -> tuple[Word, ...]:
    """Returns words of equal length; ``gaps``: seconds of silence behind a word."""
    found, at_s = [], 0.0
    for word in text.split():
        found.append(Word(text=word, start_s=at_s, end_s=at_s + each_s))
        at_s += each_s + (gaps or {}).get(word, 0.0)
    return tuple(found)


@pytest.mark.parametrize(
    ("before", "after", "both"),
    [
        ("", "", ""),
        ("one", "", "one"),
        ("", " two ", "two"),
        ("one ", " two", "one two"),
        ("今日は", "いい天気", "今日はいい天気"),
        ("今日は", "EVA", "今日は EVA"),
        ("EVA", "です", "EVA です"),
    ],
)
def test_texts_are_joined_as_their_script_wants_it(before: str, after: str, both: str) -> None:
    assert joined(before, after) == both


def test_words_agree_whatever_their_case_and_punctuation() -> None:
    assert agreed(words("Well, I think"), words("well i THINK so")) == 3
    assert agreed(words("it's here"), words("its here")) == 0
    assert agreed((), words("so")) == 0


def test_what_two_hypotheses_agree_on_is_cut_at_the_longest_gap() -> None:
    text = "the quick brown fox jumps over the lazy dog again"
    now = words(text, gaps={"fox": 0.1, "over": 0.25, "the": 0.01})
    found = cut(words("the quick brown fox jumps over the lazy cat"), now, now[-1].end_s)
    assert found is not None
    assert (found.text, found.rest) == ("the quick brown fox jumps over", "the lazy dog again")
    over, the = now[5], now[6]
    assert found.from_s <= over.end_s < the.start_s <= found.to_s
    assert found.to_s - found.from_s == pytest.approx(0.25)


def test_where_words_run_into_each_other_the_border_is_looked_for_around_them() -> None:
    now = words("one two three four five six seven eight")
    found = cut(now, now, 5.0)
    assert found is not None
    assert found.text == "one two three four five six seven"
    assert (found.from_s, found.to_s) == (pytest.approx(3.38), pytest.approx(3.62))


@pytest.mark.parametrize(
    ("before", "now", "heard_s"),
    [
        ("", "one two three four five six", 4.0),  # the first hypothesis
        ("one two", "one two three four five six", 4.0),  # too little is agreed
        ("one two three four", "one two three four", 20.0),  # no word is in the second half
        ("one two three four five", "one two three four five", 1.9),  # they are being spoken
    ],
)
def test_too_little_agreement_cuts_nothing(before: str, now: str, heard_s: float) -> None:
    assert cut(words(before), words(now), heard_s) is None


def test_a_piece_is_cut_where_it_is_quietest() -> None:
    pcm = np.random.default_rng(0).normal(0.0, 0.1, 6 * RATE_HZ).astype(np.float32)
    pcm[int(3.9 * RATE_HZ) : int(4.1 * RATE_HZ)] *= 0.01
    pcm[int(4.5 * RATE_HZ) : int(4.54 * RATE_HZ)] = 0.0  # a stop consonant
    assert limit(pcm, GROWING) / RATE_HZ == pytest.approx(4.0, abs=0.06)
    assert quietest(pcm, 0, RATE_HZ) < RATE_HZ
    assert quietest(pcm, RATE_HZ, RATE_HZ) == RATE_HZ
    assert quietest(pcm[:100], 200, 300) == 100


def test_the_last_words_go_along_as_context() -> None:
    short = Settled().add("Hello there.", 100)
    assert (short.prompt, short.position) == ("Hello there.", 100)
    long = short.add(" ".join(f"word{number}" for number in range(100)), 200)
    assert len(long.prompt) <= PROMPT
    assert long.text.endswith(f" {long.prompt}")


def test_the_policy_suits_what_audio_costs() -> None:
    windowed = EngineInfo(name="w", model="", device="cpu", is_windowed=True)
    growing = EngineInfo(name="g", model="", device="cpu")
    assert policy_for(windowed, is_fed=False) is WINDOWED
    assert policy_for(growing, is_fed=False) is GROWING
    assert policy_for(growing, is_fed=True) is FED
    assert policy_for(None, is_fed=False) is GROWING
