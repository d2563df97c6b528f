"""Loudspeaker and microphone, where this machine has them: the only file that knows sounddevice.

PortAudio is used where it loads and finds a device (its package carries the library on macOS and Windows);
else a player program that most Linux systems have. Playing runs in a thread of its own, so the event loop
never waits for a sound card; what is played when is decided in ``playback``.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self

from eva.playback import Playback
from eva.wav import FRAME_MS
from shared.errors import EvaError

_PLAYERS: dict[str, list[str]] = {
    "aplay": ["-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "{rate}", "-B", "80000", "-R", "1", "-"],
    "paplay": ["--raw", "--format=s16le", "--channels=1", "--rate={rate}", "--latency-msec=40"],
    "ffplay": [
        "-nodisp", "-autoexit", "-loglevel", "quiet", "-fflags", "nobuffer", "-probesize", "32",
        "-f", "s16le", "-ar", "{rate}", "-i", "-",
    ],
}  # fmt: skip
"""Players, each told to begin at once and to buffer little: what they hold already cannot be held back."""
_DEVICE_TIMEOUT_S = 5.0


class Output(Protocol):
    """Somewhere that plays PCM; all methods block."""

    def write(self, pcm: bytes) -> None:
        """Plays, or buffers a little. Raises ``OSError`` when the device or the player is gone."""

    def close(self) -> None:
        """Returns when everything was played."""


def portaudio() -> ModuleType | None:
    """Returns sounddevice, or None where PortAudio is absent."""
    try:
        import sounddevice  # noqa: PLC0415 - takes long, and fails where PortAudio is missing
    except OSError:
        return None
    module: ModuleType = sounddevice
    return module


def device_name(kind: str) -> str | None:
    """Returns the default device's name, ``kind`` ``input`` or ``output``; None if there is none."""
    if (audio := portaudio()) is None:
        return None
    try:
        return str(audio.query_devices(kind=kind)["name"])
    except (audio.PortAudioError, ValueError):
        return None


class _PortAudioOutput:
    def __init__(self, audio: Any, rate_hz: int) -> None:
        self._stream = audio.RawOutputStream(samplerate=rate_hz, channels=1, dtype="int16", latency="low")
        self._stream.start()
        self._failed: type[Exception] = audio.PortAudioError

    def write(self, pcm: bytes) -> None:
        try:
            self._stream.write(pcm)
        except self._failed as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        self._stream.stop()
        self._stream.close()


class _ProgramOutput:
    def __init__(self, argv: list[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - a fixed list of players
            argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def write(self, pcm: bytes) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(pcm)
            self._process.stdin.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.communicate()


def open_output(rate_hz: int) -> Output | None:
    """Returns where sound can be played on this machine, or None."""
    if (audio := portaudio()) is not None:
        with contextlib.suppress(audio.PortAudioError, ValueError):
            return _PortAudioOutput(audio, rate_hz)
    for name, arguments in _PLAYERS.items():
        if path := shutil.which(name):
            return _ProgramOutput([path, *(part.format(rate=rate_hz) for part in arguments)])
    return None


class SoundOverrun(EvaError):
    """EVA sends far more sound than is played."""

    code = "sound_overrun"


class Player:
    """Plays pieces of sound in order in a thread; leaving it waits until the last one was heard."""

    def __init__(self, output: Output, rate_hz: int) -> None:
        self._output = output
        self._playback = Playback(rate_hz)
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._play, name="player", daemon=True)
        self._is_closing = False
        self.is_broken = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._news:
            if kind is not None or self._playback.is_held:
                self._playback.drop()
            self._is_closing = True
            self._news.notify()
        self._thread.join()

    def play(self, turn_id: str, pcm: bytes) -> None:
        """Adds a piece of PCM. Raises ``SoundOverrun`` when ten minutes wait already."""
        with self._news:
            if not self._playback.add(turn_id, pcm):
                raise SoundOverrun("EVA sent ten minutes of sound ahead of its time")
            self._news.notify()

    def hold(self) -> None:
        """Stops where it is."""
        with self._news:
            self._playback.hold()

    def go_on(self) -> None:
        """Plays on exactly from where it was held."""
        with self._news:
            self._playback.go_on()
            self._news.notify()

    def drop(self) -> None:
        """Forgets what was not played yet."""
        with self._news:
            self._playback.drop()

    def played_ms(self, turn_id: str) -> float:
        """Returns how much of a turn was heard."""
        with self._news:
            return self._playback.played_ms(turn_id, time.monotonic())

    def _play(self) -> None:
        while pcm := self._next():
            if not self.is_broken:
                try:
                    self._output.write(pcm)
                except OSError:  # the player program ended, or the device was unplugged
                    self.is_broken = True
        self._output.close()

    def _next(self) -> bytes:
        """Returns what is to be played as soon as it is due; nothing when all is over."""
        with self._news:
            while not (pcm := self._playback.take(time.monotonic())):
                if self._is_closing and self._playback.is_empty:
                    return b""
                self._news.wait(self._playback.due_s(time.monotonic()))
            return pcm


async def microphone(rate_hz: int) -> AsyncIterator[bytes]:
    """Yields 20 ms frames of the default microphone until closed; a slow reader loses the oldest ones."""
    audio = portaudio()
    if audio is None:
        return
    frames: asyncio.Queue[bytes] = asyncio.Queue(50)
    loop = asyncio.get_running_loop()

    def keep(frame: bytes) -> None:
        if frames.full():
            frames.get_nowait()
        frames.put_nowait(frame)

    def on_frame(data: Any, _count: int, _time: Any, _status: Any) -> None:
        loop.call_soon_threadsafe(keep, bytes(data))

    size = rate_hz * FRAME_MS // 1000
    stream = audio.RawInputStream(
        samplerate=rate_hz, channels=1, dtype="int16", blocksize=size, callback=on_frame
    )
    with stream:
        while True:
            async with asyncio.timeout(_DEVICE_TIMEOUT_S):
                frame = await frames.get()
            yield frame


@dataclass(frozen=True, kw_only=True)
class Room:
    """The devices around a person at the terminal; tests bring their own."""

    microphone: Callable[[int], AsyncIterator[bytes]] = microphone
    output: Callable[[int], Output | None] = open_output
    has_microphone: Callable[[], bool] = lambda: device_name("input") is not None
    keyboard: Callable[[], int] = sys.stdin.fileno
    """The terminal's file descriptor."""
