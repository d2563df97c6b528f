"""Sound on its way to the client: chunks of the voice become headers and bytes in the client's container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.gateway.chat_protocol import AudioEvent, AudioOut, Format, ServerEvent
from services.gateway.containers import Container, Joined, codec_of, make_container, rate_of
from shared.messages import AudioChunk, AudioFormat


def voice_format(audio_out: AudioOut) -> AudioFormat:
    """Returns what the voice has to make for a client's format."""
    form = audio_out.format
    return AudioFormat(codec=codec_of(form), rate_hz=rate_of(form, audio_out.rate_hz))


class Emit(Protocol):
    """What sends an event to a client."""

    def __call__(self, event: ServerEvent, payload: bytes = b"") -> None:
        """Sends an event, and the binary message that belongs to it."""


class Sink(Protocol):
    """The client's side of a session; never blocks."""

    def emit(self, event: ServerEvent, payload: bytes = b"") -> None:
        """Sends an event, and the binary message that belongs to it."""

    def drop_audio(self, turn_id: str) -> None:
        """Forgets sound of this turn that was not sent yet: the answer was interrupted."""


@dataclass(slots=True)
class _Track:
    """The sound of one turn, as its client gets it."""

    turn: int
    turn_id: str
    format: Format
    rate_hz: int
    container: Container
    is_plain: bool
    """It leaves sound as it is."""
    head: bytes
    """The container's beginning, until it was sent."""
    seq: int = 0
    segment: int = 0
    begins_ms: float = 0.0
    """Where in the turn's sound that begins which was not sent."""
    duration_ms: float = 0.0
    """Sound that the container holds back."""


class Loudspeaker:
    """Puts the chunks of each turn into one container."""

    __slots__ = ("_begins_ms", "_sink", "_track", "_turn_id", "_wanted")

    def __init__(self, sink: Sink, turn_id: Callable[[int], str]) -> None:
        self._sink = sink
        self._turn_id = turn_id
        self._wanted = AudioOut()
        self._track: _Track | None = None
        self._begins_ms = 0.0

    def use(self, audio_out: AudioOut) -> AudioFormat:
        """Sets the client's format from the next turn on; returns what the voice has to make for it."""
        self._wanted = audio_out
        return voice_format(audio_out)

    def begin_at(self, ms: float) -> None:
        """What is played next begins a container, ``ms`` behind the beginning of its turn's sound."""
        self._track, self._begins_ms = None, ms

    def play(self, turn: int, chunk: AudioChunk) -> None:
        """Sends one chunk."""
        track = self._track
        if track is None or track.turn != turn:
            container = make_container(self._wanted.format, chunk.rate_hz)
            form, name = self._wanted.format, self._turn_id(turn)
            is_plain = isinstance(container, Joined)
            track = _Track(turn, name, form, chunk.rate_hz, container, is_plain, head=container.open())
            track.begins_ms, self._begins_ms = self._begins_ms, 0.0
            self._track = track
        track.segment = chunk.segment
        track.duration_ms += 1000 * chunk.samples / chunk.rate_hz
        data = chunk.data if track.is_plain else track.container.add(chunk.data, chunk.packets, chunk.samples)
        self._send(track, data)

    def close(self, turn: int) -> None:
        """Sends the container's end, where it has one."""
        track, self._track = self._track, None
        if track is not None and track.turn == turn:
            self._send(track, track.container.finish())

    def _send(self, track: _Track, wrapped: bytes) -> None:
        payload = track.head + wrapped
        if not payload:
            return
        event = AudioEvent(
            turn_id=track.turn_id,
            segment=track.segment,
            seq=track.seq,
            format=track.format,
            rate_hz=track.rate_hz,
            duration_ms=int(1000 * track.duration_ms + 0.5) / 1000,  # ``round`` is many times as slow
            size_bytes=len(payload),
            start_ms=int(1000 * track.begins_ms + 0.5) / 1000,
        )
        track.begins_ms += track.duration_ms
        track.head, track.duration_ms = b"", 0.0
        track.seq += 1
        self._sink.emit(event, payload)
