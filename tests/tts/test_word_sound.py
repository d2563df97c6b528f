"""From a text to the times of its written words: in a segment's sound each is heard when it is told.

The voice makes tones that are read back, and here tells how long each of them is, as a streamed Piper does.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from services.tts import piper
from services.tts.chain import Chain
from services.tts.engine import Line, Phone, Sound
from services.tts.lanes import Listener
from services.tts.segment import Made, Orders, make
from services.tts.speech_text import passages
from shared.audio import Samples, from_pcm16
from shared.errors import EngineFailed
from shared.messages import AudioFormat, Synthesize, WordTime
from tests.models import tiny_voice

RATE_HZ = 22050
MARGIN = 300
"""Samples around a word: what reads tones back needs a whole window of them."""
ENGLISH = "My blue boat cost $12.50, and it goes home on Sunday. **Nobody** knows 3 of them."
FRENCH = "Le bateau bleu coûte 12,50 € et rentre à la maison. Personne ne le sait."


@dataclasses.dataclass(frozen=True)
class Telling:
    """The small voice, which tells its durations; at will only of its first words, or it breaks off."""

    voice: piper.PiperVoice
    breaks_off_after_s: float | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self.voice, name)

    def speak(self, line: Line) -> Iterator[Sound]:
        sentences = self.voice.vits.phonemize(line.text)
        symbols = [symbol for sentence in sentences for symbol in ("^", *sentence, "$")]
        frames = [tiny_voice.frames(symbol) for symbol in symbols]
        ends_s = [end * tiny_voice.HOP / self.voice.rate_hz for end in itertools.accumulate(frames)]
        phones = tuple(
            Phone(symbol=" " if symbol in "^$" else symbol, start_s=start_s, end_s=end_s)
            for symbol, start_s, end_s in zip(symbols, [0.0, *ends_s], ends_s, strict=False)
        )
        samples = np.concatenate([sound.samples for sound in self.voice.speak(line)])
        for begin in range(0, len(samples), 4000):
            if self.breaks_off_after_s is not None and begin > self.breaks_off_after_s * self.voice.rate_hz:
                raise EngineFailed("piper", "on purpose")
            yield Sound(samples=samples[begin : begin + 4000], phones=phones if not begin else ())


@dataclasses.dataclass(frozen=True)
class OneVoice:
    """An engine of one voice."""

    voices_: tuple[Telling, ...]
    name: str = "piper"
    device: str = "cpu"
    is_degraded: bool = False

    def voices(self) -> tuple[Telling, ...]:
        return self.voices_

    def voice(self, language: str, wanted: str) -> Telling:
        del language, wanted
        return self.voices_[0]


@pytest.fixture(scope="module")
def english(tiny_voices: Path) -> piper.PiperVoice:
    return loaded(tiny_voices, "en_US-tiny-low")


@pytest.fixture(scope="module")
def french(tiny_voices: Path) -> piper.PiperVoice:
    return loaded(tiny_voices, "fr_FR-tiny-low")


def loaded(folder: Path, name: str) -> piper.PiperVoice:
    return piper.load_voice(folder / "models" / "tts" / name / f"{name}.onnx", device="cpu", threads=1)


def made(text: str, *voices: Telling, audio: AudioFormat) -> list[Made]:
    """The chunks of a segment; each voice is the next link of the chain."""
    chain = Chain([OneVoice((voice,)) for voice in voices], time.monotonic)  # type: ignore[list-item]
    item = Synthesize(
        gw="g", sid="s", turn=1, attempt=1, segment=0, text=text, audio=audio, remaining_ms=9000,
        language=str(voices[0].language),
    )  # fmt: skip
    return list(make(chain, item, Orders(chunk_ms=60, listener=Listener(), asked=[])))


def words(chunks: list[Made]) -> list[WordTime]:
    """The words of a segment, the later telling of each."""
    found: list[WordTime] = []
    for marks in (marks for chunk in chunks for marks in chunk.marks if marks.words):
        assert not marks.is_estimated
        found = [word for word in found if word.begin < marks.words[0].begin] + list(marks.words)
    return found


def decoded(chunks: list[Made]) -> Samples:
    """The samples as a client hears them."""
    if chunks[0].chunk.codec == "pcm":
        return from_pcm16(b"".join(chunk.chunk.data for chunk in chunks))
    codec = av.AudioCodecContext.create(chunks[0].chunk.codec, "r")
    packets = [packet for chunk in chunks for packet in chunk.chunk.packets or (chunk.chunk.data,)]
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    return np.concatenate(
        [
            out.to_ndarray()[0]
            for packet in packets
            for frame in codec.decode(av.Packet(packet))
            for out in resampler.resample(frame)
        ]
    )


def expected(voice: piper.PiperVoice, text: str, word: WordTime) -> list[str]:
    """The sounds of what a written word is spoken as."""
    for passage in passages(text, voice.language):
        for spoken in passage.words:
            if spoken.begin == word.begin:
                said = passage.text[spoken.spoken_begin : spoken.spoken_end]
                return tiny_voice.sounding([it for part in voice.vits.phonemize(said) for it in part])
    raise AssertionError(text[word.begin : word.end])


def likeness(heard: list[str], wanted: list[str]) -> float:
    """The share of sounds that stand at the same place, from either end."""
    ahead = sum(one == other for one, other in zip(heard, wanted, strict=False))
    back = sum(one == other for one, other in zip(heard[::-1], wanted[::-1], strict=False))
    return max(ahead, back) / max(len(heard), len(wanted), 1)


def heard(samples: Samples, rate_hz: int, word: WordTime, told_hz: int) -> list[str]:
    begin, end = (at * rate_hz // told_hz for at in (word.from_sample, word.to_sample))
    return tiny_voice.decode(samples[max(0, begin - MARGIN) : end + MARGIN], rate_hz)


@pytest.mark.parametrize(
    "audio",
    [
        AudioFormat(rate_hz=RATE_HZ),
        AudioFormat(codec="mp3", rate_hz=24000),
        AudioFormat(codec="opus", rate_hz=48000),
    ],
    ids=lambda audio: audio.codec,
)
def test_each_word_is_heard_when_it_is_told(english: piper.PiperVoice, audio: AudioFormat) -> None:
    chunks = made(ENGLISH, Telling(english), audio=audio)
    told, samples = words(chunks), decoded(chunks)
    assert [ENGLISH[word.begin : word.end] for word in told] == [
        "My", "blue", "boat", "cost", "$12.50", "and", "it", "goes", "home", "on", "Sunday", "Nobody",
        "knows", "3", "of", "them",
    ]  # fmt: skip
    alike = [
        likeness(heard(samples, RATE_HZ, word, chunks[0].chunk.rate_hz), expected(english, ENGLISH, word))
        for word in told
    ]
    assert sum(alike) / len(alike) > 0.8, alike


def test_in_french_too(french: piper.PiperVoice) -> None:
    chunks = made(FRENCH, Telling(french), audio=AudioFormat(rate_hz=16000))
    told, samples = words(chunks), decoded(chunks)
    alike = [likeness(heard(samples, 16000, word, 16000), expected(french, FRENCH, word)) for word in told]
    assert "12,50 €" in [FRENCH[word.begin : word.end] for word in told]
    assert len(told) == 14
    assert sum(alike) / len(alike) > 0.8, alike


def test_a_voice_that_goes_on_for_another_tells_the_rest_in_its_own_time(english: piper.PiperVoice) -> None:
    broken, other = Telling(english, breaks_off_after_s=1.0), Telling(english)
    chunks = made(ENGLISH, broken, other, audio=AudioFormat(rate_hz=RATE_HZ))
    told, samples = words(chunks), decoded(chunks)
    assert len(told) == 16, "none is lost, none is told twice"
    times = [at for word in told for at in (word.from_sample, word.to_sample)]
    assert times == sorted(times)
    alike = [
        likeness(heard(samples, RATE_HZ, word, RATE_HZ), expected(english, ENGLISH, word)) for word in told
    ]
    assert sum(alike) / len(alike) > 0.8, alike
