"""The offline engine: pocketsphinx, whose wheel carries a US English model. Degraded, and it says so.

About one word in four is wrong in clear read speech. Digital silence breaks its noise estimate (72 % of
words wrong, against 22 %), so white noise is laid under all audio.
"""

from __future__ import annotations

import importlib.util
import queue
import subprocess
import sys
from pathlib import Path

import numpy as np

from services.stt.engine import RATE_HZ, EngineInfo, Pcm, Transcript
from shared.errors import EngineFailed, EngineRefused

DITHER = 100.0
"""Standard deviation of the noise, in int16 units."""
MARGIN_S = 0.2
"""Noise before and behind the audio."""
INFO = EngineInfo(name="sphinx", model="en-us", device="cpu", languages=("en",), is_degraded=True, parallel=2)


def is_installed() -> bool:
    """Whether pocketsphinx is there."""
    return importlib.util.find_spec("pocketsphinx") is not None


class SphinxEngine:
    """Up to ``INFO.parallel`` recogniser processes, each started when it is first needed."""

    info = INFO

    def __init__(self, command: list[str] | None = None) -> None:
        path = Path(__file__).with_name("sphinx_process.py")
        self._command = command or [sys.executable, "-P", str(path)]
        self._idle: queue.LifoQueue[subprocess.Popen[bytes] | None] = queue.LifoQueue()
        self._is_closed = False
        for _ in range(INFO.parallel):
            self._idle.put(None)

    def transcribe(self, pcm: Pcm, language: str | None, *, likely: str = "") -> Transcript:  # noqa: ARG002 - English only
        """Returns what is said in English, in small letters without punctuation."""
        process = self._idle.get()
        try:
            if process is None:
                process = self._start()
            raw = dithered(pcm).tobytes()
            assert process.stdin is not None
            process.stdin.write(len(raw).to_bytes(4, "little") + raw)
            process.stdin.flush()
            text = _answer(process)
        except (OSError, EOFError) as error:
            if process is not None:
                _end(process)
            self._idle.put(None)
            raise EngineFailed("sphinx", f"the recogniser's process has died ({error})") from error
        self._idle.put(process)
        if self._is_closed:
            self.close()
        return Transcript(text=text, language="en", language_probability=1.0)

    def close(self) -> None:
        """Ends the processes; one that is at work ends with its work."""
        self._is_closed = True
        while not self._idle.empty():
            process = self._idle.get()
            if process is not None:
                _end(process)

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own file
        try:
            _answer(process)
        except EOFError:
            _end(process)
            raise
        return process


def load_sphinx() -> SphinxEngine:
    """Returns the engine; its first process starts with the first call.

    Raises:
        EngineRefused: pocketsphinx is not installed.
    """
    if not is_installed():
        raise EngineRefused("sphinx", "pocketsphinx is not installed", hint="pip install pocketsphinx")
    return SphinxEngine()


def dithered(pcm: Pcm) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Returns the audio as int16 over white noise, with a margin of noise; the same noise each time."""
    margin = int(MARGIN_S * RATE_HZ)
    noisy = np.random.default_rng(0).normal(0.0, DITHER, len(pcm) + 2 * margin)
    noisy[margin : margin + len(pcm)] += pcm * 32768.0
    return np.clip(noisy, -32768, 32767).astype(np.int16)


def _answer(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    header = process.stdout.read(4)
    if len(header) < 4:
        raise EOFError("it ended")
    return process.stdout.read(int.from_bytes(header, "little")).decode()


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue  # the last bytes could not be written: it is gone already
    process.kill()
    process.wait()
