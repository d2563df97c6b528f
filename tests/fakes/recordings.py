"""Files as people have them, made on the spot: any container, from known samples."""

from __future__ import annotations

import io

import av
import numpy as np

from tests.fakes.speech import Pcm

CONTAINERS: dict[str, tuple[str, str, int]] = {
    "wav": ("wav", "pcm_s16le", 44100),
    "mp3": ("mp3", "libmp3lame", 44100),
    "opus in ogg": ("ogg", "libopus", 48000),
    "opus in webm": ("webm", "libopus", 48000),
    "flac": ("flac", "flac", 16000),
    "m4a": ("ipod", "aac", 44100),
    "aac": ("adts", "aac", 22050),
    "mp4": ("mp4", "aac", 48000),
    "telephone": ("wav", "pcm_mulaw", 8000),
}
"""What a test may name: container, codec, rate."""


def packed(pcm: Pcm, kind: str = "wav", *, layout: str = "mono", has_video: bool = False) -> bytes:
    """Returns 16 kHz ``pcm`` as a file."""
    container, codec, rate_hz = CONTAINERS[kind]
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        video = file.add_stream("mpeg4", rate=10) if has_video else None
        stream = file.add_stream(codec, rate=rate_hz)
        stream.layout = layout
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for number in range(10):
                picture = np.full((48, 64, 3), 20 * number, dtype=np.uint8)
                file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            file.mux(video.encode(None))
        whole = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout="mono"
        )
        whole.sample_rate = 16000
        resampler = av.AudioResampler(
            format=stream.format.name, layout=layout, rate=rate_hz, frame_size=stream.frame_size or 0
        )
        for frame in [*resampler.resample(whole), *resampler.resample(None)]:
            frame.pts = None
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def silent_video() -> bytes:
    """A film without sound."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        video = file.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        picture = np.zeros((48, 64, 3), dtype=np.uint8)
        file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(video.encode(None))
    return out.getvalue()


def long_silence(hours: float) -> bytes:
    """Hours of digital silence in a file of some hundred kilobytes."""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as file:
        stream = file.add_stream("flac", rate=8000)
        stream.layout = "mono"
        second = np.zeros((1, 8000 * 60), dtype=np.int16)
        for _ in range(round(hours * 60)):
            frame = av.AudioFrame.from_ndarray(second, format="s16", layout="mono")
            frame.sample_rate = 8000
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()
