from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel

from services.stt.engine import RATE_HZ, Clip, Pcm, Transcript
from services.stt.gates import max_tokens
from services.stt.whisper import WhisperEngine, WhisperOptions, compute_types, likelier, load_whisper
from services.stt.whisper_model import Asked, Decoded, Model
from services.stt.windows import FULL_FRAMES
from shared.errors import EngineFailed, EngineRefused
from tests.fakes.speech import silence, speech, tone
from tests.models.tiny_whisper import PHRASES, build_tiny_whisper, tone_hz

OPTIONS = WhisperOptions(device="cpu", compute_type="int8", threads=2, parallel=2)


def load(folder: Path, **options: Any) -> WhisperEngine:
    return load_whisper(folder, replace(OPTIONS, **options), sha256="cafe")


@pytest.fixture(scope="module", params=[False, True], ids=["full", "short"])
def engine(tiny_whisper: Path, request: pytest.FixtureRequest) -> WhisperEngine:
    return load(tiny_whisper, is_short=request.param)


def floats(pcm: np.ndarray) -> Pcm:
    return pcm.astype(np.float32) / np.float32(32768)


def test_speech_is_transcribed_and_its_language_detected_in_one_pass(engine: WhisperEngine) -> None:
    transcript = engine.transcribe(Clip(pcm=floats(speech("my name is john")), language=None))
    assert transcript.text == PHRASES[0]
    assert transcript.language == "en"
    assert transcript.language_probability > 0.9


def test_a_given_language_is_not_detected_again(engine: WhisperEngine) -> None:
    transcript = engine.transcribe(Clip(pcm=floats(speech("bonjour", voice="fr")), language="fr"))
    assert (transcript.language, transcript.language_probability) == ("fr", 1.0)


@pytest.mark.parametrize("phrase", [1, 2, 3, 4])
def test_what_is_heard_decides_what_is_said(engine: WhisperEngine, phrase: int) -> None:
    assert (
        engine.transcribe(Clip(pcm=floats(tone(tone_hz(phrase), 1.0)), language="en")).text == PHRASES[phrase]
    )


def test_as_many_tokens_are_made_as_the_audio_can_hold_with_and_without_context(tiny_whisper: Path) -> None:
    model = Model(WhisperModel(str(tiny_whisper), device="cpu"))
    encoded = model.encode([floats(tone(tone_hz(1), 1.0))], FULL_FRAMES)
    assert max_tokens(0.0, "en") == len(PHRASES[1].split())
    for prompt in ("", PHRASES[2]):
        [said] = model.decode(encoded, [Asked(language="en", seconds=0.0, prompt=prompt)])
        assert said.text == PHRASES[1]


def test_audio_longer_than_a_window_is_transcribed_to_its_end(engine: WhisperEngine) -> None:
    pcm = np.concatenate([tone(tone_hz(1), 28), np.zeros(16000, np.int16), tone(tone_hz(2), 12)])
    assert engine.transcribe(Clip(pcm=floats(pcm), language="en")).text == f"{PHRASES[1]} {PHRASES[2]}"


def test_the_engine_says_what_it_is(engine: WhisperEngine, tiny_whisper: Path) -> None:
    info = engine.info
    assert (info.name, info.model, info.device, info.model_sha256) == (
        "whisper",
        tiny_whisper.name,
        "cpu",
        "cafe",
    )
    assert {"en", "fr"} <= set(info.languages)
    assert not info.is_degraded


def test_an_english_only_model_serves_english_only(tmp_path: Path) -> None:
    engine = load(build_tiny_whisper(tmp_path / "tiny.en", is_multilingual=False))
    assert engine.info.languages == ("en",)
    transcript = engine.transcribe(Clip(pcm=floats(tone(tone_hz(3), 1.0)), language=None))
    assert (transcript.text, transcript.language) == (PHRASES[3], "en")


def test_a_language_that_is_unsure_gives_way_to_the_likely_one() -> None:
    assert likelier(("cy", 0.4), "fr") == ("fr", 0.4)
    assert likelier(("cy", 0.4), "") == ("cy", 0.4)
    assert likelier(("cy", 0.9), "fr") == ("cy", 0.9)


def test_the_words_have_times_in_order_within_the_audio(engine: WhisperEngine) -> None:
    pcm = floats(speech("my name is john and i live in london"))
    transcript = engine.transcribe(Clip(pcm=pcm, language="en", has_words=True))
    assert [word.text for word in transcript.words] == PHRASES[0].split()
    times = [time for word in transcript.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= len(pcm) / RATE_HZ
    assert all(0.9 < word.probability <= 1 for word in transcript.words)
    assert engine.transcribe(Clip(pcm=pcm, language="en")).words == ()


def test_times_of_words_go_on_from_window_to_window(engine: WhisperEngine) -> None:
    said = floats(speech("my name is john and i live in london"))
    pcm = np.concatenate([said, floats(silence(28.5 - len(said) / RATE_HZ)), said])
    words = engine.transcribe(Clip(pcm=pcm, language="en", has_words=True)).words
    assert [word.text for word in words] == 2 * PHRASES[0].split()
    assert words[4].end_s < 5
    assert words[5].start_s >= 27


def test_what_was_said_before_is_context_and_is_not_said_again(engine: WhisperEngine) -> None:
    pcm = floats(tone(tone_hz(3), 1.0))
    before = f"{PHRASES[1]} " * 40  # more than fits
    assert engine.transcribe(Clip(pcm=pcm, language="en", prompt=before)).text == PHRASES[3]


def test_clips_of_several_sessions_in_one_call_are_each_heard_as_alone(engine: WhisperEngine) -> None:
    clips = [
        Clip(pcm=floats(tone(tone_hz(1), 1.0)), language="en"),
        Clip(pcm=floats(tone(tone_hz(4), 2.0)), language="fr", prompt="salut"),
        Clip(pcm=floats(speech("my name is john")), language=None, has_words=True),
        Clip(pcm=floats(tone(tone_hz(2), 9.0)), language="en", has_words=True),
        Clip(pcm=floats(tone(tone_hz(3), 1.0)), language="en", prompt="what time is it in paris"),
        Clip(pcm=floats(tone(tone_hz(1), 32.0)), language="en"),
    ]
    alone = [engine.transcribe(clip) for clip in clips]
    together = engine.transcribe_batch(clips)
    assert [heard.text for heard in together] == [heard.text for heard in alone]
    assert [heard.language for heard in together] == ["en", "fr", "en", "en", "en", "en"]
    assert [len(heard.words) for heard in together] == [0, 0, 5, 5, 0, 0]


def test_the_engine_times_itself_and_says_whether_batches_pay(tiny_whisper: Path) -> None:
    engine = load(tiny_whisper, is_short=True)
    assert (engine.info.call_ms, engine.info.max_batch) == (0, 1)
    engine.measure()
    assert engine.info.call_ms > 0
    assert engine.info.rtf == pytest.approx(engine.info.call_ms / 3000)
    assert engine.info.max_batch in {1, 4}
    told = load(tiny_whisper, batch=3)
    told.measure()
    assert told.info.max_batch == 3


def test_a_short_window_is_less_work(tiny_whisper: Path) -> None:
    class Counting(Scripted):
        def encode(self, clips: Sequence[Pcm], frames: int) -> Any:
            self.frames.append(frames)
            return super().encode(clips, frames)

    for is_short, frames in ((True, 500), (False, FULL_FRAMES)):
        model = Counting(PHRASES[0])
        WhisperEngine(load(tiny_whisper).info, model, is_short=is_short).transcribe(
            Clip(pcm=np.zeros(RATE_HZ, np.float32), language="en")
        )
        assert model.frames == [frames]


class Scripted(Model):
    """Says the given texts, one a call, and is sure of them."""

    def __init__(self, *texts: str, no_speech: float = 0.0, logprob: float = -0.1) -> None:
        self.texts = list(texts)
        self.no_speech, self.logprob = no_speech, logprob
        self.frames: list[int] = []
        self.prompts: list[str] = []

    def encode(self, clips: Sequence[Pcm], frames: int) -> Any:
        return None

    def decode(self, encoded: Any, asked: Sequence[Asked]) -> list[Decoded]:
        self.prompts += [one.prompt for one in asked]
        text = self.texts.pop(0)
        return [Decoded(text=text, tokens=[0] * 8, no_speech=self.no_speech, logprob=self.logprob)]


def scripted(tiny_whisper: Path, model: Scripted, *, is_short: bool = True, **clip: Any) -> Transcript:
    engine = WhisperEngine(load(tiny_whisper).info, model, is_short=is_short)
    return engine.transcribe(Clip(pcm=np.zeros(3 * RATE_HZ, np.float32), language="en", **clip))


LOOP = "turn off the light please. " * 3


def test_a_loop_in_a_short_window_is_settled_by_the_full_one(tiny_whisper: Path) -> None:
    model = Scripted(LOOP, "turn off the light please.")
    assert scripted(tiny_whisper, model, prompt="hello").text == "turn off the light please."
    assert model.prompts == ["hello", ""]


def test_what_was_really_said_twice_is_believed_when_the_full_window_agrees(tiny_whisper: Path) -> None:
    twice = "turn off the light turn off the light"
    assert scripted(tiny_whisper, Scripted(twice, twice)).text == twice
    assert (
        scripted(tiny_whisper, Scripted(twice), is_short=False).text == twice
    )  # there is no better way to ask


def test_a_loop_that_stays_one_is_nothing(tiny_whisper: Path) -> None:
    assert scripted(tiny_whisper, Scripted("and then " * 30, "and then " * 30)).text == ""


@pytest.mark.parametrize(
    ("text", "options", "heard"),
    [
        ("Thanks for watching!", {}, ""),
        ("Sous-titres réalisés par la communauté d'Amara.org", {}, ""),
        ("Thank you.", {"no_speech": 0.5}, ""),
        ("Thank you.", {}, "Thank you."),
        ("What time is it? Thanks for watching!", {}, "What time is it?"),
        ("What time is it?", {"no_speech": 0.9, "logprob": -1.4}, ""),
    ],
)
def test_what_nobody_said_does_not_become_a_transcript(
    tiny_whisper: Path, text: str, options: dict[str, float], heard: str
) -> None:
    assert scripted(tiny_whisper, Scripted(text, **options)).text == heard


def test_a_runtime_that_fails_is_a_failure_of_the_engine(tiny_whisper: Path) -> None:
    class Broken(Scripted):
        def encode(self, clips: Sequence[Pcm], frames: int) -> Any:
            raise RuntimeError("CUDA failed with error out of memory\nat line 3")

    with pytest.raises(EngineFailed, match=r"out of memory$"):
        scripted(tiny_whisper, Broken())


def test_the_cpu_calculates_in_int8_and_float32() -> None:
    assert {"int8", "float32"} <= set(compute_types("cpu"))


@pytest.mark.parametrize("file", ["model.bin", "tokenizer.json"])
def test_a_model_that_cannot_be_loaded_is_refused_by_name(
    tiny_whisper: Path, tmp_path: Path, file: str
) -> None:
    broken = shutil.copytree(tiny_whisper, tmp_path / "broken")
    (broken / file).write_bytes(b"{}")
    with pytest.raises(EngineRefused, match="broken"):
        load(broken)


def test_cuda_that_is_not_there_is_refused(tiny_whisper: Path) -> None:
    from services.stt.whisper import cuda_devices  # noqa: PLC0415 - beside the question that it answers

    if cuda_devices():
        pytest.skip("this machine has CUDA")
    with pytest.raises(EngineRefused, match="cuda:0"):
        load(tiny_whisper, device="cuda:0")
