from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from services.stt.__main__ import make_chain, make_worker
from services.stt.settings import SttSettings
from services.stt.sphinx import SphinxEngine
from services.stt.worker import SttWorker
from shared.bus.memory import MemoryBroker
from shared.errors import ConfigError, EngineRefused
from shared.messages import EarsFailed, Final, SpeechStarted
from tests.fakes.sounds import cadence, chords, hum, ringing, sweep
from tests.fakes.speech import noise, silence, speech, tone
from tests.models.tiny_whisper import PHRASES, install
from tests.stt.rig import Person, person, serving

SAID = "my name is john and i live in london"


@pytest.fixture(autouse=True)
def no_settings_from_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVA_SECRETS_DIR", str(tmp_path / "none"))


def settings(data_dir: Path, **more: object) -> SttSettings:
    return SttSettings.read(data_dir=data_dir, worker_id="ears1", stt_device="cpu", **more)


@asynccontextmanager
async def hearing(chosen: SttSettings) -> AsyncIterator[tuple[SttWorker, Person]]:
    broker = MemoryBroker()
    worker = make_worker(chosen)
    async with serving(worker, broker.connect("stt")):
        yield worker, person(broker)


async def test_without_any_model_the_offline_engine_understands_speech(tmp_path: Path) -> None:
    async with hearing(settings(tmp_path)) as (worker, ann):
        facts = worker.facts()
        assert facts.state == "degraded"
        assert [(fact.name, fact.state) for fact in facts.engines] == [
            ("sphinx", "serving"),
            ("whisper", "absent"),
            ("melody", "serving"),
        ]
        assert {fact.hint for fact in facts.engines[:2]} == {"eva models pull"}
        claimed = await ann.claim()
        assert (claimed.engine, claimed.is_degraded, claimed.languages) == ("sphinx", True, ["en"])
        await ann.say(np.concatenate([silence(0.5), speech(SAID), silence(0.8)]))
        final = await ann.hears(Final)
        assert len(set(SAID.split()) & set(final.text.split())) > 5, final.text


async def test_without_any_model_french_is_a_typed_error(tmp_path: Path) -> None:
    async with hearing(settings(tmp_path)) as (_, ann):
        await ann.claim(language="fr")
        await ann.say(np.concatenate([speech("bonjour tout le monde", voice="fr"), silence(0.8)]))
        failed = await ann.hears(EarsFailed)
        assert failed.code == "unsupported_language"
        assert "eva models pull" in failed.message


async def test_with_a_model_whisper_serves_and_says_which_file_it_is(tmp_path: Path) -> None:
    install(tmp_path / "models")
    async with hearing(settings(tmp_path)) as (worker, ann):
        facts = worker.facts()
        assert facts.state == "ready"
        assert [(fact.name, fact.state) for fact in facts.engines] == [
            ("whisper", "serving"),
            ("sphinx", "standby"),
            ("melody", "serving"),
        ]
        assert (facts.engines[0].model, facts.engines[0].device) == ("tiny-whisper", "cpu")
        assert len(facts.engines[0].model_sha256) == 64
        assert "fr" in facts.languages
        await ann.claim(language="fr")
        await ann.say(
            np.concatenate([silence(0.5), speech("bonjour tout le monde", voice="fr"), silence(0.8)])
        )
        final = await ann.hears(Final)
        assert (final.text, final.language, final.engine) == (PHRASES[0], "fr", "whisper")


NO_SPEECH = {
    "silence": silence(3),
    "noise": noise(3, sigma=500),
    "loud noise": noise(3, sigma=6000),
    "music": chords(4),
    "sweep": sweep(4),
    "hold tone": cadence(440, 1.0, 2.0, 2),
    "busy tone": cadence(425, 0.25, 0.25, 8),
    "dial tone": tone(425, 3),
    "bell": ringing(2),
    "hum": hum(3),
}


@pytest.mark.parametrize("pcm", NO_SPEECH.values(), ids=NO_SPEECH.keys())
async def test_what_is_no_speech_never_reaches_the_engine(tmp_path: Path, pcm: np.ndarray) -> None:
    """The engine of this test hears words in whatever it is given."""
    install(tmp_path / "models")
    async with hearing(settings(tmp_path)) as (_, ann):
        await ann.claim()
        await ann.say(pcm)
        await ann.end_utterance()
        assert (await ann.hears(Final)).text == ""
        assert ann.of(SpeechStarted) == []


def _empty(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"")


def _missing(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _swapped(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"something else entirely")


def _web_page(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"<!DOCTYPE html><html>sign in</html>")


BREAKS = {"empty": _empty, "missing": _missing, "swapped": _swapped, "web page": _web_page}


@pytest.mark.parametrize("how", BREAKS)
async def test_a_broken_model_is_refused_by_its_file_and_the_next_engine_serves(
    tmp_path: Path, tiny_whisper: Path, how: str
) -> None:
    folder = tmp_path / "models" / "stt" / "mine"
    shutil.copytree(tiny_whisper, folder)
    BREAKS[how](folder)
    async with hearing(settings(tmp_path)) as (worker, _):
        facts = worker.facts()
        assert facts.state == "degraded"
        broken, offline, _ = facts.engines
        assert (broken.name, broken.model, broken.state) == ("whisper", "mine", "failed")
        assert ("tokenizer.json" if how == "missing" else "mine") in broken.detail
        assert offline.state == "serving"


async def test_a_broken_model_that_was_asked_for_by_name_makes_the_worker_refuse(
    tmp_path: Path, tiny_whisper: Path
) -> None:
    folder = tmp_path / "models" / "stt" / "mine"
    shutil.copytree(tiny_whisper, folder)
    _empty(folder)
    with pytest.raises(EngineRefused, match=r"model\.bin: is empty"):
        await make_worker(settings(tmp_path, stt_model="mine")).warm_up()


def test_the_window_and_the_batches_are_as_the_operator_wants_them(tmp_path: Path) -> None:
    install(tmp_path / "models")
    as_it_pays, told = (
        make_chain(settings(tmp_path, **more)) for more in ({}, {"stt_window": "full", "stt_batch": "3"})
    )
    for chain in (as_it_pays, told):
        chain.links[0].prove()
        assert chain.info is not None
        assert chain.info.call_ms > 0
    assert as_it_pays.info is not None
    assert told.info is not None
    assert (as_it_pays.info.is_windowed, told.info.is_windowed) == (False, True)
    assert as_it_pays.info.max_batch in {1, 4}
    assert told.info.max_batch == 3


@pytest.mark.parametrize(
    ("name", "value"), [("COMPUTE_TYPE", "int4"), ("WINDOW", "tiny"), ("BATCH", "0"), ("BATCH", "many")]
)
def test_a_setting_that_means_nothing_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"EVA_STT_{name}", value)
    with pytest.raises(ConfigError, match=f"EVA_STT_{name}"):
        SttSettings.read()


async def test_a_model_may_lie_anywhere(tmp_path: Path, tiny_whisper: Path) -> None:
    async with hearing(settings(tmp_path, stt_model=str(tiny_whisper))) as (worker, _):
        assert worker.facts().engines[0].state == "serving"
        assert worker.facts().state == "ready"


def test_cuda_without_cuda_is_refused_with_the_way_out(tmp_path: Path) -> None:
    from services.stt.whisper import cuda_devices  # noqa: PLC0415 - beside the question that it answers

    if cuda_devices():
        pytest.skip("this machine has CUDA")
    install(tmp_path / "models")
    with pytest.raises(EngineRefused, match="EVA_STT_DEVICE=cuda") as refused:
        make_chain(SttSettings.read(data_dir=tmp_path, stt_device="cuda"))
    assert "eva doctor" in refused.value.hint


def test_a_device_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVA_STT_DEVICE", "tpu")
    with pytest.raises(ConfigError, match="EVA_STT_DEVICE"):
        SttSettings.read()


def test_the_worker_starts_without_libraries_that_it_does_not_use() -> None:
    code = (
        "import sys, services.stt.__main__; "
        "print([m for m in ('ctranslate2', 'faster_whisper', 'onnxruntime', 'av', 'pocketsphinx') "
        "if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"


async def test_the_offline_engine_works_outside_of_this_process(tmp_path: Path) -> None:
    async with hearing(settings(tmp_path)) as (worker, ann):
        await ann.claim()
        await ann.say(np.concatenate([speech(SAID), silence(0.8)]))
        assert (await ann.hears(Final)).engine == "sphinx"
        assert worker._chain is not None
        assert worker._chain.serving is not None
        recogniser = worker._chain.serving.engine
        assert isinstance(recogniser, SphinxEngine)
        assert recogniser.pid not in {None, os.getpid()}
        assert "pocketsphinx" not in sys.modules
