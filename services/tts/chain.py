"""Which engine speaks a sentence, and what happens when it does not: the voice is never mute. Pure.

What an engine returns is judged before anyone hears it: nothing, silence, NaN or an endless sound are
failures like an exception. The next engine then says the same sentence, from its start if none of it was
sent, else from about the word where the sound broke off. An engine that fails three times on end is set
aside for a while that doubles; while all are aside, all are tried anyway. The clock is passed in, and
engines block, so all of this runs in a worker's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.tts.engine import Engine, Voice
from shared.audio import Samples, is_audible, is_finite
from shared.errors import EngineFailed
from shared.messages import EngineFact
from shared.observe import Log

DEFAULT_LANGUAGE = "en"
FAILURES_ON_END = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
SPEEDS = (0.25, 4.0)
CHARACTERS_A_SECOND = 14.0
"""Of usual speech; an estimate, for where a sentence broke off."""
_LONGEST_START_S, _LONGEST_CHARACTER_S = 4.0, 0.6

log = Log("eva.tts")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some samples of a sentence, and whose they are."""

    samples: Samples
    rate_hz: int
    engine: Engine
    voice: Voice


@dataclass
class Standing:
    """How an engine has done lately."""

    failures: int = 0
    """On end."""
    pause_s: float = 0.0
    aside_until: float = 0.0
    reason: str = ""

    def fail(self, now: float, reason: str, *, hangs: bool = False) -> None:
        """Counts a failure; from the third on end, or a hang, it is set aside, each time for longer."""
        self.failures, self.reason = self.failures + 1, reason
        if hangs or self.failures >= FAILURES_ON_END:
            self.pause_s = min(self.pause_s * 2 or FIRST_PAUSE_S, LONGEST_PAUSE_S)
            self.aside_until = now + self.pause_s

    def succeed(self) -> None:
        """Forgets all failures."""
        self.failures, self.pause_s, self.aside_until, self.reason = 0, 0.0, 0.0, ""

    def is_aside(self, now: float) -> bool:
        """Whether others come first."""
        return now < self.aside_until


def longest_s(sentence: str, speed: float) -> float:
    """Returns how long the audio of a sentence can be at most, seconds; beyond it the engine runs wild."""
    return (_LONGEST_START_S + _LONGEST_CHARACTER_S * len(sentence)) / speed


def unspoken(sentence: str, sent_s: float, speed: float) -> str:
    """Returns the words that come after ``sent_s`` seconds of a sentence, by proportion."""
    if sent_s <= 0.0:
        return sentence
    budget = sent_s * speed * CHARACTERS_A_SECOND
    words = sentence.split()
    while words and budget > 0.0:
        budget -= len(words.pop(0)) + 1
    return " ".join(words)


def judged(engine: str, pieces: Iterable[Samples], rate_hz: int, limit_s: float) -> Iterator[Samples]:
    """Passes on what can be heard; silence at the start is held back until something audible follows.

    Raises:
        EngineFailed: no samples, only silence, NaN or infinity, longer than ``limit_s``.
    """
    held: list[Samples] = []
    is_heard = False
    count = 0
    for samples in pieces:
        count += len(samples)
        if not is_finite(samples):
            raise EngineFailed(engine, "samples are not finite")
        if count > limit_s * rate_hz:
            raise EngineFailed(engine, f"audio does not end within {limit_s:.1f} s")
        if not is_heard:
            held.append(samples)
            is_heard = is_audible(samples)
            if is_heard:
                yield from held
            continue
        yield samples
    if not is_heard:
        raise EngineFailed(engine, "only silence" if count else "no audio")


class Chain:
    """The engines that were proven at start, the best first."""

    def __init__(
        self, engines: Sequence[Engine], clock: Callable[[], float], *, refused: Sequence[EngineFact] = ()
    ) -> None:
        self._engines, self._clock, self._refused = tuple(engines), clock, tuple(refused)
        self._standings = {id(engine): Standing() for engine in self._engines}

    def language(self, language: str, wanted: str) -> str:
        """Returns the language that will be spoken (ISO 639-1): the asked one, else that of the voice."""
        primary = language.replace("_", "-").split("-")[0].lower()
        if primary:
            return primary
        voices = (engine.voice("", wanted) for engine in self._engines)
        return next((voice.language for voice in voices if voice is not None), DEFAULT_LANGUAGE)

    def speak(
        self, sentence: str, *, language: str, wanted: str, speed: float, asked: list[Engine]
    ) -> Iterator[Piece]:
        """Yields a sentence's audio. Blocks; ``language`` as ``language()`` returned it.

        Whoever is asked to speak is put at the end of ``asked``, so that a hang can be blamed on it.

        Raises:
            EngineFailed: no engine could say it (to its end).
        """
        speed = min(max(speed, SPEEDS[0]), SPEEDS[1])
        failures = []
        for engine, voice in self._candidates(language, wanted):
            sent_s = 0.0
            asked.append(engine)
            pieces = voice.speak(sentence, speed=speed)
            try:
                for samples in judged(engine.name, pieces, voice.rate_hz, longest_s(sentence, speed)):
                    sent_s += len(samples) / voice.rate_hz
                    yield Piece(samples=samples, rate_hz=voice.rate_hz, engine=engine, voice=voice)
            except EngineFailed as failure:
                self.blame(engine, failure.reason)
                failures.append(str(failure))
                sentence = unspoken(sentence, sent_s, speed)
                if not sentence:
                    return
                continue
            self._standings[id(engine)].succeed()
            return
        raise EngineFailed("tts", "; ".join(failures) or "no engine")

    def blame(self, engine: Engine, reason: str, *, hangs: bool = False) -> None:
        """Counts a failure; one that hangs is seen from outside and set aside at once."""
        standing = self._standings[id(engine)]
        standing.fail(self._clock(), reason, hangs=hangs)
        log.warning(
            "tts.engine_failed", engine=engine.name, device=engine.device, reason=reason,
            on_end=standing.failures, aside_s=standing.pause_s,
        )  # fmt: skip

    def facts(self) -> list[EngineFact]:
        """Returns what was refused at start, then each voice in the order of the chain."""
        now = self._clock()
        found = list(self._refused)
        served: set[str] = set()
        for engine in self._engines:
            standing = self._standings[id(engine)]
            is_aside = standing.is_aside(now)
            for voice in engine.voices():
                is_second = voice.language in served
                found.append(
                    EngineFact(
                        name=engine.name,
                        state="failed" if is_aside else "standby" if is_second else "serving",
                        model=voice.name,
                        model_sha256=voice.sha256,
                        device=engine.device,
                        detail=standing.reason,
                    )
                )
            if not is_aside:
                served.update(voice.language for voice in engine.voices())
        return found

    def trouble(self) -> str:
        """Returns in one line why this is not the voice that was promised; empty: it is."""
        for fact in self.facts():
            if fact.state == "failed":
                return f"{fact.name} {fact.model}: {fact.detail}"
        first = next((engine for engine, _ in self._candidates(self.language("", ""), "")), None)
        if first is None or first.is_degraded:
            return f"{first.name if first else 'nothing'} serves"
        return ""

    def _candidates(self, language: str, wanted: str) -> list[tuple[Engine, Voice]]:
        """Returns who can say it, those aside last; a language that nobody has is read as it comes."""
        found = self._having(language, wanted) or self._having("", wanted)
        now = self._clock()
        return sorted(found, key=lambda pair: self._pause(pair[0], now))

    def _having(self, language: str, wanted: str) -> list[tuple[Engine, Voice]]:
        pairs = ((engine, engine.voice(language, wanted)) for engine in self._engines)
        return [(engine, voice) for engine, voice in pairs if voice is not None]

    def _pause(self, engine: Engine, now: float) -> float:
        standing = self._standings[id(engine)]
        return standing.aside_until if standing.is_aside(now) else 0.0
