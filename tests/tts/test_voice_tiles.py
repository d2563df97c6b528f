"""A voice in parts on several threads: windows in tiles side by side, the next words encoded meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pytest

from services.tts import piper
from services.tts.device import OutOfMemory
from services.tts.engine import Line
from services.tts.piper_model import Array, Borders, Encoded, SplitModel, Voicing
from services.tts.piper_stream import Sentence
from services.tts.threads import Threads
from services.tts.windows import Window
from shared.audio import Samples
from tests.models import tiny_vits

BOUND = 1e-5
WAIT_S = 60.0
BESIDE = "eva-tts-tile"
T = TypeVar("T")
P = ParamSpec("P")
QUIET = Voicing(noise=0.0, length=1.0, noise_w=0.0)
SHORT = "Hello there, this is a test of the voice today."
LONG = (
    "When the evening comes, and the lights begin to shine over the water, we like to sit on the old bench "
    "near the bridge and talk about all that happened in the course of a long day"
)
VOICES: dict[str, dict[str, Any]] = {
    "fast": {},
    "fine": {"shape": tiny_vits.FINE, "seed": 2},
    "several speakers": {"speakers": ("anna", "ben"), "seed": 3},
    "without a flow": {"kind": "flowless", "seed": 4},
    "narrow": {"channels": 8, "seed": 5},
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vits.build(tmp_path_factory.mktemp("vits") / "en_US-vits-low.onnx")


@pytest.fixture
def voice(path: Path) -> piper.PiperVoice:
    return piper.load_voice(path, device="cpu", threads=2)


def parts_of(voice: piper.PiperVoice) -> SplitModel:
    assert voice.parts is not None
    return voice.parts


def whole(voice: piper.PiperVoice, text: str) -> Samples:
    voice.whole.open()  # however long this machine takes
    return np.concatenate([sound.samples for sound in voice.twin().speak(Line(text=text))])


def sentence(voice: piper.PiperVoice, text: str, parts: Any = None, *, is_crowded: bool = False) -> Sentence:
    (phonemes,) = voice.vits.phonemize(text)
    id_map = voice.vits.config.phoneme_id_map
    return Sentence(parts or parts_of(voice), phonemes, id_map, QUIET, is_crowded=is_crowded)


def is_beside() -> bool:
    return threading.current_thread().name.startswith(BESIDE)


def until_idle(parts: SplitModel) -> None:
    give_up_s = time.monotonic() + WAIT_S
    while parts._beside.busy:
        assert time.monotonic() < give_up_s, "a thread waits for something"
        time.sleep(0.001)


class Watched:
    """A part's session of which a test sees every run, and which may fail."""

    def __init__(self, parts: SplitModel, name: str, seen: Callable[[Mapping[str, Array]], None]) -> None:
        self._inner, self._seen = parts._sessions[name], seen
        parts._sessions[name] = self  # type: ignore[assignment]

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array], *, is_retry: bool = False) -> Any:
        self._seen(inputs)
        return self._inner.run(outputs, inputs, is_retry=is_retry)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("kind", VOICES)
def test_tiles_side_by_side_are_the_whole_sentence(tmp_path: Path, kind: str, threads: int) -> None:
    voice = piper.load_voice(
        tiny_vits.build(tmp_path / "en_US-vits-low.onnx", **VOICES[kind]), device="cpu", threads=threads
    )
    beside: list[bool] = []
    Watched(parts_of(voice), "decoder", lambda _: beside.append(is_beside()))
    for speaker in (voice, *voice.speakers()):
        for text in (SHORT, LONG):
            expected = whole(speaker, text)
            sound = np.concatenate([sound.samples for sound in speaker.speak(Line(text=text))])
            assert len(sound) == len(expected)
            assert np.abs(sound - expected).max() <= BOUND * np.abs(expected).max()
    assert {True, False} <= set(beside)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_window_has_a_tile_for_each_thread(path: Path, threads: int) -> None:
    voice = piper.load_voice(path, device="cpu", threads=threads)
    parts, frames = parts_of(voice), []
    columns = np.random.default_rng(1).normal(size=(1, tiny_vits.CHANNELS, 80)).astype(np.float32)
    section = parts.cut.decoder
    expected = parts.decode(columns, Window(begin=0, end=80, skip=0, keep=80), {})
    until_idle(parts)
    Watched(parts, "decoder", lambda inputs: frames.append(inputs[section.source].shape[2]))
    window = Window(begin=10, end=70, skip=12, keep=36)
    made = parts.decode(columns, window, {})
    assert made.shape == (1, 36 * section.hop)
    assert np.abs(made - expected[:, 22 * section.hop : 58 * section.hop]).max() <= BOUND
    assert frames == [36 // threads + 2 * section.margin] * threads


# The next words


class Told:
    """A voice's parts that note what they are asked for."""

    def __init__(self, parts: SplitModel) -> None:
        self._parts = parts
        self.cut, self.is_fixed = parts.cut, False
        self.asked: list[str] = []
        self.ids: list[Sequence[int]] = []

    def text(self, ids: Sequence[int], voicing: Voicing) -> Encoded:
        self.asked.append("text")
        self.ids.append(ids)
        return self._parts.text(ids, voicing)

    def text_ahead(self, ids: Sequence[int], voicing: Voicing) -> Callable[[], Encoded] | None:
        self.asked.append("ahead")
        self.ids.append(ids)
        return self._parts.text_ahead(ids, voicing)

    def flow(self, columns: Array, borders: Borders, *, is_retry: bool = False) -> Array:
        return self._parts.flow(columns, borders, is_retry=is_retry)

    def decode(self, columns: Array, window: Window, borders: Borders, *, is_retry: bool = False) -> Array:
        self.asked.append("sound")
        return self._parts.decode(columns, window, borders, is_retry=is_retry)


def test_the_next_words_are_encoded_ahead_behind_the_first_sound(voice: piper.PiperVoice) -> None:
    told = Told(parts_of(voice))
    sound = np.concatenate(list(sentence(voice, LONG, told).pieces()))
    expected = whole(voice, LONG)
    assert np.abs(sound - expected).max() <= BOUND * np.abs(expected).max()
    assert told.asked[:3] == ["text", "sound", "ahead"]
    assert told.asked.count("text") == 1
    assert told.asked.count("ahead") > 1
    alone = Told(parts_of(voice))
    list(sentence(voice, LONG, alone, is_crowded=True).pieces())
    assert alone.ids == told.ids


def test_until_somebody_asks_for_the_second_piece_nothing_is_encoded_ahead(voice: piper.PiperVoice) -> None:
    told = Told(parts_of(voice))
    pieces = sentence(voice, LONG, told).pieces()
    next(pieces)
    assert told.asked == ["text", "sound"]
    next(pieces)
    assert told.asked[:3] == ["text", "sound", "ahead"]


def test_where_others_are_spoken_to_nothing_is_encoded_ahead(voice: piper.PiperVoice) -> None:
    told = Told(parts_of(voice))
    list(sentence(voice, LONG, told, is_crowded=True).pieces())
    assert "ahead" not in told.asked
    assert told.asked.count("text") > 2


def test_on_one_thread_nothing_is_encoded_ahead(path: Path) -> None:
    voice = piper.load_voice(path, device="cpu", threads=1)
    parts = parts_of(voice)
    list(sentence(voice, LONG).pieces())
    assert parts.text_ahead([1, 2, 3], QUIET) is None
    assert parts._beside.busy == 0


# What goes wrong


class Prompt(Threads):
    """Threads that are done with a call before anyone asks for it."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = super().submit(fn, *args, **kwargs)
        wait([future], WAIT_S)
        return future


@pytest.fixture
def prompt(voice: piper.PiperVoice) -> piper.PiperVoice:
    parts_of(voice)._beside = Prompt(1, BESIDE)
    return voice


def failing(error: Exception, *, beside: bool = True) -> Callable[[Mapping[str, Array]], None]:
    def run(_: Mapping[str, Array]) -> None:
        if is_beside() == beside:
            raise error

    return run


def test_what_a_tile_raises_reaches_the_caller(prompt: piper.PiperVoice) -> None:
    Watched(parts_of(prompt), "decoder", failing(ValueError("a tile")))
    with pytest.raises(ValueError, match="a tile"):
        list(sentence(prompt, SHORT).pieces())
    until_idle(parts_of(prompt))


def test_what_the_caller_s_own_tile_raises_leaves_no_other_waiting(prompt: piper.PiperVoice) -> None:
    Watched(parts_of(prompt), "decoder", failing(ValueError("a tile"), beside=False))
    with pytest.raises(ValueError, match="a tile"):
        list(sentence(prompt, SHORT).pieces())
    until_idle(parts_of(prompt))


def test_a_tile_without_room_makes_the_window_smaller(prompt: piper.PiperVoice) -> None:
    expected = whole(prompt, SHORT)
    Watched(parts_of(prompt), "decoder", failing(OutOfMemory("no room")))
    pieces = list(sentence(prompt, SHORT).pieces())
    assert np.abs(np.concatenate(pieces) - expected).max() <= BOUND * np.abs(expected).max()
    assert len(pieces[0]) == 4 * 256


def test_a_tile_without_room_in_a_smaller_window_too_ends_the_sentence(prompt: piper.PiperVoice) -> None:
    Watched(parts_of(prompt), "decoder", failing(OutOfMemory("no room"), beside=False))
    with pytest.raises(OutOfMemory):
        list(sentence(prompt, SHORT).pieces())
    until_idle(parts_of(prompt))


@pytest.mark.parametrize("error", [ValueError("words"), OutOfMemory("words")])
def test_what_encoding_ahead_raises_reaches_the_caller_behind_the_sound_that_is_there(
    prompt: piper.PiperVoice, error: Exception
) -> None:
    Watched(parts_of(prompt), "text", failing(error))
    pieces = sentence(prompt, LONG).pieces()
    assert len(next(pieces)) > 0
    with pytest.raises(type(error), match="words"):
        list(pieces)
    until_idle(parts_of(prompt))


def test_an_abandoned_sentence_leaves_no_thread_waiting(voice: piper.PiperVoice) -> None:
    for count in (1, 2, 3):
        pieces = sentence(voice, LONG).pieces()
        for _ in range(count):
            next(pieces)
        assert isinstance(pieces, Generator)
        pieces.close()
        until_idle(parts_of(voice))
    expected = whole(voice, LONG)
    sound = np.concatenate(list(sentence(voice, LONG).pieces()))
    assert np.abs(sound - expected).max() <= BOUND * np.abs(expected).max()


def test_who_finds_the_other_thread_busy_makes_all_of_the_window(voice: piper.PiperVoice) -> None:
    parts, may_end = parts_of(voice), threading.Event()
    blocked = parts._beside.submit(may_end.wait, WAIT_S)
    expected = whole(voice, LONG)
    sound = np.concatenate(list(sentence(voice, LONG).pieces()))
    assert np.abs(sound - expected).max() <= BOUND * np.abs(expected).max()
    assert not blocked.done()
    may_end.set()
    until_idle(parts)


class SeeminglyFree(Threads):
    """Threads that somebody takes just behind the question whether they are free."""

    @property
    def busy(self) -> int:
        return 0


def test_a_tile_that_nobody_has_begun_is_made_by_who_waits_for_it(voice: piper.PiperVoice) -> None:
    parts, may_end, beside = parts_of(voice), threading.Event(), []
    parts._beside = SeeminglyFree(1, BESIDE)
    blocked = parts._beside.submit(may_end.wait, WAIT_S)
    Watched(parts, "decoder", lambda _: beside.append(is_beside()))
    expected = whole(voice, LONG)
    sound = np.concatenate(list(sentence(voice, LONG).pieces()))
    assert np.abs(sound - expected).max() <= BOUND * np.abs(expected).max()
    assert len(beside) > 4
    assert not any(beside)
    assert not blocked.done()
    may_end.set()


def test_several_listeners_share_the_threads(voice: piper.PiperVoice) -> None:
    expected, listeners = whole(voice, LONG), Threads(4, "listener")
    made = [listeners.submit(lambda: np.concatenate(list(sentence(voice, LONG).pieces()))) for _ in range(4)]
    for future in made:
        assert np.abs(future.result(WAIT_S) - expected).max() <= BOUND * np.abs(expected).max()
    until_idle(parts_of(voice))
    listeners.shutdown()
