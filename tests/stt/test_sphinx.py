from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from services.stt.engine import Pcm
from services.stt.sphinx import SphinxEngine, dithered, load_sphinx
from shared.errors import EngineFailed
from tests.fakes.speech import speech


@pytest.fixture(scope="module")
def sphinx() -> Iterator[SphinxEngine]:
    engine = load_sphinx()
    yield engine
    engine.close()


def floats(text: str) -> Pcm:
    return speech(text).astype(np.float32) / 32768


@pytest.mark.parametrize(
    "text", ["my name is john and i live in london", "stop talking please", "one two three four five six"]
)
def test_most_words_of_clear_english_are_understood_without_a_download(
    sphinx: SphinxEngine, text: str
) -> None:
    transcript = sphinx.transcribe(floats(text), "en")
    right = set(text.split()) & set(transcript.text.split())
    assert len(right) > len(text.split()) / 2, transcript.text
    assert transcript.language == "en"


def test_it_says_that_it_is_degraded_and_english_only(sphinx: SphinxEngine) -> None:
    assert sphinx.info.is_degraded
    assert sphinx.info.languages == ("en",)


def test_two_utterances_at_once_do_not_mix(sphinx: SphinxEngine) -> None:
    texts: dict[str, str] = {}

    def hear(text: str) -> None:
        texts[text] = sphinx.transcribe(floats(text), None).text

    said = ["stop talking please", "one two three four five six"]
    threads = [threading.Thread(target=hear, args=(text,)) for text in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert "stop talking" in texts["stop talking please"]
    assert "two three four" in texts["one two three four five six"]


def test_noise_is_laid_under_silence_the_same_each_time() -> None:
    quiet = dithered(np.zeros(16000, np.float32))
    assert 80 < float(quiet.std()) < 120
    assert np.array_equal(quiet, dithered(np.zeros(16000, np.float32)))


def test_a_recogniser_that_dies_is_a_failure_and_the_next_call_starts_another() -> None:
    dies_on_the_first_audio = (
        "import sys; o = sys.stdout.buffer; o.write(bytes(4)); o.flush(); sys.stdin.buffer.read(8)"
    )
    engine = SphinxEngine([sys.executable, "-c", dies_on_the_first_audio])
    for _ in range(3):
        with pytest.raises(EngineFailed, match="has died"):
            engine.transcribe(np.zeros(160, np.float32), "en")
    engine.close()


def test_a_recogniser_that_does_not_start_is_a_failure() -> None:
    engine = SphinxEngine([sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(EngineFailed, match="has died"):
        engine.transcribe(np.zeros(160, np.float32), "en")
    engine.close()
