"""The voice that is always there: espeak-ng in this process, by ctypes. Robotic, offline, 100 languages.

The system's own ``libespeak-ng`` is preferred; otherwise the copy that the piper-tts wheel carries inside its
phonemizer serves: it exports the same functions. Ten words take about 5 ms, so a sentence is made in one go
under the lock. The library is initialised once per process and never terminated: terminating and
initialising again was seen to hang.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.tts.espeak_lock import ESPEAK_LOCK
from shared.audio import Samples, to_float
from shared.errors import EngineFailed, EngineRefused

NAME = "espeak-ng"
WORDS_PER_MINUTE = 175
SLOWEST, FASTEST = 80, 450
PIECE_MS = 60

# Of speak_lib.h (espeak-ng 1.49 and later).
_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_POS_CHARACTER = 1
_CHARS_UTF8, _END_PAUSE = 1, 0x1000
_PARAMETER_RATE = 1
_ALIASES = {"en": "en-us", "zh": "cmn", "no": "nb"}
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakLibrary:
    """The library, initialised; ``speak`` is serialised by ``ESPEAK_LOCK``."""

    def __init__(self, library: ctypes.CDLL, rate_hz: int) -> None:
        self._library, self.rate_hz = library, rate_hz
        self._pieces: list[npt.NDArray[np.int16]] = []
        self._callback = _Callback(self._take)  # kept: the library holds only its address
        library.espeak_SetSynthCallback(self._callback)
        library.espeak_Synth.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
            ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip

    def has(self, voice: str) -> bool:
        """Whether there is such a voice (``fr``, ``en-us+f3``)."""
        with ESPEAK_LOCK:
            return self._select(voice)

    def speak(self, text: str, voice: str, speed: float) -> list[npt.NDArray[np.int16]]:
        """Returns the samples in pieces of at most ``PIECE_MS``. Raises ``EngineFailed``."""
        raw = text.encode() + b"\0"
        rate = max(SLOWEST, min(FASTEST, round(WORDS_PER_MINUTE * speed)))
        with ESPEAK_LOCK:
            if not self._select(voice):
                raise EngineFailed(NAME, f"no voice {voice}")
            self._library.espeak_SetParameter(_PARAMETER_RATE, rate, 0)
            self._pieces = []
            flags = _CHARS_UTF8 | _END_PAUSE
            status = self._library.espeak_Synth(raw, len(raw), 0, _POS_CHARACTER, 0, flags, None, None)
            pieces, self._pieces = self._pieces, []
        if status != 0:
            raise EngineFailed(NAME, f"espeak_Synth answered {status}")
        return pieces

    def _select(self, voice: str) -> bool:
        return bool(voice) and self._library.espeak_SetVoiceByName(voice.encode()) == 0

    def _take(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        if count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


@dataclass(frozen=True)
class EspeakVoice:
    """A language of espeak-ng."""

    library: EspeakLibrary
    name: str
    """As espeak-ng calls it, ``fr``, ``en-us``."""
    language: str
    sha256: str = ""

    @property
    def rate_hz(self) -> int:
        """Of its samples; 22,050."""
        return self.library.rate_hz

    def speak(self, text: str, *, speed: float) -> Iterator[Samples]:
        """Yields pieces of at most ``PIECE_MS``."""
        for piece in self.library.speak(text, self.name, speed):
            yield to_float(piece)


class Espeak:
    """The offline engine."""

    name = NAME
    device = "cpu"
    is_degraded = True

    def __init__(self, library: EspeakLibrary, languages: tuple[str, ...] = ("en", "fr")) -> None:
        self._library = library
        self._voices = tuple(found for found in map(self._find, languages) if found is not None)

    def voices(self) -> tuple[EspeakVoice, ...]:
        """Returns the voices of the languages that it was made for."""
        return self._voices

    def voice(self, language: str, wanted: str) -> EspeakVoice | None:
        """Returns the language's voice; names of voices are another engine's. Any language that exists."""
        del wanted
        return self._find(language.lower()) if language else self._voices[0]

    def _find(self, language: str) -> EspeakVoice | None:
        if not (language.isascii() and language.isalpha() and len(language) <= 3):
            return None  # it would be taken as the path of a file
        names = (_ALIASES.get(language, language), language)
        name = next((name for name in names if self._library.has(name)), None)
        return EspeakVoice(self._library, name, language) if name else None


def load() -> Espeak:
    """Returns the offline engine.

    Raises:
        EngineRefused: there is no espeak-ng on this machine.
    """
    engine = Espeak(_library())
    if not engine.voices():
        raise EngineRefused(NAME, "the library has neither English nor French")
    return engine


@functools.cache
def _library() -> EspeakLibrary:
    tried = []
    for path, data_dir in _candidates():
        try:
            library = ctypes.CDLL(path)
            data = str(data_dir).encode() if data_dir else None
            rate_hz = int(
                library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, PIECE_MS, data, _INITIALIZE_DONT_EXIT)
            )
        except (OSError, AttributeError) as error:
            tried.append(f"{path}: {error}")
            continue
        if rate_hz > 0:
            return EspeakLibrary(library, rate_hz)
        tried.append(f"{path}: finds no voice data")
    raise EngineRefused(NAME, "; ".join(tried), hint="apt-get install libespeak-ng1, or make setup")


def _candidates() -> Iterator[tuple[str, Path | None]]:
    """Yields libraries with their data folder (None: where they were built to look)."""
    yield ("libespeak-ng.1.dylib" if sys.platform == "darwin" else "libespeak-ng.so.1"), None
    spec = importlib.util.find_spec("piper")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for bridge in sorted(Path(folder).glob("espeakbridge*.so")):
            yield str(bridge), Path(folder) / "espeak-ng-data"
