"""The voice that is always there: espeak-ng in this process, by ctypes. Robotic, offline, 100 languages.

The system's own ``libespeak-ng`` is preferred; otherwise the copy that the piper-tts wheel carries inside its
phonemizer serves: it exports the same functions. Ten words take about 5 ms, so a sentence is made in one go
under the lock. The library is initialised once per process and never terminated: terminating and
initialising again was seen to hang. It tells when each word and each sound of speech begins. Piper's
phonemizer, where it is the same library, is initialised for each voice without the wish to be told of
sounds; so where none are told, the library is initialised as we need it, and asked again.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.tts.engine import Line, Sound
from services.tts.espeak_events import PhoneEvent, WordEvent, phones, words
from services.tts.espeak_lock import ESPEAK_LOCK
from services.tts.voices import DEFAULT, espeak_name, language_of
from shared.audio import to_float
from shared.errors import EngineFailed, EngineRefused

NAME = "espeak-ng"
WORDS_PER_MINUTE = 175
SLOWEST, FASTEST = 80, 450
USUAL_PITCH, OCTAVE = 50, 50
"""On its scale of 0 to 99, which is even in semitones."""
PIECE_MS = 60

# Of speak_lib.h (espeak-ng 1.49 and later).
_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS, _INITIALIZE_PHONEME_IPA, _INITIALIZE_DONT_EXIT = 0x1, 0x2, 0x8000
_OPTIONS = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_PHONEME_IPA | _INITIALIZE_DONT_EXIT
_POS_CHARACTER = 1
_CHARS_UTF8, _END_PAUSE = 1, 0x1000
_PARAMETER_RATE, _PARAMETER_PITCH = 1, 3
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_LONGEST_SYMBOL = 8
_ALIASES = {"en": "en-us", "zh": "cmn", "no": "nb"}


class _Event(ctypes.Structure):
    """``espeak_EVENT``; its union is 8 bytes, of a phoneme its symbol."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_uint8 * _LONGEST_SYMBOL),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass
class Told:
    """What the library gives back of a text."""

    pieces: list[npt.NDArray[np.int16]] = field(default_factory=list)
    """Of at most ``PIECE_MS``."""
    words: list[WordEvent] = field(default_factory=list)
    phones: list[PhoneEvent] = field(default_factory=list)


class EspeakLibrary:
    """The library, initialised; ``speak`` is serialised by ``ESPEAK_LOCK``."""

    def __init__(self, library: ctypes.CDLL, rate_hz: int, data: bytes | None = None) -> None:
        """``data``: the folder that it was initialised with."""
        self._library, self.rate_hz, self._data = library, rate_hz, data
        self._told = Told()
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

    def speak(self, line: Line, voice: str) -> Told:
        """Returns the sound of a line. Raises ``EngineFailed``."""
        raw = line.text.encode() + b"\0"
        rate = round(WORDS_PER_MINUTE * line.speed / line.prosody.length)
        pitch = round(USUAL_PITCH + OCTAVE * line.prosody.pitch / 12)
        with ESPEAK_LOCK:
            told = self._speak(raw, voice, rate, pitch)
            if told.words and not told.phones:
                self._library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, PIECE_MS, self._data, _OPTIONS)
                told = self._speak(raw, voice, rate, pitch)
        return told

    def _speak(self, raw: bytes, voice: str, rate: int, pitch: int) -> Told:
        if not self._select(voice):
            raise EngineFailed(NAME, f"no voice {voice}")
        self._library.espeak_SetParameter(_PARAMETER_RATE, max(SLOWEST, min(FASTEST, rate)), 0)
        self._library.espeak_SetParameter(_PARAMETER_PITCH, max(0, min(99, pitch)), 0)
        self._told = told = Told()
        flags = _CHARS_UTF8 | _END_PAUSE
        status = self._library.espeak_Synth(raw, len(raw), 0, _POS_CHARACTER, 0, flags, None, None)
        if status != 0:
            raise EngineFailed(NAME, f"espeak_Synth answered {status}")
        return told

    def _select(self, voice: str) -> bool:
        return bool(voice) and self._library.espeak_SetVoiceByName(voice.encode()) == 0

    def _take(
        self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]
    ) -> int:
        if count > 0:
            self._told.pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        for index in itertools.count():
            event = events[index]
            if event.kind == _EVENT_END:
                return 0
            if event.kind == _EVENT_WORD:
                self._told.words.append(WordEvent(event.text_position, event.sample))
            elif event.kind == _EVENT_PHONEME:
                symbol = bytes(event.id).split(b"\0")[0].decode(errors="ignore")
                self._told.phones.append(PhoneEvent(symbol, event.sample))
        return 0  # pragma: no cover - the list has an end


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

    def speak(self, line: Line) -> Iterator[Sound]:
        """Yields pieces of at most ``PIECE_MS``; the first one knows when what is said."""
        told = self.library.speak(line, self.name)
        size = sum(map(len, told.pieces))
        sounds = phones(told.phones, size, self.rate_hz)
        said = words(line.text, told.words, sounds, size, self.rate_hz)
        for piece in told.pieces:
            yield Sound(samples=to_float(piece), phones=sounds, words=said)
            sounds, said = (), ()


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
        """Returns the voice called ``wanted`` (``en-us+f3``), else the language's, any that exists."""
        name = espeak_name(wanted)
        if name and self._library.has(name):
            return EspeakVoice(self._library, name, language_of(name))
        language = (wanted.startswith(f"{DEFAULT}-") and language_of(wanted)) or language
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
            rate_hz = int(library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, PIECE_MS, data, _OPTIONS))
        except (OSError, AttributeError) as error:
            tried.append(f"{path}: {error}")
            continue
        if rate_hz > 0:
            return EspeakLibrary(library, rate_hz, data)
        tried.append(f"{path}: finds no voice data")
    raise EngineRefused(NAME, "; ".join(tried), hint="apt-get install libespeak-ng1, or make setup")


def _candidates() -> Iterator[tuple[str, Path | None]]:
    """Yields libraries with their data folder (None: where they were built to look)."""
    yield ("libespeak-ng.1.dylib" if sys.platform == "darwin" else "libespeak-ng.so.1"), None
    spec = importlib.util.find_spec("piper")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for bridge in sorted(Path(folder).glob("espeakbridge*.so")):
            yield str(bridge), Path(folder) / "espeak-ng-data"
