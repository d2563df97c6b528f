from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from services.stt.__main__ import make_chain, make_worker
from services.stt.settings import SttSettings
from services.stt.worker import SttWorker
from shared.bus.memory import MemoryBroker
from shared.errors import ConfigError, EngineRefused
from shared.messages import EarsFailed, Final, SpeechStarted
from tests.fakes.speech import noise, silence, speech
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
        ]
        assert {fact.hint for fact in facts.engines} == {"eva models pull"}
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


@pytest.mark.parametrize("pcm", [silence(3), noise(3, sigma=500)], ids=["silence", "noise"])
async def test_silence_and_noise_never_become_words(tmp_path: Path, pcm: np.ndarray) -> None:
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
        broken, offline = facts.engines
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
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"


async def test_the_offline_engine_works_outside_of_this_process(tmp_path: Path) -> None:
    async with hearing(settings(tmp_path)) as (_, ann):
        await ann.claim()
        await ann.say(np.concatenate([speech(SAID), silence(0.8)]))
        before_s = time.process_time()
        await ann.hears(Final)
        assert time.process_time() - before_s < 0.2  # the recogniser needs more than twice as much
