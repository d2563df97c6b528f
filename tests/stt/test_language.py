from __future__ import annotations

import pytest

from services.stt.language import Belief, Detected


def heard(*utterances: tuple[str, float, float]) -> list[str]:
    """Returns the language in which each utterance was understood, and what is believed in the end."""
    belief, understood = Belief(), []
    for language, probability, speech_s in utterances:
        detected = Detected(language=language, probability=probability, speech_s=speech_s)
        understood.append(belief.choose(detected))
        belief = belief.heard(detected)
    return [*understood, belief.language]


@pytest.mark.parametrize(
    ("utterances", "understood"),
    [
        # What is clear is kept, however short what follows is.
        ([("fr", 0.97, 2.0), ("fr", 0.6, 0.4)], "fr fr fr"),
        # A first guess that is not sure is taken for what it is and binds nobody.
        ([("nl", 0.5, 0.6), ("en", 0.9, 2.0)], "nl en en"),
        ([("nl", 0.5, 0.6)], "nl "),
        # "No" and "Non" sound alike: short words do not turn a French session English, however sure.
        ([("fr", 0.95, 2.0), ("en", 0.99, 0.5), ("en", 0.99, 0.4), ("fr", 0.9, 2.0)], "fr fr fr fr fr"),
        # Nor does what is not sure, however long and however often.
        ([("en", 0.9, 2.0), ("fr", 0.7, 5.0), ("fr", 0.79, 5.0), ("fr", 0.75, 5.0)], "en en en en en"),
        # Evidence once is a rival; twice in a row it is the language.
        ([("en", 0.9, 2.0), ("fr", 0.85, 2.0), ("fr", 0.85, 2.0), ("fr", 0.6, 1.0)], "en en fr fr fr"),
        ([("en", 0.9, 2.0), ("fr", 0.85, 2.0), ("en", 0.9, 1.0), ("fr", 0.85, 2.0)], "en en en en en"),
        ([("en", 0.9, 2.0), ("fr", 0.85, 2.0), ("de", 0.85, 2.0), ("fr", 0.85, 2.0)], "en en en en en"),
        # What is no evidence stands between nothing.
        ([("en", 0.9, 2.0), ("fr", 0.85, 2.0), ("de", 0.5, 0.3), ("fr", 0.85, 2.0)], "en en en fr fr"),
        # Beyond doubt once is enough, and back again.
        ([("en", 0.9, 2.0), ("fr", 0.96, 1.5), ("en", 0.97, 3.0)], "en fr en en"),
    ],
)
def test_a_session_changes_its_language_on_evidence_only(
    utterances: list[tuple[str, float, float]], understood: str
) -> None:
    assert heard(*utterances) == understood.split(" ")
