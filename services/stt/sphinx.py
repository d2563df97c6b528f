"""The offline engine: pocketsphinx, whose wheel carries a US English model. Degraded, and it says so.

About one word in four is wrong in clear read speech. Digital silence breaks its noise estimate (72 % of
words wrong, against 22 %), so white noise is laid under all audio.

It decodes while a person speaks (``begin``), in a process of its own; what is left at a pause is the last
pass over what was said since the last cut, so it does not grow with the length: 0.09, 0.13 and 0.13 s of a
core after 2, 10 and 30 s (espeak-ng, two voices). What follows on something else in the same session is
decoded from its first moment on (``learnt``): else a piece of half a second costs 0.6 s at its end, with it
0.07, for 44.9 instead of 43.3 % wrong words (593, five voices) and 0.7 of the work; of 119 words that one
person read in four turns 80 were wrong with it and 86 without. No words were seen to be lost by it. Streamed
and as a whole about as many words are wrong: ``docs/benchmarks.md`` (d). With pocketsphinx's own
first mean it was 63 % instead of 38 %.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.stt.engine import RATE_HZ, Clip, Decoding, EngineInfo, Pcm, Transcript, Word
from shared.errors import EngineFailed, EngineRefused

DITHER = 100.0
"""Standard deviation of the noise, in int16 units."""
MARGIN = int(0.2 * RATE_HZ)
"""Noise before and behind the audio, samples."""
PARALLEL = 2
TIMEOUT_S = 60.0
BLOCK = RATE_HZ // 5
"""Samples that are decoded at once."""
CUT_AFTER, CUT_AT_LAST = 4 * RATE_HZ, 10 * RATE_HZ
"""Speech without a pause is cut at the first quiet place behind so much, and in any case behind so much."""
QUIET, QUIET_BLOCK = 0.2, RATE_HZ // 20
"""A block of 50 ms is quiet below so much of the mean level."""
MEASURED_S = 1.5
INFO = EngineInfo(
    name="sphinx",
    model="en-us",
    device="cpu",
    languages=("en",),
    is_degraded=True,
    is_incremental=True,
    parallel=PARALLEL,
    lanes=min(PARALLEL, os.cpu_count() or 1),
)


def is_installed() -> bool:
    """Whether pocketsphinx is there."""
    return importlib.util.find_spec("pocketsphinx") is not None


class SphinxEngine:
    """One process that has loaded the model, started when first needed, and a fork of it for each call."""

    def __init__(self, command: list[str] | None = None, *, decodings: int = 0) -> None:
        path = Path(__file__).with_name("sphinx_process.py")
        self.info = INFO
        self._command = command or [sys.executable, "-P", str(path)]
        self._decodings = decodings or 3 * (os.cpu_count() or 1)
        """At most at once; each takes a quarter of a core while somebody speaks, and 24 MB."""
        self._live = 0
        self._lock = threading.Lock()
        self._calls = threading.BoundedSemaphore(PARALLEL)
        self._mother: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """Of the process with the model; None: there is none."""
        return self._mother.pid if self._mother is not None else None

    def transcribe(self, clip: Clip) -> Transcript:
        """Returns what is said in English, in small letters without punctuation."""
        with self._calls:
            line = self.line()
            try:
                return line.ask(b"W", dithered(clip.pcm))
            finally:
                line.close()

    def begin(self, language: str | None, learnt: str = "") -> Decoding | None:
        """Returns a decoding of what is about to be said, or None where there are as many as it can do.

        ``learnt``: the mean of the person's spectrum, as the decoding before had it.
        """
        del language  # the chain asks for English only
        with self._lock:
            if self._live >= self._decodings:
                return None
            self._live += 1
        try:
            return SphinxDecoding(self, learnt)
        except EngineFailed:
            self.released()
            raise

    def measure(self) -> None:
        """Times a second and a half of sound that is as much work as speech, in seconds of a core."""
        line = self.line()
        try:
            line.tell(b"F", on_noise(buzz(MEASURED_S), np.random.default_rng(0)))
            line.ask(b"D", np.zeros(MARGIN, np.int16))
        finally:
            line.close()
        both_s = line.heard_s + line.draft_s
        self.info = replace(INFO, call_ms=1000 * line.draft_s, rtf=both_s / MEASURED_S)

    def line(self) -> Line:
        """Returns the way to a new fork. Raises ``EngineFailed``."""
        line: Line | None = None
        with self._lock:
            try:
                if self._mother is None or self._mother.poll() is not None:
                    self._start()
                assert self._control is not None
                ours, theirs = socket.socketpair()
                ours.settimeout(TIMEOUT_S)
                line = Line(ours)
                with theirs:
                    socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            except OSError as error:
                self._end()
                if line is not None:
                    line.close()
                raise died(error) from error
        return line

    def released(self) -> None:
        """A decoding is over."""
        with self._lock:
            self._live -= 1

    def close(self) -> None:
        """Ends the process; its forks end with their work."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        self._end()
        ours, theirs = socket.socketpair()
        with theirs:
            self._control = ours
            self._mother = subprocess.Popen(  # noqa: S603 - our own file
                [*self._command, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )
        ours.settimeout(TIMEOUT_S)
        if ours.recv(1) != b"!":
            raise ConnectionError("it did not start")

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._mother is not None:
            self._mother.kill()
            self._mother.wait()
        self._mother = self._control = None


class Line:
    """The way to one fork."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self.learnt = ""
        """How the person sounds, as of the last answer."""
        self.heard_s = self.draft_s = 0.0
        """What the last answer cost, seconds of a core: until the draft, and for it."""

    def tell(self, what: bytes, pcm: npt.NDArray[np.int16]) -> None:
        """Sends a message; waits while the fork is behind. Raises ``EngineFailed``."""
        self.send(what, pcm.tobytes())

    def send(self, what: bytes, raw: bytes) -> None:
        """As ``tell``, with anything."""
        try:
            self._line.sendall(what + len(raw).to_bytes(4, "little") + raw)
        except OSError as error:
            raise died(error) from error

    def ask(self, what: bytes, pcm: npt.NDArray[np.int16]) -> Transcript:
        """Sends a message and returns the answer. Raises ``EngineFailed``."""
        self.tell(what, pcm)
        try:
            reply = self._read(int.from_bytes(self._read(4), "little"))
        except OSError as error:
            raise died(error) from error
        heard, self.heard_s, self.draft_s, self.learnt = json.loads(reply)
        margin_s = MARGIN / RATE_HZ
        words = tuple(
            Word(text=text, start_s=max(0.0, start_s - margin_s), end_s=max(0.0, end_s - margin_s))
            for text, start_s, end_s in heard
        )
        text = " ".join(word.text for word in words)
        return Transcript(text=text, language="en", language_probability=1.0, words=words)

    def close(self) -> None:
        """Hangs up: the fork ends."""
        self._line.close()

    def _read(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            part = self._line.recv(size - len(got))
            if not part:
                raise ConnectionError("it ended")
            got += part
        return got


class SphinxDecoding:
    """One utterance that is decoded while it is spoken."""

    def __init__(self, engine: SphinxEngine, learnt: str = "") -> None:
        self._engine = engine
        self._line = engine.line()
        self._noise = np.random.default_rng(0)
        self._rest: Pcm = np.zeros(0, np.float32)
        """What is no whole block yet."""
        self.cuts = 0
        self._since_cut = 0
        self._level = 0.0
        """Mean square of what was heard since the last cut."""
        self._is_closed = False
        try:
            if learnt:
                self._line.send(b"M", learnt.encode())
            self._tell(np.zeros(MARGIN, np.float32))
        except EngineFailed:
            self._line.close()
            raise

    def feed(self, pcm: Pcm) -> None:
        """Takes more audio; waits while the recogniser is far behind. Raises ``EngineFailed``.

        However the audio comes in, it goes on in the same blocks: one sound is always heard in one way.
        """
        gathered = np.concatenate((self._rest, pcm))
        whole = len(gathered) - len(gathered) % BLOCK
        for start in range(0, whole, BLOCK):
            self._feed_block(gathered[start : start + BLOCK])
        self._rest = gathered[whole:]

    def _feed_block(self, pcm: Pcm) -> None:
        total = self._since_cut + len(pcm)
        self._level += (float(np.square(pcm).mean()) - self._level) * len(pcm) / total
        cut = quiet_place(pcm, self._level, is_urgent=total > CUT_AT_LAST) if total > CUT_AFTER else None
        if cut is None:
            self._tell(pcm)
            self._since_cut = total
            return
        self._tell(pcm[:cut])
        self._line.tell(b"C", np.zeros(0, np.int16))
        self._tell(pcm[cut:])
        self._since_cut = len(pcm) - cut
        self.cuts += 1

    @property
    def learnt(self) -> str:
        """The mean of the spectrum as of the last draft, for what the same person says next."""
        return self._line.learnt

    def draft(self) -> Transcript:
        """Returns what was said so far. Raises ``EngineFailed``."""
        ahead = copy.deepcopy(self._noise)
        return self._line.ask(b"D", on_noise(np.pad(self._rest, (0, MARGIN)), ahead))

    def close(self) -> None:
        """Ends the fork; may be called more than once."""
        if not self._is_closed:
            self._is_closed = True
            self._line.close()
            self._engine.released()

    def _tell(self, pcm: Pcm) -> None:
        self._line.tell(b"F", on_noise(pcm, self._noise))


def load_sphinx() -> SphinxEngine:
    """Returns the engine; its process starts with the first call.

    Raises:
        EngineRefused: pocketsphinx is not installed.
    """
    if not is_installed():
        raise EngineRefused("sphinx", "pocketsphinx is not installed", hint="pip install pocketsphinx")
    return SphinxEngine()


def died(error: OSError) -> EngineFailed:
    """Returns what is raised when a process is gone."""
    return EngineFailed("sphinx", f"the recogniser's process has died ({error})")


def dithered(pcm: Pcm) -> npt.NDArray[np.int16]:
    """Returns the audio as int16 over white noise, with a margin of noise; the same noise each time."""
    return on_noise(np.pad(pcm, MARGIN), np.random.default_rng(0))


def on_noise(pcm: Pcm, noise: np.random.Generator) -> npt.NDArray[np.int16]:
    """Returns the audio as int16 over white noise."""
    noisy = noise.normal(0.0, DITHER, len(pcm)) + pcm * 32768.0
    return np.clip(noisy, -32768, 32767).astype(np.int16)


def quiet_place(pcm: Pcm, level: float, *, is_urgent: bool) -> int | None:
    """Returns the middle of the quietest 50 ms, if quiet against the mean square ``level``, or urgent."""
    blocks = len(pcm) // QUIET_BLOCK
    if not blocks:
        return None
    loudness = np.square(pcm[: blocks * QUIET_BLOCK].reshape(blocks, -1)).mean(axis=1)
    quietest = int(np.argmin(loudness))
    if loudness[quietest] > QUIET**2 * level and not is_urgent:
        return None
    return quietest * QUIET_BLOCK + QUIET_BLOCK // 2


def buzz(seconds: float) -> Pcm:
    """Returns what is as much work as speech: pulses of 120 Hz through a filter that moves like vowels."""
    times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    sound = np.zeros(len(times))
    for formant, (low, high) in enumerate(((300, 800), (900, 2200), (2300, 3000))):
        centre = low + (high - low) * (0.5 + 0.5 * np.sin(2 * np.pi * (2.3 + 0.7 * formant) * times))
        for harmonic in range(1, 30):
            gain = np.exp(-(((harmonic * 120 - centre) / 150) ** 2))
            sound += gain * np.sin(2 * np.pi * harmonic * 120 * times)
    syllables = np.clip(np.sin(2 * np.pi * 4 * times), 0.05, 1)
    loud: Pcm = (0.2 * syllables * sound / np.abs(sound).max()).astype(np.float32)
    return loud
