"""Every format at every rate: two segments of two encoders, joined as the gateway does, decoded again."""

from __future__ import annotations

import io
from functools import partial
from typing import get_args

import av
import numpy as np
import pytest

from services.gateway.chat_protocol import Format
from services.gateway.containers import codec_of, make_container, rate_of
from services.tts.codecs import CODINGS, OPUS_RATE_HZ, adts
from services.tts.encode import Chunk, Encoder
from shared.audio import Samples, rms
from shared.messages import AudioFormat

RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
VOICE_HZ = 22050
RAW = {"pcm": "pcm_s16le", "mulaw": "pcm_mulaw", "alaw": "pcm_alaw"}


def sung(seconds: float, hertz: float) -> Samples:
    """A gliding tone with quiet edges, as a finished line has."""
    at = np.arange(round(seconds * VOICE_HZ)) / VOICE_HZ
    edge = np.minimum(1.0, np.minimum(at, seconds - at) / 0.03)
    return (0.4 * edge * np.sin(2 * np.pi * (hertz * at + 60 * at**2))).astype(np.float32)


SEGMENTS = (sung(0.7, 300.0), sung(0.53, 500.0))


def encoded(form: Format, rate_hz: int, segment: Samples) -> tuple[Encoder, list[Chunk]]:
    encoder = Encoder(AudioFormat(codec=codec_of(form), rate_hz=rate_of(form, rate_hz)))
    chunks = [
        chunk
        for at in range(0, len(segment), 2048)
        for chunk in encoder.push(segment[at : at + 2048], VOICE_HZ)
    ]
    return encoder, [*chunks, *encoder.finish()]


def streamed(form: Format, rate_hz: int, *segments: list[Chunk]) -> bytes:
    container = make_container(form, rate_hz)
    parts = [
        container.add(chunk.data, chunk.packets, chunk.samples) for chunks in segments for chunk in chunks
    ]
    return b"".join([container.open(), *parts, container.finish()])


def decoded(form: Format, rate_hz: int, data: bytes) -> Samples:
    if form == "opus_packets":
        return from_packets(data)
    if form in RAW:
        context = av.CodecContext.create(RAW[form], "r")
        context.sample_rate, context.layout = rate_hz, "mono"
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    else:
        with av.open(io.BytesIO(data)) as file:
            assert file.streams.audio[0].rate == rate_of(form, rate_hz)
            frames = list(file.decode(audio=0))
    return joined(frames)


def from_packets(data: bytes) -> Samples:
    context = av.CodecContext.create("libopus", "r")
    context.sample_rate, context.layout = OPUS_RATE_HZ, "mono"
    frames = []
    while data:
        size = int.from_bytes(data[:2], "big")
        frames += context.decode(av.Packet(data[2 : 2 + size]))
        data = data[2 + size :]
    return joined([*frames, *context.decode(None)])


def joined(frames: list[av.AudioFrame]) -> Samples:
    arrays = [frame.to_ndarray().reshape(-1) for frame in frames]
    scale = 1.0 if arrays[0].dtype == np.float32 else 32768.0
    return np.concatenate(arrays).astype(np.float32) / np.float32(scale)


def likeness(heard: Samples, meant: Samples) -> float:
    return float(np.dot(heard, meant) / (np.linalg.norm(heard) * np.linalg.norm(meant)))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("form", get_args(Format))
def test_two_segments_joined_are_heard_as_they_were_said_and_where_the_positions_say(
    form: Format, rate_hz: int
) -> None:
    made = [encoded(form, rate_hz, segment) for segment in SEGMENTS]
    data = streamed(form, rate_hz, *(chunks for _, chunks in made))
    heard = decoded(form, rate_hz, data)
    total = sum(encoder.samples for encoder, _ in made)
    # Ogg tells the delay of the first packet, which a decoder takes away; the last page is cut accordingly.
    begin = -CODINGS["opus"].delay if form == "opus" else 0
    assert total + begin <= len(heard) <= total
    for (encoder, _), segment in zip(made, SEGMENTS, strict=True):
        plain_rate, meant_chunks = encoder.rate_hz, encoded("pcm", encoder.rate_hz, segment)[1]
        meant = decoded("pcm", plain_rate, b"".join(chunk.data for chunk in meant_chunks))
        at = begin + encoder.delay
        slack = range(-8, 9) if "opus" in form and at >= 8 else range(1)  # its high-pass turns the phase
        found = max((heard[at + by : at + by + len(meant)] for by in slack), key=partial(likeness, meant))
        assert likeness(found, meant) > 0.96
        assert rms(found) == pytest.approx(rms(meant), rel=0.1)
        begin += encoder.samples


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("form", ["wav", "flac"])
def test_lossless_is_bit_by_bit_the_pcm(form: Format, rate_hz: int) -> None:
    segments = [encoded(form, rate_hz, segment)[1] for segment in SEGMENTS]
    plain = b"".join(chunk.data for segment in SEGMENTS for chunk in encoded("pcm", rate_hz, segment)[1])
    heard = decoded(form, rate_hz, streamed(form, rate_hz, *segments))
    meant = decoded("pcm", rate_hz, plain)
    assert np.array_equal(heard, meant)


@pytest.mark.parametrize("form", ["mp3", "aac", "opus"])
def test_where_two_segments_meet_there_is_no_click(form: Format) -> None:
    made = [encoded(form, 24000, segment) for segment in SEGMENTS]
    heard = decoded(form, 24000, streamed(form, 24000, *(chunks for _, chunks in made)))
    seam = made[0][0].samples
    rate_hz = made[0][0].rate_hz
    around = heard[seam - rate_hz // 100 : seam + rate_hz // 100]
    assert np.abs(np.diff(around)).max() < np.abs(np.diff(heard)).max() / 2


def test_the_first_chunk_of_every_codec_comes_after_at_most_150_ms_of_sound_from_16_khz_on() -> None:
    for form in get_args(Format):
        for rate_hz in RATES_HZ[1:]:
            encoder = Encoder(AudioFormat(codec=codec_of(form), rate_hz=rate_of(form, rate_hz)))
            assert list(encoder.push(sung(0.15, 300.0), VOICE_HZ)), (form, rate_hz)


def test_a_flac_segment_of_a_few_samples_is_a_whole_frame() -> None:
    for size in (1, 15, 16, 17, 600):
        encoder = Encoder(AudioFormat(codec="flac", rate_hz=24000))
        chunks = [*encoder.push(np.full(size, 0.1, np.float32), 24000), *encoder.finish()]
        heard = decoded("flac", 24000, streamed("flac", 24000, chunks, chunks))
        assert len(heard) == 2 * max(size, 16) == 2 * encoder.samples


def test_a_header_of_adts_says_rate_channel_and_size() -> None:
    header = adts(bytes(300), 24000)[:7]
    assert header[:2] == b"\xff\xf1"
    assert (header[2] >> 6, header[2] >> 2 & 15) == (1, 6)
    assert (header[2] & 1) << 2 | header[3] >> 6 == 1
    assert (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5 == 307
