"""Judges an engine's sound before anyone hears it, piece by piece. Pure.

Nothing, silence, NaN, a sound at full scale, and one that is far too short or too long for its line are
failures like an exception. What is heard of each: of NaN and of a clipped stretch nothing; of an engine that
goes mute at most ``HOLD_S`` of silence, because silence is held back until something follows it; of one that
runs wild nothing if it tells its times or makes its line in one piece, else what came before the bound; one
that ends too early is heard as far as it came. Only silence is ever held back, so none of this costs time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from services.tts.engine import Line, Phone, Sound
from shared.audio import SILENCE_DBFS, Samples, is_finite
from shared.errors import EngineFailed

HOLD_S = 0.25
"""Silence of this length is passed on; more of it waits for something audible."""
MUTE_S = 1.5
"""Silence for so long within a line whose voice does not tell its times is the silence of a broken one."""
MUTE_PHONES_S = 0.6
"""Likewise, of sounds that should be heard by the voice's own times."""
CLIPPED_SHARE = 0.1
"""Of the samples of ``CLIP_WINDOW_S``; the loudest voices that are whole stay below a hundredth."""
CLIP_WINDOW_S, CLIP_LEAST_S = 0.2, 0.05
FULL_SCALE = 0.999
USUAL_CHARACTERS_A_SECOND = 14.0
FASTEST_CHARACTERS_A_SECOND = 80.0
"""Nobody is understood at half of it; short lines are not judged by it."""
FEWEST_LETTERS = 12
PHONE_S = (0.012, 0.5)
"""Mean length of a sound of speech at usual speed; people take 0.06 to 0.1 s."""
FEWEST_PHONES = 4
BEYOND_PLAN, BEYOND_PLAN_S = 1.5, 1.0
"""What the beginning of a long line tells of its end is an estimate."""
BEFORE_PLAN_S, BEFORE_PLAN_SHARE = 0.5, 0.15
_BLOCK_S = 0.02
_LONGEST_START_S, _LONGEST_CHARACTER_S = 4.0, 0.3
_QUIET = 10.0 ** (SILENCE_DBFS / 20.0)
_IDEOGRAPHS = 0x2E80


def stretch(line: Line) -> float:
    """Returns how many times longer than usual a line is meant to last."""
    return line.prosody.length / line.speed


def longest_s(line: Line) -> float:
    """Returns how long the audio of a line can be at most, seconds; what may be spelled out counts more."""
    weight = sum(_weight(character) for character in line.text)
    return (_LONGEST_START_S + _LONGEST_CHARACTER_S * weight) * stretch(line)


def shortest_s(line: Line) -> float:
    """Returns how long the audio of a line must be at least, seconds."""
    letters = sum(character.isalnum() for character in line.text)
    return letters / FASTEST_CHARACTERS_A_SECOND * stretch(line) if letters >= FEWEST_LETTERS else 0.0


def is_speech(phone: Phone) -> bool:
    """Whether a phone is a sound, neither a blank nor punctuation."""
    return any(character.isalnum() for character in phone.symbol)


def judged(engine: str, sounds: Iterable[Sound], line: Line, rate_hz: int) -> Iterator[Sound]:
    """Passes on what may be heard of a line's sound.

    Raises:
        EngineFailed: what came is no speech of this line (any more); ``reason`` says why.
    """
    judge = Judge(engine, line, rate_hz)
    for sound in sounds:
        yield from judge.hear(sound)
    yield from judge.end()


class Judge:
    """What was heard so far of one line, from one voice."""

    def __init__(self, engine: str, line: Line, rate_hz: int) -> None:
        self._engine, self._line, self._rate_hz = engine, line, rate_hz
        self._block = max(1, round(_BLOCK_S * rate_hz))
        self._limit_s = longest_s(line)
        self._phones: tuple[Phone, ...] = ()
        """The sounds of the voice's own plan; empty: it tells none."""
        self._made = 0
        """Samples that came."""
        self._quiet = 0
        """Samples of silence at the end of them."""
        self._begun_at: int | None = None
        """Where the first audible sample came; None: all was silence."""
        self._held: list[Sound] = []
        self._clips: deque[tuple[int, int]] = deque()
        """Of the latest blocks: samples at full scale, samples."""

    def hear(self, sound: Sound) -> Iterator[Sound]:
        """Yields what may be heard by now. Raises ``EngineFailed``."""
        if sound.phones:
            self._plan(sound.phones)
        if not is_finite(sound.samples):
            raise self._failed("samples are not finite")
        if (self._made + len(sound.samples)) / self._rate_hz > self._limit_s:
            raise self._failed(f"audio does not end within {self._limit_s:.1f} s")
        before = self._made
        for fault, good in self._walk(sound):
            if self._begun_at is not None and max(self._begun_at, before) < good:
                yield from self._release(_head(sound, good - before))
            raise self._failed(fault)
        is_long = self._begun_at is None or self._quiet >= HOLD_S * self._rate_hz
        keep = self._quiet if is_long else 0
        keep = min(keep, len(sound.samples))
        if keep == len(sound.samples):
            self._held.append(sound)
        else:
            yield from self._release(_head(sound, len(sound.samples) - keep))
            if keep:
                self._held.append(Sound(samples=sound.samples[-keep:]))

    def end(self) -> Iterator[Sound]:
        """Yields the silence at the end. Raises ``EngineFailed``: something is missing."""
        if self._begun_at is None:
            raise self._failed("only silence" if self._made else "no audio")
        heard_s = (self._made - self._quiet) / self._rate_hz
        due_s = shortest_s(self._line)
        if self._phones:
            plan_s = self._phones[-1].end_s
            due_s = plan_s - max(BEFORE_PLAN_S, BEFORE_PLAN_SHARE * plan_s)
        if heard_s < due_s:
            raise self._failed(f"{heard_s:.2f} s is too short, at least {due_s:.2f} s were due")
        yield from self._held

    def _plan(self, phones: tuple[Phone, ...]) -> None:
        """Takes the voice's own times. Raises ``EngineFailed``: nobody speaks like that."""
        self._phones = tuple(filter(is_speech, phones))
        if not self._phones:
            return
        self._limit_s = min(longest_s(self._line), BEYOND_PLAN * phones[-1].end_s + BEYOND_PLAN_S)
        count = len(self._phones)
        mean_s = sum(phone.end_s - phone.start_s for phone in self._phones) / count / stretch(self._line)
        if count >= FEWEST_PHONES and not PHONE_S[0] <= mean_s <= PHONE_S[1]:
            raise self._failed(f"{1000 * mean_s:.0f} ms for a sound of speech")

    def _walk(self, sound: Sound) -> Iterator[tuple[str, int]]:
        """Goes through the blocks; yields a fault and how many samples in all came before it."""
        for size, level, clipped in _blocks(sound.samples, self._block):
            self._made += size
            if level > _QUIET:
                self._quiet = 0
                if self._begun_at is None:
                    self._begun_at = self._made - size
            else:
                self._quiet += size
                if self._is_mute():
                    begin = self._made - self._quiet
                    yield f"mute after {begin / self._rate_hz:.2f} s" if begin else "only silence", begin
            if clipped or self._clips:
                share, window = self._clipped(clipped, size)
                if share > CLIPPED_SHARE and window >= CLIP_LEAST_S * self._rate_hz:
                    yield f"{100 * share:.0f} % of the samples are clipped", self._made - window

    def _clipped(self, clipped: int, size: int) -> tuple[float, int]:
        """Takes a block; returns the share of clipped samples since the first such, and their window."""
        self._clips.append((clipped, size))
        while not self._clips[0][0] or sum(size for _, size in self._clips) > CLIP_WINDOW_S * self._rate_hz:
            self._clips.popleft()
            if not self._clips:
                return 0.0, 0
        total = sum(size for _, size in self._clips)
        return sum(count for count, _ in self._clips) / total, total

    def _is_mute(self) -> bool:
        begin_s, end_s = (self._made - self._quiet) / self._rate_hz, self._made / self._rate_hz
        if end_s - begin_s <= MUTE_PHONES_S:
            return False
        if self._phones:
            missed = (min(it.end_s, end_s) - max(it.start_s, begin_s) for it in self._phones)
            return sum(max(0.0, seconds) for seconds in missed) > MUTE_PHONES_S
        usual_s = len(self._line.text) / USUAL_CHARACTERS_A_SECOND * stretch(self._line)
        return end_s - begin_s > MUTE_S * max(1.0, stretch(self._line)) and begin_s < 0.8 * usual_s

    def _release(self, sound: Sound) -> Iterator[Sound]:
        held, self._held = self._held, []
        yield from held
        yield sound

    def _failed(self, reason: str) -> EngineFailed:
        return EngineFailed(self._engine, reason)


def _head(sound: Sound, count: int) -> Sound:
    if count == len(sound.samples):
        return sound
    return Sound(samples=sound.samples[:count], phones=sound.phones, words=sound.words)


def _blocks(samples: Samples, size: int) -> Iterator[tuple[int, float, int]]:
    """Yields of each block its samples, its level without any constant part, and how many are clipped."""
    whole = len(samples) // size * size
    is_loud = bool(samples.size) and float(np.abs(samples).max()) >= FULL_SCALE
    for rows in (samples[:whole].reshape(-1, size), samples[whole:].reshape(1, -1)):
        if rows.size:
            exact = rows.astype(np.float64)
            powers = np.einsum("ij,ij->i", exact, exact) / rows.shape[1] - exact.mean(axis=1) ** 2
            levels = np.sqrt(np.maximum(powers, 0.0)).tolist()
            clipped = np.count_nonzero(np.abs(rows) >= FULL_SCALE, axis=1) if is_loud else [0] * len(rows)
            yield from zip([rows.shape[1]] * len(rows), levels, map(int, clipped), strict=True)


def _weight(character: str) -> int:
    """Returns how many letters may be spoken for a character."""
    if character.isdigit():
        return 8
    if character.isalpha():
        return 4 if character.isupper() or ord(character) >= _IDEOGRAPHS else 1
    return 1 if character.isspace() else 4
