from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from services.tts.loudness import Levels
from services.tts.warm_up import Warmth, is_real_time, lines, made_ms, numbers, prove
from shared.audio import Samples
from shared.errors import EngineFailed
from tests.fakes.voices import FakeVoice, hanging, silent


def test_a_voice_that_hangs_or_is_silent_in_its_warm_up_is_given_up() -> None:
    release = threading.Event()
    with pytest.raises(EngineFailed, match="no audio within"):
        prove(FakeVoice(script=hanging(release)), "fake", within_s=0.05, levels=Levels())
    release.set()
    with pytest.raises(EngineFailed, match="only silence"):
        prove(FakeVoice(script=silent), "fake", within_s=30.0, levels=Levels())


def test_a_defect_in_a_warm_up_is_not_swallowed() -> None:
    def defect(_: str) -> Iterator[Samples]:
        raise LookupError("a defect")
        yield  # pragma: no cover - makes it a generator

    with pytest.raises(LookupError, match="a defect"):
        prove(FakeVoice(script=defect), "fake", within_s=30.0, levels=Levels())


def test_a_voice_says_a_short_a_medium_and_a_long_line_as_often_as_told_and_is_measured() -> None:
    voice, levels = FakeVoice(), Levels()
    warmths = prove(voice, "fake", within_s=30.0, levels=levels, rounds=2)
    expected = lines(voice.language)
    assert voice.said == [text for text in expected.values() for _ in range(2)]
    assert [len(text.split()) for text in lines("xx").values()] == [4, 20, 40]
    assert [one.length for one in warmths] == ["short", "medium", "long"]
    assert all(one.made_ms >= one.first_ms > 0 for one in warmths)
    assert levels.knows(voice)


def test_fewer_lengths_are_the_shorter_ones() -> None:
    voice = FakeVoice()
    warmths = prove(voice, "fake", within_s=30.0, levels=Levels(), lengths=2)
    assert [one.length for one in warmths] == ["short", "medium"]


def warmth(made_ms: float, audio_s: float, length: str = "short") -> Warmth:
    return Warmth(length=length, warm_up_ms=500.0, made_ms=made_ms, first_ms=20.0, audio_s=audio_s)


def test_what_a_line_took_is_told_cold_and_warm() -> None:
    assert numbers([warmth(100.0, 2.0)]) == {
        "warm_up_ms_short": 500.0, "first_audio_ms_short": 20.0, "real_time_factor_short": 0.05,
    }  # fmt: skip
    assert made_ms([warmth(100.0, 1.0), warmth(50.0, 1.0, "medium")]) == 50.0
    assert made_ms([]) == 0.0


def test_a_line_that_takes_longer_than_it_sounds_is_not_real_time() -> None:
    assert is_real_time([warmth(900.0, 1.0)])
    assert not is_real_time([warmth(900.0, 1.0), warmth(1000.0, 1.0)])
    assert not is_real_time([warmth(1.0, 0.0)])
