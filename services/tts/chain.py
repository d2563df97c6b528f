"""Which engine speaks a line, and what happens when it does not: the voice is never mute. Pure.

The links, the best first, are engines: the streamed voices, the same voices as whole graphs, the offline
engine. What one returns is judged before anyone hears it (``judge``). When one fails, the next says the same
line, from its start if nothing of it was sent, else from the first word that was not heard (``remainder``).
A second voice of the language, of another model, comes before an engine that is degraded.

A voice that fails three times on end is set aside for a while that doubles, alone: a broken French model says
nothing about the English one. An engine that hangs is set aside as a whole, at once. While all are aside,
all are tried anyway. The clock is passed in, and engines block, so all of this runs in a worker's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.tts.engine import NEUTRAL, Engine, Line, Phone, Prosody, Sound, SpokenWord, Voice
from services.tts.judge import judged
from services.tts.lanes import Listener
from services.tts.loudness import Levels
from services.tts.pitch import divided
from services.tts.remainder import is_sayable, rest
from services.tts.voices import language_of
from shared.errors import EngineFailed, EngineNotReady
from shared.messages import EngineFact
from shared.observe import Log

DEFAULT_LANGUAGE = "en"
FAILURES_ON_END = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
SPEEDS = (0.25, 4.0)

log = Log("eva.tts")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some sound of a line, and whose it is."""

    sound: Sound
    rate_hz: int
    engine: Engine
    voice: Voice
    begin: int = 0
    """Where in the line's text the part begins that this voice says; the sound's times count from there."""
    left: Prosody = NEUTRAL
    """What the voice does not do itself."""
    gain_db: float = 0.0
    """What makes this voice as loud as the others."""


@dataclass
class Standing:
    """How a voice, or an engine as a whole, has done lately."""

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


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What is known of a voice from its proof at start."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    """How it serves otherwise than it should; empty: it does not."""


@dataclass
class _Heard:
    """What was passed on of a line from one voice."""

    seconds: float = 0.0
    words: tuple[SpokenWord, ...] = ()
    phones: tuple[Phone, ...] = ()

    def add(self, sound: Sound, rate_hz: int) -> float:
        """Counts a sound; returns its seconds."""
        made_s = len(sound.samples) / rate_hz
        self.seconds += made_s
        self.words, self.phones = sound.words or self.words, sound.phones or self.phones
        return made_s


def in_turn(sounds: Iterator[Sound], listener: Listener, engine: Engine) -> Iterator[Sound]:
    """Yields them; each is made while it is the listener's turn on the engine's device.

    Raises:
        EngineFailed: whatever the engine raised.
    """
    while True:
        with listener.turn(engine.device):
            try:
                sound = next(sounds, None)
            except EngineFailed:
                raise
            except Exception as error:  # out of memory or a library's bug: the next one speaks
                raise EngineFailed(engine.name, type(error).__name__) from error
        if sound is None:
            return
        yield sound


class Chain:
    """The engines that were proven at start, the best first."""

    def __init__(
        self,
        engines: Sequence[Engine],
        clock: Callable[[], float],
        *,
        refused: Sequence[EngineFact] = (),
        levels: Levels | None = None,
        proofs: Mapping[tuple[str, str, str], Proof] | None = None,
    ) -> None:
        self._engines, self._clock, self._refused = tuple(engines), clock, tuple(refused)
        self._levels = levels or Levels()
        self._proofs = proofs or {}
        self._standings: dict[tuple[int, str], Standing] = {}

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The links, the best first."""
        return self._engines

    def language(self, language: str, wanted: str) -> str:
        """Returns the language that will be spoken (ISO 639-1): the asked one, else that of the voice."""
        primary = (language or language_of(wanted)).replace("_", "-").split("-")[0].lower()
        if primary:
            return primary
        voices = (engine.voice("", wanted) for engine in self._engines)
        return next((voice.language for voice in voices if voice is not None), DEFAULT_LANGUAGE)

    def speak(
        self, line: Line, listener: Listener, *, language: str, wanted: str, asked: list[Engine]
    ) -> Iterator[Piece]:
        """Yields a line's sound. Blocks; ``language`` as ``language()`` returned it.

        Whoever is asked to speak is put at the end of ``asked``, so that a hang can be blamed on it.

        Raises:
            EngineFailed: no engine could say it (to its end).
        """
        speed = min(max(line.speed, SPEEDS[0]), SPEEDS[1])
        line = replace(line, speed=speed, is_crowded=listener.is_crowded)
        failures = []
        begin = 0
        for engine, voice in self._candidates(language, wanted):
            heard = _Heard()
            asked.append(engine)
            said, left = divided(line, engine.name)
            sounds = in_turn(voice.speak(said), listener, engine)
            try:
                for sound in judged(engine.name, sounds, said, voice.rate_hz):
                    listener.made(heard.add(sound, voice.rate_hz))
                    yield Piece(
                        sound=sound, rate_hz=voice.rate_hz, engine=engine, voice=voice, begin=begin,
                        left=left, gain_db=self._levels.gain_db(voice),
                    )  # fmt: skip
            except EngineFailed as failure:
                if not is_sayable(line.text):
                    return
                if not isinstance(failure, EngineNotReady):
                    self._fail(engine, failure.reason, voice.name)
                failures.append(str(failure))
                at = rest(said, heard.seconds, words=heard.words, phones=heard.phones)
                begin, line = begin + at, replace(line, text=line.text[at:])
                if not is_sayable(line.text):
                    return
                continue
            self._standing(engine).succeed()
            self._standing(engine, voice.name).succeed()
            return
        raise EngineFailed("tts", "; ".join(failures) or "no engine")

    def promised(self, language: str, wanted: str) -> tuple[Engine, Voice] | None:
        """Returns who says it when all is well; ``language`` as ``language()`` returned it."""
        return next(iter(self._having(language, wanted) or self._having("", wanted)), None)

    def is_well(self, engine: Engine, voice: Voice) -> bool:
        """Whether the last that the voice was asked to say was said to its end."""
        return not (self._standing(engine).failures or self._standing(engine, voice.name).failures)

    def blame(self, engine: Engine, reason: str, *, hangs: bool = False) -> None:
        """Counts a failure of an engine as a whole; one that hangs is seen from outside and set aside."""
        self._fail(engine, reason, hangs=hangs)

    def facts(self) -> list[EngineFact]:
        """Returns what was refused at start, then each voice in the order of the chain."""
        found = list(self._refused)
        served: set[str] = set()
        for engine in self._engines:
            serving: set[str] = set()
            for voice in engine.voices():
                reason = self._why_aside(engine, voice)
                proof = self._proofs.get((engine.name, engine.device, voice.name), Proof())
                is_second = voice.language in served
                found.append(
                    EngineFact(
                        name=engine.name,
                        state="failed" if reason else "standby" if is_second else "serving",
                        model=voice.name,
                        model_sha256=voice.sha256,
                        device=engine.device,
                        detail=reason or proof.note,
                        numbers=dict(proof.numbers),
                    )
                )
                if not reason:
                    serving.add(voice.language)
            served |= serving
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
        usual = [at for at, (engine, _) in enumerate(found, 1) if not engine.is_degraded]
        behind = usual[-1] if usual else 0
        same = [pair for pair in found[:behind] if pair[1].sha256 == found[0][1].sha256]
        others = [pair for pair in found[:behind] if pair not in same]
        seconds = [second for engine, voice in same for second in _second(engine, voice)]
        now = self._clock()
        return sorted(
            [*same, *seconds, *others, *found[behind:]],
            key=lambda pair: max(self._pause(pair[0], now), self._pause(pair[0], now, pair[1].name)),
        )

    def _having(self, language: str, wanted: str) -> list[tuple[Engine, Voice]]:
        pairs = ((engine, engine.voice(language, wanted)) for engine in self._engines)
        return [(engine, voice) for engine, voice in pairs if voice is not None]

    def _fail(self, engine: Engine, reason: str, voice: str = "", *, hangs: bool = False) -> None:
        standing = self._standing(engine, voice)
        standing.fail(self._clock(), reason, hangs=hangs)
        log.warning(
            "tts.engine_failed", engine=engine.name, voice=voice, device=engine.device, reason=reason,
            on_end=standing.failures, aside_s=standing.pause_s,
        )  # fmt: skip

    def _standing(self, engine: Engine, voice: str = "") -> Standing:
        """Returns that of a voice; no name: of the engine as a whole."""
        return self._standings.setdefault((id(engine), voice), Standing())

    def _pause(self, engine: Engine, now: float, voice: str = "") -> float:
        standing = self._standing(engine, voice)
        return standing.aside_until if standing.is_aside(now) else 0.0

    def _why_aside(self, engine: Engine, voice: Voice) -> str:
        """Returns why a voice is set aside; empty: it is not."""
        now = self._clock()
        standings = (self._standing(engine), self._standing(engine, voice.name))
        return next((it.reason for it in standings if it.is_aside(now)), "")


def _second(engine: Engine, voice: Voice) -> Iterator[tuple[Engine, Voice]]:
    """Yields an engine's first other voice of the language whose model is another."""
    for other in engine.voices():
        if other.language == voice.language and other.sha256 != voice.sha256:
            yield engine, other
            return
