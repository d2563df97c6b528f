from __future__ import annotations

from typing import Any

import pytest

from services.stt.gates import Evidence, Verdict, is_said_twice, judge, max_tokens


def evidence(text: str, **more: Any) -> Evidence:
    return Evidence(**{"text": text, "seconds": 3.0, "tokens": 8, **more})


@pytest.mark.parametrize(
    ("text", "more", "verdict"),
    [
        ("what time is it", {"no_speech": 0.1, "logprob": -0.2}, "said"),
        ("what time is it", {"no_speech": 0.9, "logprob": -0.2}, "said"),
        ("mumbled words", {"no_speech": 0.3, "logprob": -1.4}, "said"),
        ("some words", {"no_speech": 0.9, "logprob": -1.4}, "silence"),
        ("and then " * 40, {}, "loop"),
        ("too many words for a cough", {"seconds": 0.2}, "loop"),
        ("turn off the light. Turn off the light.", {}, "doubtful"),
        ("Thanks for watching!", {}, "phantom"),
        ("Thanks for watching!", {"no_speech": 0.0, "logprob": -0.05}, "phantom"),
        ("[Music]", {}, "phantom"),
        ("", {}, "said"),
    ],
)
def test_text_is_judged_by_what_the_model_tells_of_itself(
    text: str, more: dict[str, Any], verdict: Verdict
) -> None:
    assert judge(evidence(text, **more)) == verdict


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({}, "said"),
        ({"speech_s": 0.6}, "said"),
        ({"no_speech": 0.4}, "phantom"),
        ({"logprob": -0.8}, "phantom"),
        ({"speech_s": 0.1}, "phantom"),
        ({"speech_s": 6.0}, "phantom"),
    ],
)
@pytest.mark.parametrize("text", ["Thank you.", "Merci."])
def test_a_courtesy_is_believed_unless_the_sound_speaks_against_it(
    text: str, more: dict[str, Any], verdict: Verdict
) -> None:
    assert judge(evidence(text, **more)) == verdict


def test_scripts_of_many_tokens_are_given_more_of_them() -> None:
    assert max_tokens(2.0, "en") < 2 * 20 < max_tokens(2.0, "hi")
    assert judge(evidence("नमस्ते आप कैसे हैं", tokens=60, language="hi")) == "said"
    assert judge(evidence("how are you", tokens=60)) == "loop"


@pytest.mark.parametrize(
    ("text", "is_twice"),
    [
        ("what time is it what time is it", True),
        ("Call my mother now! " * 3, True),
        ("no, no, no", False),
        ("stop it stop it", False),
        ("what time is it what time is it now", False),
        ("", False),
    ],
)
def test_a_whole_phrase_again_and_again_is_noticed(text: str, is_twice: bool) -> None:
    assert is_said_twice(text) == is_twice
