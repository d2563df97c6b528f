"""Speech made on the spot by the offline voice, with its words known: what the benchmarks of the ears hear.

Every utterance lies in soft noise of its own, so that no two stretches of audio are alike: an engine double
(``benchmarks.known_ears``) finds out from a clip's samples which words are in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks import espeak

Pcm = npt.NDArray[np.int16]
Phrase = tuple[str, str, float]
"""Text, voice and speed."""

RATE_HZ = 16000
WORDS_PER_MINUTE = 175
LEAD_S, TAIL_S = 0.3, 0.2
FLOOR = 12.0
"""Standard deviation of the noise under everything, in int16 units: about -69 dB of full scale."""
QUIET = 0.02
"""Share of the loudest 10 ms below which sound counts as over."""
VOICES = ("en-us", "en-us+f3", "en", "en-us+m3", "en-gb-x-rp")
SPEEDS = (0.85, 1.0, 1.15)

SENTENCES = (
    "what time is it in london",
    "please turn the lights off in the kitchen",
    "can you tell me a short story about the sea",
    "i would like to hear some music now",
    "how far is it to the next station",
    "remind me to call my brother tomorrow morning",
    "what is the weather like today",
    "the meeting was moved to the second week of april",
    "do you know a good place to eat near here",
    "i think we should leave before the rain begins",
    "who wrote the book that you told me about",
    "please open the window in the living room",
    "that is not what i asked you to do",
    "where did i leave the keys of the car",
    "my sister has bought a house in the country",
    "how many people live in this city",
    "we can talk about the money later",
    "set the alarm for seven in the morning",
    "is there anything else that i should know",
    "the old man walked slowly down the street",
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """Some words; samples from the start of their utterance."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sound:
    """A phrase that was spoken; its words count from its first sample."""

    pcm: Pcm
    words: tuple[Spoken, ...]


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one person says in one go, with quiet before and behind it."""

    text: str
    pcm: Pcm
    words: tuple[Spoken, ...]
    start: int
    """Where the sound begins, samples."""
    end: int
    """Where it ends."""

    @property
    def speech_s(self) -> float:
        """Seconds from its first to its last sound."""
        return (self.end - self.start) / RATE_HZ


_spoken: dict[Phrase, Sound] = {}


def prepare(phrases: Iterable[Phrase]) -> None:
    """Lets the offline voice speak all of them in one go; each is kept."""
    missing = [phrase for phrase in dict.fromkeys(phrases) if phrase not in _spoken]
    asked = [
        (espeak.Voice(voice, words_per_minute=round(WORDS_PER_MINUTE * speed)), text)
        for text, voice, speed in missing
    ]
    for phrase, spoken in zip(missing, espeak.speak(asked) if asked else [], strict=True):
        _spoken[phrase] = trimmed(phrase[0], spoken)


def said(text: str, *, voice: str = "en-us", speed: float = 1.0) -> Sound:
    """Returns ``text`` spoken at 16 kHz, without any quiet around it."""
    phrase = text, voice, speed
    prepare([phrase])
    return _spoken[phrase]


def trimmed(text: str, spoken: espeak.Spoken) -> Sound:
    """Cuts off what is quiet at both ends; tells when each word was spoken."""
    begin, end = loud_part(spoken.pcm)
    pcm = to_pcm(32768 * spoken.pcm[begin:end])
    if spoken.words != tuple(text.split()):  # some words were spoken as one: each gets its share
        return Sound(pcm, spread(text, len(pcm)))
    borders = [0, *(max(0, min(start - begin, len(pcm))) for start in spoken.starts[1:]), len(pcm)]
    words = (
        Spoken(word, *ends) for word, ends in zip(spoken.words, itertools.pairwise(borders), strict=True)
    )
    return Sound(pcm, tuple(words))


def loud_part(
    pcm: npt.NDArray[np.floating] | npt.NDArray[np.int16], *, above: float = QUIET
) -> tuple[int, int]:
    """Returns where the sound begins and ends, samples; it is louder than so much of the loudest 10 ms."""
    step = RATE_HZ // 100
    blocks = pcm[: len(pcm) // step * step].reshape(-1, step).astype(np.float64)
    loudness = np.sqrt(np.square(blocks).mean(axis=1))
    loud = np.flatnonzero(loudness > above * loudness.max())
    return step * int(loud[0]), step * (int(loud[-1]) + 1)


def floor(samples: int, seed: int) -> Pcm:
    """Returns soft white noise."""
    return np.rint(np.random.default_rng(seed).normal(0.0, FLOOR, samples)).astype(np.int16)


def to_pcm(sound: npt.NDArray[np.generic]) -> Pcm:
    """Returns int16 samples, clipped."""
    clipped: Pcm = np.clip(sound, -32768, 32767).astype(np.int16)
    return clipped


def over_noise(sound: Pcm, seed: int) -> Pcm:
    """Lays the sound over noise of its own."""
    mixed = sound.astype(np.int32) + floor(len(sound), seed)
    return to_pcm(mixed)


def utterance(
    phrases: Sequence[str],
    *,
    pauses_s: Sequence[float] = (),
    voice: str = "en-us",
    speed: float = 1.0,
    seed: int,
) -> Utterance:
    """Returns phrases spoken one after the other, with a pause between any two."""
    pieces: list[Pcm] = [np.zeros(int(LEAD_S * RATE_HZ), np.int16)]
    words: list[Spoken] = []
    position = len(pieces[0])
    for phrase, pause_s in itertools.zip_longest(phrases, pauses_s, fillvalue=0.0):
        sound = said(str(phrase), voice=voice, speed=speed)
        words += [Spoken(word.text, position + word.start, position + word.end) for word in sound.words]
        silence = np.zeros(int(float(pause_s) * RATE_HZ), np.int16)
        pieces += [sound.pcm, silence]
        position += len(sound.pcm) + len(silence)
    pieces.append(np.zeros(int(TAIL_S * RATE_HZ), np.int16))
    pcm = over_noise(np.concatenate(pieces), seed)
    return Utterance(" ".join(phrases), pcm, tuple(words), words[0].start, words[-1].end)


def spread(text: str, samples: int) -> tuple[Spoken, ...]:
    """Gives each word its share of the sound, by its letters: about right."""
    words = text.split()
    weights = np.array([len(word) + 1.5 for word in words])
    borders = np.rint(np.concatenate([[0.0], np.cumsum(weights / weights.sum())]) * samples).astype(int)
    return tuple(
        Spoken(word, int(first), int(last))
        for word, (first, last) in zip(words, itertools.pairwise(borders), strict=True)
    )


def turns(count: int, *, seed: int = 0) -> list[Utterance]:
    """Returns ``count`` single sentences in several voices and speeds, the same for the same seed."""
    phrases = [
        (
            SENTENCES[number % len(SENTENCES)],
            VOICES[(number + number // len(SENTENCES)) % len(VOICES)],
            SPEEDS[(number // 3) % len(SPEEDS)],
        )
        for number in range(count)
    ]
    prepare(phrases)
    mixed = [
        utterance([text], voice=voice, speed=speed, seed=1000 * seed + number)
        for number, (text, voice, speed) in enumerate(phrases)
    ]
    return [mixed[index] for index in np.random.default_rng(seed).permutation(count)]


def long_turn(seconds: float, *, voice: str, seed: int) -> Utterance:
    """Returns about so many seconds of speech that goes on; its pauses are 0.15 to 0.28 s."""
    generator = np.random.default_rng(seed)
    prepare((sentence, voice, 1.0) for sentence in SENTENCES)
    phrases: list[str] = []
    left = int(seconds * RATE_HZ)
    for sentence in itertools.cycle(map(str, generator.permutation(SENTENCES))):
        sound = said(sentence, voice=voice)
        phrases.append(" ".join(word.text for word in sound.words if word.start < left))
        left -= len(sound.pcm) + RATE_HZ // 5
        if left <= 0:
            break
    pauses = generator.uniform(0.15, 0.28, len(phrases) - 1)
    return utterance(phrases, pauses_s=[float(pause) for pause in pauses], voice=voice, seed=seed)


def cough(seconds: float, seed: int) -> Pcm:
    """Returns a burst of coloured noise that begins hard and dies away, as a cough does."""
    generator = np.random.default_rng(seed)
    length = int(seconds * RATE_HZ)
    white = generator.normal(0.0, 1.0, length + 8)
    coloured = np.convolve(white, np.array([1, 2, 3, 3, 2, 1, 0, -1]) / 4, mode="valid")[:length]
    rise = np.minimum(1.0, np.arange(length) / (0.01 * RATE_HZ))
    envelope = rise * np.exp(-4.0 * np.arange(length) / length)
    return to_pcm(9000.0 * coloured * envelope)
