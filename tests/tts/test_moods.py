"""Moods: the table, its bounds, and what is heard of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from services.llm.moods import DEFAULT as MARKED
from services.tts import espeak, piper
from services.tts.engine import NEUTRAL, Line, Prosody, Voice
from services.tts.moods import BOUNDS, DEFAULT, BadMood, described, prosody, read_moods
from services.tts.settings import TtsSettings
from shared.errors import ConfigError

TEXT = "The rain has not stopped since the morning."


def test_every_mood_that_the_mind_marks_has_its_way_and_keeps_within_the_bounds() -> None:
    assert set(MARKED) <= set(DEFAULT)
    assert prosody("neutral") is NEUTRAL
    assert len({prosody(mood) for mood in MARKED}) == len(MARKED)
    for mood, parts in described(DEFAULT).items():
        for part, (low, high) in BOUNDS.items():
            assert low <= parts[part] <= high, (mood, part)


def test_a_mood_that_nobody_described_is_neutral() -> None:
    assert prosody("") is prosody("ennui") is NEUTRAL
    assert prosody(" Joy ") is DEFAULT["joy"]


def test_the_configuration_changes_what_it_names_and_nothing_else() -> None:
    table = read_moods('{"Joy": {"pitch": 2}, "awe": {"length": 1.2}}')
    assert prosody("joy", table).pitch == 2.0
    assert prosody("joy", table).length == DEFAULT["joy"].length
    assert prosody("awe", table) == Prosody(length=1.2)
    assert prosody("sadness", table) is DEFAULT["sadness"]
    assert read_moods(" ") is DEFAULT
    assert read_moods(json.dumps(described(DEFAULT))) == DEFAULT


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{", ""),
        ("[]", ""),
        ('{"": {}}', "''"),
        ('{"joy": 1}', "joy"),
        ('{"joy": {"ptich": 1}}', "joy.ptich"),
        ('{"joy": {"pitch": "high"}}', "joy.pitch"),
        ('{"joy": {"pitch": true}}', "joy.pitch"),
        ('{"joy": {"pitch": NaN}}', "joy.pitch"),
        ('{"joy": {"pitch": 3.1}}', "joy.pitch"),
        ('{"joy": {"length": 0.5}}', "joy.length"),
        ('{"joy": {"gain_db": -5}}', "joy.gain_db"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_by_the_name_of_its_entry(text: str, key: str) -> None:
    with pytest.raises(
        BadMood, match=re.escape(key or "JSON") if text == "{" else re.escape(key or "table")
    ) as refused:
        read_moods(text)
    assert refused.value.key == key
    assert str(refused.value).endswith(refused.value.reason)


def test_the_service_does_not_start_with_a_typo_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVA_TTS_MOODS", '{"joy": {"ptich": 1}}')
    with pytest.raises(ConfigError, match=r"joy\.ptich"):
        TtsSettings.read()


def seconds(voice: Voice, mood: str) -> float:
    sounds = voice.speak(Line(text=TEXT, prosody=prosody(mood)))
    return float(sum(len(sound.samples) for sound in sounds)) / voice.rate_hz


def test_sadness_is_slower_and_joy_faster_than_neutral_in_the_offline_voice() -> None:
    voice = espeak.load().voice("en", "")
    assert voice is not None
    sad, neutral, glad = (seconds(voice, mood) for mood in ("sadness", "neutral", "joy"))
    assert sad > 1.08 * neutral
    assert glad < 0.98 * neutral


def test_sadness_is_slower_than_neutral_in_a_piper_voice(tiny_voices: Path) -> None:
    model = tiny_voices / "models" / "tts" / "en_US-tiny-low" / "en_US-tiny-low.onnx"
    voice = piper.load_voice(model, device="cpu", threads=1)
    assert seconds(voice, "sadness") > 1.08 * seconds(voice, "neutral") > 0
