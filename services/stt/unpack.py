"""Recordings of any container to 16 kHz, by PyAV: bit by bit, in bounded memory, told by content alone.

What comes from a client is not trusted. FFmpeg knows formats that open other files or addresses (playlists,
concatenations); only plain containers are let in, and nothing may be opened but the bytes that are there. A
small file can hold days of silence: it is never unpacked as a whole. Damaged parts are skipped, as players
do it.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from services.stt.engine import RATE_HZ
from shared.errors import EvaError

if TYPE_CHECKING:  # loaded with the first recording, in its thread
    import av
    from av.audio.stream import AudioStream

FORMATS = "wav,w64,aiff,caf,mp3,aac,flac,ogg,matroska,webm,mov,mp4,m4a,amr"
READ_SAMPLES = 10 * RATE_HZ
"""What one ``read`` returns, about."""
PACKETS_A_READ = 4096
"""More packets without sound are no recording worth waiting for: ``read`` returns what there is."""
MAX_DAMAGED = 1000
PIECE_AT_ONCE = 1 << 16
"""Samples of one decoded frame beyond which a file is not sound: codecs have a few thousand."""

Samples = npt.NDArray[np.int16]


class Unreadable(EvaError):
    """Theirs: there is no sound to be had from this file."""

    code: ClassVar[str] = "unreadable_audio"


class TooLong(EvaError):
    """Theirs: the recording is longer than is taken."""

    code: ClassVar[str] = "too_long"


class Unpacker:
    """One recording; for one thread at a time."""

    def __init__(self, file: io.BytesIO, *, longest_s: float) -> None:
        """Opens it. Blocks. Raises ``Unreadable``."""
        import av  # noqa: PLC0415 - 0.3 s, only where there are recordings

        self._longest = int(longest_s * RATE_HZ)
        self._longest_s = longest_s
        self._damaged = 0
        self.samples = 0
        """At 16 kHz, so far."""
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "", "max_streams": "64"}
        try:
            self._container = av.open(file, mode="r", options=options, metadata_errors="ignore")
        except (av.FFmpegError, ValueError, OSError) as error:
            raise Unreadable("this is not a recording of a kind that is known") from error
        streams = self._container.streams.audio
        if not streams or streams[0].codec_context is None:
            self._container.close()
            raise Unreadable("there is no sound in this file")
        self._decoded = self._decode(streams[0])

    def read(self) -> Samples | None:
        """Returns the next samples, about 10 s, perhaps none; None at the end. Blocks.

        Raises:
            Unreadable: nothing at all could be decoded.
            TooLong: it is longer than ``longest_s``.
        """
        pieces: list[Samples] = []
        count = 0
        for piece in self._decoded:
            pieces.append(piece)
            count += len(piece)
            self.samples += len(piece)
            if self.samples > self._longest:
                raise TooLong(f"a recording may have {self._longest_s / 60:g} minutes")
            if count >= READ_SAMPLES or len(pieces) >= PACKETS_A_READ:
                return np.concatenate(pieces)
        if pieces:
            return np.concatenate(pieces)
        if not self.samples and self._damaged:
            raise Unreadable("nothing in this file could be decoded")
        return None

    def close(self) -> None:
        """Lets the file go."""
        self._decoded.close()
        self._container.close()

    def _decode(self, stream: AudioStream) -> Generator[Samples, None, None]:
        """Yields what each packet holds, at least an empty piece, so that reading can stop between them."""
        import av  # noqa: PLC0415 - as in the constructor

        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                pieces = [
                    _samples(out) for frame in packet.decode() for out in resampler.resample(_checked(frame))
                ]
            except (av.FFmpegError, ValueError) as error:
                self._damaged += 1
                if self._damaged > MAX_DAMAGED or isinstance(error, av.EOFError):
                    break
                yield np.empty(0, dtype=np.int16)
                continue
            yield from pieces
            yield np.empty(0, dtype=np.int16)
        for out in resampler.resample(None):
            yield _samples(out)


def _checked(frame: av.AudioFrame) -> av.AudioFrame:
    if frame.samples > PIECE_AT_ONCE:
        raise Unreadable("its frames are longer than those of any recording")
    frame.pts = None  # what is lost in the middle does not come back as silence
    return frame


def _samples(frame: av.AudioFrame) -> Samples:
    return np.frombuffer(bytes(frame.planes[0]), dtype=np.int16, count=frame.samples)
