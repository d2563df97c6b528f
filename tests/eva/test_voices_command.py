"""``eva voices``: what is listed, and a voice that is heard, with and without a running EVA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from eva.model_store import Listed
from eva.voice_rows import VoiceConfig, VoiceRow, due, names, read_config, table, voice_rows
from eva.voice_trial import Trial, bar, level_dbfs, trial_text, try_voice
from eva.voices import known_voices, language_if_known
from services.gateway.health import StageHealth
from shared.errors import BadInput
from shared.messages import EngineFact
from tests.fakes.gateway import RunningGateway, running_gateway
from tests.models import tiny_voice

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9"
Run = Callable[..., subprocess.CompletedProcess[str]]


def listed(name: str, **changes: Any) -> Listed:
    usual: dict[str, Any] = {
        "name": name, "kind": "tts", "languages": (), "size_bytes": 63_000_000, "licence": "CC0",
        "state": "installed", "reason": "", "trust": "by hand", "is_default": False, "path": Path(name),
    }  # fmt: skip
    return Listed(**(usual | changes))


AMY = listed("en_US-amy-medium", is_default=True, languages=("en",), rate_hz=22050)
UPMC = listed("fr_FR-upmc-medium", speakers=("jessica", "pierre"))


def fact(name: str, model: str, state: str = "serving", **changes: Any) -> EngineFact:
    return EngineFact(name=name, model=model, state=state, device="cpu", **changes)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the list


def test_without_an_eva_the_disk_and_the_manifest_speak() -> None:
    whisper = listed("faster-whisper-base", kind="stt")
    broken = listed("en_US-joe-low", state="broken", reason="is empty")
    configs = {"fr_FR-upmc-medium": VoiceConfig(rate_hz=16000, speakers=("a", "b", "c", "d", "e"))}
    rows = voice_rows([AMY, UPMC, broken, whisper], configs, None)
    assert [(row.name, row.state, row.languages, row.quality) for row in rows] == [
        ("en_US-amy-medium", "installed", ("en",), "medium"),
        ("fr_FR-upmc-medium", "installed", ("fr",), "medium"),
        ("en_US-joe-low", "broken", ("en",), "low"),
    ]
    assert [row.is_default for row in rows] == [True, False, False]
    assert (rows[0].rate_hz, rows[1].rate_hz) == (22050, 16000)
    assert rows[1].speakers == ("a", "b", "c", "d", "e"), "the voice's own configuration knows better"
    head, amy, upmc, joe = table(rows)
    assert head[0] == "NAME"
    assert amy == [
        "en_US-amy-medium (default)",
        "en",
        "medium",
        "22050 Hz",
        "1",
        "63 MB",
        "installed",
        "-",
        "CC0",
    ]
    assert upmc[4] == "a, b, c, d … (5)"
    assert joe[3] == "?"


def test_a_running_eva_tells_which_voice_serves_where_and_which_is_the_default() -> None:
    stage = StageHealth(
        state="ready",
        engines=[
            fact("piper", "my own voice", state="failed", detail="is no voice"),
            fact("piper", "fr_FR-upmc-medium#pierre", state="failed", detail="said nothing"),
            fact("piper", "fr_FR-upmc-medium#jessica"),
            fact("piper", "en_US-joe-low"),
            fact("piper", "en_US-amy-medium", state="standby"),
            fact("espeak-ng", "en-us", state="standby"),
            fact("piper", "", state="absent"),
        ],
    )
    rows = {row.name: row for row in voice_rows([AMY, UPMC, listed("en_US-joe-low")], {}, stage)}
    assert {name: row.state for name, row in rows.items()} == {
        "en_US-amy-medium": "standby",
        "fr_FR-upmc-medium": "serving",
        "en_US-joe-low": "serving",
        "my own voice": "failed",
        "en-us": "standby",
    }
    assert {name for name, row in rows.items() if row.is_default} == {"fr_FR-upmc-medium", "en_US-joe-low"}
    assert (rows["fr_FR-upmc-medium"].engine, rows["fr_FR-upmc-medium"].device) == ("piper", "cpu")
    assert (rows["en-us"].languages, rows["en-us"].is_degraded) == (("en",), True)
    assert rows["my own voice"].reason == "is no voice"
    shown = table(list(rows.values()))
    assert shown[-1][6] == "standby, degraded"
    assert shown[2][7] == "piper cpu"


def test_a_voices_own_configuration_is_read_as_far_as_it_is_one() -> None:
    raw = b'{"audio": {"sample_rate": 16000}, "num_speakers": 2, "speaker_id_map": {"b": 0, "a": 1}}'
    assert read_config(raw) == VoiceConfig(rate_hz=16000, speakers=("b", "a"))
    assert read_config(b"{}") == VoiceConfig()
    assert read_config(b"[]") is read_config(b"{") is None


def test_what_an_eva_did_not_load_is_told_as_the_disk_has_it() -> None:
    stage = StageHealth(engines=[fact("piper", "en_US-amy-medium", state="absent")])
    (row,) = voice_rows([AMY], {}, stage)
    assert (row.state, row.is_default) == ("installed", True)


def test_who_is_due_for_a_name_is_known_from_the_facts() -> None:
    stage = StageHealth(
        engines=[
            fact("piper", "en_US-amy-medium"),
            fact("piper", "fr_FR-upmc-medium", state="failed"),
            fact("espeak-ng", "en-us", state="standby"),
            fact("espeak-ng", "fr"),
        ]
    )
    rows = voice_rows([AMY, UPMC], {}, stage)

    def told(wanted: str, language: str) -> tuple[str, str] | None:
        row = due(rows, wanted, language)
        return (row.engine, row.name) if row is not None else None

    assert told("amy", "en") == told("eva", "") == told("eva-en", "en") == ("piper", "en_US-amy-medium")
    assert told("eva-fr", "fr") == ("espeak-ng", "fr")
    assert told("en-us+f3", "en") == ("espeak-ng", "en-us+f3")
    assert told("eva-de", "de") is None
    assert due([], "en-us+f3", "en") is None
    stage = StageHealth(engines=[fact("piper", "fr_FR-upmc-medium")])
    rows = voice_rows([UPMC], {}, stage)
    assert told("upmc#pierre", "fr") == ("piper", "fr_FR-upmc-medium#pierre")
    assert told("upmc", "fr") == ("piper", "fr_FR-upmc-medium")


def test_each_speaker_has_a_name_that_can_be_asked_for() -> None:
    assert names(voice_rows([AMY, UPMC], {}, None)) == [
        "en_US-amy-medium", "fr_FR-upmc-medium", "fr_FR-upmc-medium#jessica", "fr_FR-upmc-medium#pierre",
    ]  # fmt: skip


def test_a_voice_that_nobody_has_is_answered_by_those_like_it_or_the_command_that_gets_it() -> None:
    rows = voice_rows([AMY, UPMC, listed("fr_FR-siwis-medium", state="absent")], {}, None)
    assert language_if_known("upmc#pierre", rows) == "fr"
    assert language_if_known("eva-fr", rows) == "fr"
    assert language_if_known("eva", rows) == ""
    assert language_if_known("en-us+f3", rows) == "en"
    with pytest.raises(BadInput, match="eva models pull fr_FR-siwis-medium"):
        language_if_known("siwis", rows)
    with pytest.raises(BadInput, match="do you mean en_US-amy-medium"):
        language_if_known("en_US-ami-medium", rows)
    with pytest.raises(BadInput, match="eva voices list"):
        language_if_known("zzzzzzzz", rows)
    broken = VoiceRow(name="en_US-joe-low", state="broken", reason="is empty")
    with pytest.raises(BadInput, match="is empty"):
        language_if_known("joe", [broken])


# ---------------------------------------------------------------- a trial


def test_the_level_of_sound_is_told_against_full_scale() -> None:
    full = (32767 * np.sin(np.arange(24000) / 5)).astype("<i2").tobytes()
    assert level_dbfs(full) == pytest.approx(-3.0, abs=0.1)
    assert level_dbfs(b"") == level_dbfs(bytes(100)) == -100.0
    assert (bar(-100.0), bar(0.0), bar(-30.0).count("█")) == ("░" * 30, "█" * 30, 15)
    assert trial_text("fr") != trial_text("de") == trial_text("en")


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway() as running:
        yield running


async def test_a_running_eva_lets_the_voice_speak(
    gateway: RunningGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = str(gateway.http.base_url).rstrip("/")
    rows, is_running = await known_voices(url)
    assert is_running
    assert rows
    out = tmp_path / "voice.wav"
    siwis = VoiceRow(name="fr_FR-siwis-medium", engine="piper", device="cuda:0", state="serving")
    wish = Trial(
        text="Hello there.", voice="siwis", url=url, out=out, mood="joy", speed=1.5, language="fr", due=siwis
    )
    assert await try_voice(wish) == 0
    said = capsys.readouterr().err
    assert "voice piper fr_FR-siwis-medium (cuda:0)" in said
    assert "first sound after" in said
    assert "dBFS" in said
    with wave.open(str(out)) as wav:
        assert wav.getframerate() == 24000
        assert wav.getnframes() > 0
    asked = gateway.workers.synthesized[-1]
    assert (asked.voice, asked.mood, asked.speed, asked.language) == ("siwis", "joy", 1.5, "fr")


@pytest.fixture
def eva(tmp_path: Path) -> Run:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("EVA_")}
        environment = {
            **kept, "PYTHONPATH": str(ROOT), "EVA_DATA_DIR": str(tmp_path / "data"), "EVA_URL": NOWHERE,
            "EVA_TTS_DEVICE": "cpu", **variables,
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "eva", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False,
        )  # fmt: skip

    return run


@pytest.mark.process
def test_where_no_eva_runs_a_process_of_its_own_lets_the_voice_speak(eva: Run, tmp_path: Path) -> None:
    tiny_voice.install(tmp_path / "data" / "models", "en_US-tiny-low")
    told = eva("voices", "list", "--json")
    assert told.returncode == 0
    rows = msgspec.json.decode(told.stdout)["voices"]
    tiny = next(row for row in rows if row["name"] == "en_US-tiny-low")
    assert (tiny["state"], tiny["languages"], tiny["quality"]) == ("installed", ["en"], "low")
    assert tiny["rate_hz"] > 0
    out = tmp_path / "tiny.wav"
    done = eva("voices", "try", "tiny", "Hello there.", "--out", str(out), "--json", "--mood", "sadness")
    assert done.returncode == 0, done.stderr
    heard = json.loads(done.stdout)
    assert (heard["engine"], heard["voice"], heard["device"]) == ("piper", "en_US-tiny-low", "cpu")
    assert heard["audio_s"] > 0.3
    assert heard["first_audio_ms"] > 0
    assert heard["level_dbfs"] > -60
    with wave.open(str(out)) as wav:
        assert wav.getnframes() == pytest.approx(heard["audio_s"] * 24000, abs=24)


@pytest.mark.process
def test_an_unknown_voice_is_a_wrong_wish_and_what_cannot_load_a_failure(eva: Run, tmp_path: Path) -> None:
    wrong = eva("voices", "try", "siwi")
    assert wrong.returncode == 2
    assert "do you mean fr_FR-siwis" in wrong.stderr
    none = eva("voices", "try", "eva-fr", "--json", EVA_TTS_ENGINES="piper")
    assert none.returncode == 1
    assert json.loads(none.stdout)["error"]
    assert "no voice in" in none.stderr
    assert not list(tmp_path.glob("*.wav"))
