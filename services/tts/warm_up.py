"""Every voice is heard before it serves, at several lengths, and how long each took is a fact.

A short line shows that the voice speaks at all; a medium one, how fast and how loud. A GPU says a long one as
well, and each twice: the first time it allocates what such lines need and cuDNN chooses for their shapes, now
rather than while somebody waits; the second is what people will wait for. A CPU has nothing to make ready for
long lines, and saying them was measured to double the time until a worker is ready.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import islice

from services.tts.engine import Line, Voice
from services.tts.judge import judged
from services.tts.loudness import TEST_LINES, Levels
from shared.audio import Samples
from shared.errors import EngineFailed

SHORT = "Hello, 1 2 3."
MEDIUM = "1 2 3 4 5 6, 7 8 9 10 11 12, 1 2 3 4 5 6, 7 8."
"""Where there is no line to measure loudness by. Numbers are words in every language."""
LONG = " ".join(str(number) for number in range(1, 41)) + "."


@dataclass(frozen=True, kw_only=True)
class Warmth:
    """How long a line took."""

    length: str
    """``short``, ``medium`` or ``long``."""
    warm_up_ms: float
    """The first time."""
    made_ms: float
    """The last time."""
    first_ms: float
    """Until its first sound, the last time."""
    audio_s: float
    """How long it sounds."""

    @property
    def real_time_factor(self) -> float:
        """Seconds of making per second of sound, warm."""
        return self.made_ms / 1000 / self.audio_s if self.audio_s else float("inf")


def lines(language: str) -> dict[str, str]:
    """Returns what a voice says, by the names in facts: 4, about 20 and 40 words."""
    return {"short": SHORT, "medium": TEST_LINES.get(language, MEDIUM), "long": LONG}


def prove(
    voice: Voice, engine: str, *, within_s: float, levels: Levels, rounds: int = 1, lengths: int = 3
) -> list[Warmth]:
    """Lets a voice say a line of each length, and learns how loud it is; blocks.

    Args:
        voice: to be heard.
        engine: whose it is, for errors.
        within_s: what a line may take, seconds.
        levels: learn how loud the voice is.
        rounds: how often each line is said.
        lengths: how many there are, the shortest first; at least 2.

    Raises:
        EngineFailed: a line gave no audible audio within ``within_s`` seconds.
    """
    found = []
    for length, text in islice(lines(voice.language).items(), lengths):
        said = [_within(within_s, partial(_say, voice, engine, text), engine) for _ in range(rounds)]
        if length == "medium":
            levels.learn(voice, said[-1].pieces)
        found.append(
            Warmth(
                length=length,
                warm_up_ms=said[0].made_ms,
                made_ms=said[-1].made_ms,
                first_ms=said[-1].first_ms,
                audio_s=sum(map(len, said[-1].pieces)) / voice.rate_hz,
            )
        )
    return found


def numbers(warmths: Sequence[Warmth]) -> dict[str, float]:
    """Returns them as facts tell them, milliseconds."""
    told = {}
    for one in warmths:
        told[f"warm_up_ms_{one.length}"] = round(one.warm_up_ms, 1)
        told[f"first_audio_ms_{one.length}"] = round(one.first_ms, 1)
        told[f"real_time_factor_{one.length}"] = round(one.real_time_factor, 4)
    return told


def is_real_time(warmths: Sequence[Warmth]) -> bool:
    """Whether each line was made in less time than it sounds."""
    return all(one.real_time_factor < 1.0 for one in warmths)


def made_ms(warmths: Sequence[Warmth]) -> float:
    """Returns how long the medium line took, warm: every device says it; 0 if it was not said."""
    return next((one.made_ms for one in warmths if one.length == "medium"), 0.0)


@dataclass(frozen=True)
class _Said:
    first_ms: float
    made_ms: float
    pieces: list[Samples]


def _say(voice: Voice, engine: str, text: str) -> _Said:
    line = Line(text=text)
    begin = time.monotonic()
    first_ms, pieces = 0.0, []
    for sound in judged(engine, voice.speak(line), line, voice.rate_hz):
        first_ms = first_ms or 1000 * (time.monotonic() - begin)
        pieces.append(sound.samples)
    return _Said(first_ms, 1000 * (time.monotonic() - begin), pieces)


def _within(seconds: float, do: Callable[[], _Said], engine: str) -> _Said:
    """Runs ``do`` in a thread that is given up when it hangs; a library cannot be interrupted."""
    result: Future[_Said] = Future()

    def run() -> None:
        try:
            result.set_result(do())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            result.set_exception(error)

    threading.Thread(target=run, name="warm-up", daemon=True).start()
    try:
        return result.result(seconds)
    except TimeoutError as error:
        raise EngineFailed(engine, f"no audio within {seconds:.0f} s") from error
