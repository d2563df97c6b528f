"""How often EVA cuts in, against how long she waits: both numbers from the same clips.

    python -m benchmarks.politeness_report [--quick] [--offline] [--turn-model FILE] [--plot FILE]

Audio → Silero → ``Endpointer``, in audio time. The draft of a pause comes a fixed time after the pause was
told. Its words come from an oracle that knows what was said so far (it stands for a good recogniser, and
writes small letters without punctuation), or from the offline engine. A cut-in is an end decided within a
pause that the sentence goes on after; the delay is from the last sound of the sentence to the decision. The
thresholds were chosen on the group ``tune``; what is reported comes from ``report``: other sentences, other
voices, another seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.espeak import RATE_HZ
from benchmarks.figures import Figure, figure
from benchmarks.politeness_set import Clip, Group, Pause, clips
from services.stt.endpoint import Completeness, Cue, Ended, Endpointer, EndpointPolicy, Paused
from services.stt.engine import FRAME, Frames, Transcriber, TurnModel
from services.stt.engine import Clip as Audio
from services.stt.foreground import levels_db
from services.stt.melody import Melody
from services.stt.turn_text import completeness
from services.stt.vad import SileroModel, silero_path

FIXED_MS = (300, 500, 550, 800, 1200)
STARTS_MS = (250, 350, 425, 500, 600, 700)
DEFAULT_MS = 500
DRAFT_S = 0.15
"""From the pause that is told to its cue, audio time: what a recogniser that keeps up needs."""
ONSET_S = 0.2
"""A word that has just begun is not heard yet: an end decided then belongs to the pause before it."""
SHORT_S = 0.8
"""Pauses up to this length must not be cut into."""

Witness = Callable[[Clip, int, int], tuple[Completeness, float | None]]
"""Tells of a clip's audio between two samples whether the words are complete, and what the voice says."""


@dataclass(frozen=True)
class Heard:
    """A clip and the speech probability of each of its frames."""

    clip: Clip
    probabilities: tuple[float, ...]
    levels_db: tuple[float, ...]


@dataclass
class Tally:
    """What became of a set of clips."""

    delays: list[tuple[Clip, float]] = field(default_factory=list)
    """Each clip whose end was found, and milliseconds from its last sound to the decision."""
    pauses: list[tuple[Clip, Pause, bool]] = field(default_factory=list)
    """Each pause, and whether it was cut into."""
    broken: int = 0
    """Ends within a phrase where no pause was: the detector had lost the voice in noise."""
    unheard: int = 0
    """Clips whose end was not found before the clip was over."""

    def cut_ins(self, chosen: Callable[[Clip, Pause], bool] | None = None) -> Rate:
        """Returns the share of the chosen pauses that was cut into; those up to 0.8 s if none are named."""
        chosen = chosen or (lambda _, pause: pause.length_s <= SHORT_S)
        cut = [was_cut for clip, pause, was_cut in self.pauses if chosen(clip, pause)]
        return Rate(sum(cut), len(cut))


@dataclass(frozen=True)
class Rate:
    """So many of so many."""

    count: int
    of: int

    @property
    def share(self) -> float:
        """0..1; 0 of none."""
        return self.count / self.of if self.of else 0.0

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} % ({self.count}/{self.of})"


@dataclass(frozen=True)
class Point:
    """One setting: its name, its delays and what it cut into."""

    layer: str
    threshold_ms: int
    delay: Figure
    cut_ins: Rate
    tally: Tally


@dataclass(frozen=True)
class Politeness:
    """All settings that were tried; the layers' curves in order of their thresholds."""

    points: tuple[Point, ...]
    clips: int
    wrong_interruptions: Rate | None = None
    """Backchannels that stopped EVA; who measures the judge of interruptions joins it."""

    def of(self, layer: str, threshold_ms: int) -> Point:
        """Returns one setting."""
        return next(
            point for point in self.points if (point.layer, point.threshold_ms) == (layer, threshold_ms)
        )


def listen(group: Group, *, language: str = "en", share: int = 1) -> list[Heard]:
    """Makes a group's clips and hears them once; the endpointers are run on the same probabilities."""
    model = SileroModel(silero_path())
    heard = []
    for clip in clips(group, language=language, share=share):
        frames = clip.pcm[: len(clip.pcm) // FRAME * FRAME].reshape(-1, FRAME)
        heard.append(Heard(clip, tuple(_probabilities(model, frames)), tuple(levels_db(frames))))
    return heard


def _probabilities(model: SileroModel, frames: Frames) -> list[float]:
    return asyncio.run(model.open().probabilities(frames))


def oracle(turn_model: TurnModel | None) -> Witness:
    """The words that were really said, and what a turn model hears."""
    return _once(lambda clip, _, end: clip.said(end), turn_model)


def engine(transcriber: Transcriber, turn_model: TurnModel | None) -> Witness:
    """The words that an engine understands, and what a turn model hears."""

    def understood(clip: Clip, start: int, end: int) -> str:
        return transcriber.transcribe(Audio(pcm=clip.pcm[start:end], language=clip.language)).text

    return _once(understood, turn_model)


def _once(words: Callable[[Clip, int, int], str], turn_model: TurnModel | None) -> Witness:
    """Asks about the same audio once, however many settings are tried."""
    known: dict[tuple[int, int, int], tuple[Completeness, float | None]] = {}

    def witness(clip: Clip, start: int, end: int) -> tuple[Completeness, float | None]:
        key = (id(clip), start, end)
        if key not in known:
            text = completeness(words(clip, start, end), clip.language)
            known[key] = (text, turn_model.probability(clip.pcm[start:end]) if turn_model else None)
        return known[key]

    return witness


def play(heard: Heard, endpointer: Endpointer, witness: Witness | None, tally: Tally) -> None:
    """Lets one clip pass the endpointer and counts what it decides."""
    clip, due, cue = heard.clip, 0, None
    ends: list[int] = []
    for probability, level_db in zip(heard.probabilities, heard.levels_db, strict=True):
        event = endpointer.feed(probability, level_db)
        if isinstance(event, Paused) and witness is not None:
            text, sure = witness(clip, event.audio_from, event.audio_to)
            due = endpointer.position + int(DRAFT_S * RATE_HZ)
            cue = Cue(pause=event.pause, text=text, probability=sure)
        elif cue is not None and endpointer.position >= due:
            event, cue = endpointer.hint(cue) or event, None
        if isinstance(event, Ended):
            ends.append(endpointer.position)
    _count(clip, ends, tally, is_open=endpointer.is_speaking)


def _count(clip: Clip, ends: Sequence[int], tally: Tally, *, is_open: bool) -> None:
    last = [end for end in ends if end >= clip.end]
    early = [end for end in ends if end < clip.end]
    for pause in clip.pauses:
        tally.pauses.append((clip, pause, any(_is_in(end, pause) for end in early)))
    within = sum(any(_is_in(end, pause) for pause in clip.pauses) for end in early)
    tally.broken += len(early) - within
    if last:
        tally.delays.append((clip, (last[0] - clip.end) * 1000 / RATE_HZ))
    elif is_open:
        tally.unheard += 1
        tally.delays.append((clip, (len(clip.pcm) - clip.end) * 1000 / RATE_HZ))


def _is_in(end: int, pause: Pause) -> bool:
    return pause.start - ONSET_S * RATE_HZ <= end <= pause.end + ONSET_S * RATE_HZ


def run(layer: str, threshold_ms: int, heard: Sequence[Heard], witness: Witness | None) -> Point:
    """Runs one setting over all clips, each speaker's in a row: what was learnt of a speaker is kept."""
    tally = Tally()
    learnt: dict[str, float] = {}
    for one in heard:
        speaker = one.clip.speaker
        policy = EndpointPolicy(
            detection="auto" if witness is not None else "silence",
            end_silence_ms=threshold_ms,
            pace_ms=learnt.get(speaker, 0.0),
        )
        endpointer = Endpointer(policy=policy)
        play(one, endpointer, witness, tally)
        learnt[speaker] = endpointer.pace_ms
    name = f"{layer}, {threshold_ms} ms"
    return Point(layer, threshold_ms, figure(name, [ms for _, ms in tally.delays]), tally.cut_ins(), tally)


FIXED = "fixed silence"
WORDS = "words (oracle)"
EVA = "words (oracle) + melody"
SOFT = "words (oracle) + melody, quiet or 20 dB"
OFFLINE = "words (pocketsphinx) + melody, quiet or 20 dB white"
FRENCH = "French: words (oracle) + melody"


def measure(*, quick: bool = False, turn_model: TurnModel | None = None) -> Politeness:
    """Returns the figures of the group that nothing was tuned on; ``quick``: one clip in nine."""
    heard = listen("report", share=9 if quick else 1)
    soft = [one for one in heard if one.clip.snr_db >= 20]
    french = listen("report", language="fr", share=9 if quick else 1)
    layers: list[tuple[str, tuple[int, ...], Sequence[Heard], Witness | None]] = [
        (FIXED, FIXED_MS, heard, None),
        (WORDS, STARTS_MS, heard, oracle(None)),
        (EVA, STARTS_MS, heard, oracle(Melody())),
        (SOFT, STARTS_MS, soft, oracle(Melody())),
        (FRENCH, (DEFAULT_MS,), french, oracle(Melody())),
    ]
    if turn_model is not None:
        name = f"words (oracle) + {turn_model.info.name}"
        layers.append((name, STARTS_MS, heard, oracle(turn_model)))
    points = [run(name, ms, of, witness) for name, all_ms, of, witness in layers for ms in all_ms]
    return Politeness(tuple(points), len(heard))


def measure_offline(*, quick: bool = False) -> Point:
    """Returns EVA with the words that the offline engine understands, on a part of the clips."""
    from services.stt.sphinx import load_sphinx  # noqa: PLC0415 - only where it is asked for

    quiet = [one for one in listen("report") if one.clip.snr_db >= 20 and one.clip.noise != "babble"]
    sphinx = load_sphinx()
    try:
        return run(OFFLINE, DEFAULT_MS, quiet[:: 24 if quick else 12], engine(sphinx, Melody()))
    finally:
        sphinx.close()
