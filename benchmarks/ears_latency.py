"""From the last sound of a turn to its final, EVA beside the peer; and how well the words were understood."""

from __future__ import annotations

import re
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np

from benchmarks.ears_engines import Engine
from benchmarks.figures import Figure, columns, figure
from benchmarks.listener import Talk, Turn, converse
from benchmarks.speech import RATE_HZ, Pcm, Utterance, loud_part, turns
from services.stt.engine import Clip, Transcriber
from services.stt.sphinx import load_sphinx

RECORDING = Path(__file__).resolve().parents[2] / "shared" / "audio" / "two_cities_16k.wav"


@dataclass(frozen=True, slots=True)
class Latency:
    """One engine."""

    engine: Engine
    ours: Talk
    peer: Talk


async def latency(engine: Engine, *, sessions: int, ours: int, peer: int) -> Latency:
    """Lets EVA hear ``ours`` turns and the peer the first ``peer`` of them, in so many sessions at once."""
    said = turns(ours, seed=1)
    async with engine.ours(said) as place:
        by_us = await converse(place, dealt(said, sessions))
    async with engine.peer(said[:peer]) as place:
        by_peer = await converse(place, dealt(said[:peer], sessions))
    return Latency(engine, by_us, by_peer)


def dealt(said: Sequence[Utterance], sessions: int) -> list[Sequence[Utterance]]:
    """Deals utterances out to so many people."""
    return [said[number::sessions] for number in range(sessions)]


def figures(measured: Latency) -> list[Figure]:
    """Returns the whole and its two parts, of both."""
    lines: list[Figure] = []
    for who, talk in (("EVA", measured.ours), ("peer", measured.peer)):
        if not talk.turns:
            continue
        name = f"{measured.engine.name}, {who}"
        lines += [
            figure(f"{name}: speech end → Final", [turn.total_ms for turn in talk.turns]),
            figure(f"{name}: waiting", [turn.last.endpoint_ms for turn in talk.turns]),
            figure(f"{name}: computing", [turn.last.transcribe_ms for turn in talk.turns]),
        ]
    return lines


def shares(measured: Sequence[Latency]) -> str:
    """Returns what is no latency: how often the text was ready, who decided, and what it cost."""
    rows = []
    for each in measured:
        for who, talk in (("EVA", each.ours), ("peer", each.peer)):
            layers = [turn.last.ended_by for turn in talk.turns]
            by = ", ".join(f"{name} {layers.count(name)}" for name in sorted(set(layers)))
            cut = sum(len(turn.finals) > 1 for turn in talk.turns)
            rows.append(
                (
                    f"{each.engine.name}, {who}",
                    f"{len(talk.turns)}",
                    percent(ready(talk)),
                    by if who == "EVA" else "silence (fixed)",
                    f"{cut}",
                    f"{talk.lost}",
                    f"{talk.cpu_s / max(1, len(talk.turns)):.2f}",
                )
            )
    titles = ("", "N", "text ready at the decision", "decided by", "cut in", "lost", "CPU s a turn")
    return columns(titles, rows)


def ready(talk: Talk) -> float:
    """Returns the share of turns whose text was there when the end was decided."""
    return sum(turn.last.was_ready for turn in talk.turns) / max(1, len(talk.turns))


def percent(share: float) -> str:
    """Returns a share for a reader."""
    return f"{100 * share:.1f} %"


@dataclass(frozen=True, slots=True)
class Errors:
    """Word error rates, 0..1 and above, over ``words`` words of reference."""

    name: str
    words: int
    streamed: float
    whole: float


def synthetic_errors(heard: Sequence[Turn]) -> Errors:
    """Compares what the worker understood, turn by turn, with the same engine on each whole utterance."""
    engine = load_sphinx()
    references = [turn.utterance.text for turn in heard]
    try:
        whole = [understood(engine, turn.utterance.pcm) for turn in heard]
    finally:
        engine.close()
    streamed = [turn.text for turn in heard]
    words = sum(len(text.split()) for text in references)
    name = f"synthetic speech, {len(heard)} turns"
    return Errors(name, words, jiwer.wer(references, streamed), jiwer.wer(references, whole))


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
    start, end = loud_part(pcm)
    return Utterance(text, pcm, (), start, end)


def recorded_errors(turn: Turn) -> Errors:
    """Compares the streamed recording with the same engine on the whole of it."""
    engine = load_sphinx()
    try:
        whole = understood(engine, turn.utterance.pcm)
    finally:
        engine.close()
    reference = turn.utterance.text
    name = f"recorded reading, {len(turn.utterance.pcm) / RATE_HZ:.0f} s, {len(turn.finals)} turns"
    words = len(reference.split())
    return Errors(name, words, jiwer.wer(reference, turn.text), jiwer.wer(reference, whole))


def understood(engine: Transcriber, pcm: Pcm) -> str:
    """Returns what the engine makes of the whole audio in one call."""
    samples = pcm.astype(np.float32) / np.float32(32768)
    return engine.transcribe(Clip(pcm=samples, language="en")).text


def error_table(errors: Sequence[Errors]) -> str:
    """Returns the rates as a table."""
    rows = [(each.name, f"{each.words}", percent(each.streamed), percent(each.whole)) for each in errors]
    return columns(("pocketsphinx", "words", "EVA, streamed", "same engine, whole audio"), rows)
