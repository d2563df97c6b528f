"""How well the words are understood: as the worker hears them, beside one call of the same engine."""

from __future__ import annotations

import asyncio
import re
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np

from benchmarks.ears_engines import Engine
from benchmarks.figures import columns
from benchmarks.listener import Turn, converse, dealt
from benchmarks.speech import RATE_HZ, Pcm, Utterance, floor, loud_part, turns
from services.stt.engine import Clip, Transcriber
from services.stt.sphinx import load_sphinx
from shared.errors import EngineFailed

RECORDING = Path(__file__).resolve().parents[2] / "shared" / "audio" / "two_cities_16k.wav"
READ = 0.3
"""Share of the loudest 10 ms above which a reading goes on: breath, lips and the room stay below it."""
SESSIONS = 2
"""That listen at once: more than pocketsphinx carries on two cores would measure something else."""
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Errors:
    """Words, and how many of them were wrong, turn by turn."""

    name: str
    words: tuple[int, ...]
    streamed: tuple[int, ...]
    whole: tuple[int, ...]
    lost: int = 0
    """Turns without an answer, which are counted nowhere else."""

    def share(self, wrong: Sequence[int]) -> float:
        """Returns the word error rate, 0..1 and above."""
        return sum(wrong) / max(1, sum(self.words))

    def worse(self) -> tuple[float, float, float]:
        """Returns how much worse the streamed text is, with its 95 % interval (a bootstrap over turns)."""
        words, more = np.array(self.words), np.array(self.streamed) - np.array(self.whole)
        drawn = np.random.default_rng(0).integers(0, len(words), (RESAMPLES, len(words)))
        low, high = np.percentile(more[drawn].sum(axis=1) / words[drawn].sum(axis=1), [2.5, 97.5])
        return float(more.sum() / words.sum()), float(low), float(high)


async def understood(engine: Engine, *, spoken: int, readings: int) -> list[Errors]:
    """Lets the worker hear single sentences and, where it is at hand, the recorded reading so often.

    Raises:
        EngineFailed: of one of them no turn was answered.
    """
    sentences = turns(spoken, seed=2)
    heard = await _heard(engine, f"synthetic speech, {spoken} turns", sentences)
    reading = recording()
    if reading is None or not readings:
        return [heard]
    each = [later(reading, number) for number in range(readings)]
    name = f"recorded reading of {len(reading.pcm) / RATE_HZ:.0f} s, {readings} times"
    return [heard, await _heard(engine, name, each)]


async def _heard(engine: Engine, name: str, said: Sequence[Utterance]) -> Errors:
    async with engine.ours(said) as place:
        talk = await converse(place, dealt(said, SESSIONS))
    if not talk.turns:
        raise EngineFailed("ears", f"nothing was understood of {name}")
    return await asyncio.to_thread(compare, name, talk.turns, talk.lost)


def compare(name: str, heard: Sequence[Turn], lost: int = 0) -> Errors:
    """Compares what the worker understood, turn by turn, with the same engine on the whole audio."""
    engine = load_sphinx()
    try:
        whole = [transcribed(engine, turn.utterance.pcm) for turn in heard]
    finally:
        engine.close()
    references = [turn.utterance.text for turn in heard]
    return Errors(
        name,
        tuple(len(reference.split()) for reference in references),
        tuple(wrong(turn.utterance.text, turn.text) for turn in heard),
        tuple(wrong(reference, text) for reference, text in zip(references, whole, strict=True)),
        lost,
    )


def wrong(reference: str, text: str) -> int:
    """Returns how many words were replaced, left out or added."""
    found = jiwer.process_words(reference, text)
    return found.substitutions + found.deletions + found.insertions


def transcribed(engine: Transcriber, pcm: Pcm) -> str:
    """Returns what the engine makes of the whole audio in one call."""
    samples = pcm.astype(np.float32) / np.float32(32768)
    return engine.transcribe(Clip(pcm=samples, language="en")).text


def recording() -> Utterance | None:
    """Returns the recorded reading, or None where it is not at hand."""
    notes = RECORDING.with_name("README.md")
    if not RECORDING.is_file() or not notes.is_file():
        return None
    with wave.open(str(RECORDING)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    spoken = re.search(r'"(.+?)"', notes.read_text(encoding="utf-8"))
    if spoken is None:
        return None
    text = " ".join(re.sub(r"[^a-z' ]", " ", spoken.group(1).lower()).split())
    return Utterance(text, pcm, (), *loud_part(pcm, above=READ))


def later(reading: Utterance, number: int) -> Utterance:
    """Returns the reading behind some soft noise: what is cut into blocks is cut elsewhere each time."""
    before = floor(number * (RATE_HZ // 4 + 37), seed=number)
    pcm = np.concatenate((before, reading.pcm))
    return Utterance(reading.text, pcm, (), reading.start + len(before), reading.end + len(before))


def error_table(errors: Sequence[Errors]) -> str:
    """Returns the rates as a table."""
    rows = []
    for each in errors:
        more, low, high = (100 * share for share in each.worse())
        rows.append(
            (
                each.name,
                f"{sum(each.words)}",
                f"{100 * each.share(each.streamed):.1f} %",
                f"{100 * each.share(each.whole):.1f} %",
                f"{more:+.1f} ({low:+.1f} … {high:+.1f})",
                f"{each.lost}",
            )
        )
    titles = (
        "pocketsphinx",
        "words",
        "EVA, streamed",
        "whole audio",
        "worse by, points (95 %)",
        "lost turns",
    )
    return columns(titles, rows)
