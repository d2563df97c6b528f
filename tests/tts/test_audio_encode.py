from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.codecs import STANDARD_RATES_HZ, usable_rate
from services.tts.encode import Chunk, Encoder
from shared.audio import Samples, from_pcm16, rms
from shared.messages import AudioFormat, Codec
from tests.fakes.voices import tone


def encode(pieces: list[tuple[Samples, int]], codec: Codec, rate_hz: int, chunk_ms: int = 60) -> list[Chunk]:
    encoder = Encoder(AudioFormat(codec=codec, rate_hz=rate_hz), chunk_ms=chunk_ms)
    chunks = [chunk for samples, rate in pieces for chunk in encoder.push(samples, rate)]
    chunks += encoder.finish()
    position = 0
    for chunk in chunks:
        assert chunk.start == position
        assert chunk.samples > 0
        assert chunk.rate_hz == encoder.rate_hz
        assert len(chunk.data) + sum(map(len, chunk.packets)) < 64 * 1024
        position += chunk.samples
    assert position == encoder.samples
    return chunks


def decode_mp3(data: bytes) -> Samples:
    with av.open(io.BytesIO(data), format="mp3") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(frames).astype(np.float32)


def decode_opus(packets: list[bytes]) -> Samples:
    context = av.AudioCodecContext.create("libopus", "r")
    context.sample_rate, context.layout = 48000, "mono"
    frames = [frame for packet in packets for frame in context.decode(av.Packet(packet))]
    frames += context.decode(None)
    return np.concatenate([from_pcm16(frame.to_ndarray().tobytes()) for frame in frames])


def pitch_hz(samples: Samples, rate_hz: int) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate_hz / len(samples))


def test_pcm_at_the_voice_s_own_rate_is_the_same_samples() -> None:
    samples = tone(1.0, rate_hz=22050)
    chunks = encode([(samples, 22050)], "pcm", 22050)
    assert sum(chunk.samples for chunk in chunks) == 22050
    assert {chunk.samples for chunk in chunks[:-1]} == {1323}
    again = from_pcm16(b"".join(chunk.data for chunk in chunks))
    assert np.abs(again - samples).max() < 1e-4
    assert chunks[0].level == pytest.approx(0.3 / 2**0.5, rel=0.01)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 48000])
def test_pcm_at_another_rate_keeps_length_and_pitch(rate_hz: int) -> None:
    chunks = encode([(tone(1.0, rate_hz=22050), 22050)], "pcm", rate_hz)
    again = from_pcm16(b"".join(chunk.data for chunk in chunks))
    assert abs(len(again) - rate_hz) <= 2
    assert pitch_hz(again, rate_hz) == pytest.approx(440, abs=3)


def test_chunks_are_as_long_as_was_asked() -> None:
    for chunk_ms in (40, 100):
        chunks = encode([(tone(1.0, rate_hz=24000), 24000)], "pcm", 24000, chunk_ms)
        assert {chunk.samples for chunk in chunks} == {24 * chunk_ms}


def test_a_segment_may_change_its_rate_in_the_middle() -> None:
    pieces = [(tone(0.5, rate_hz=22050), 22050), (tone(0.5, rate_hz=16000), 16000)]
    again = from_pcm16(b"".join(chunk.data for chunk in encode(pieces, "pcm", 24000)))
    assert abs(len(again) - 24000) <= 4
    for half in (again[:11000], again[13000:]):
        assert pitch_hz(half, 24000) == pytest.approx(440, abs=5)


@pytest.mark.parametrize("rate_hz", [16000, 24000, 44100])
def test_mp3_of_several_segments_joined_is_one_stream_of_the_summed_length(rate_hz: int) -> None:
    segments = [
        encode([(tone(seconds, rate_hz=22050), 22050)], "mp3", rate_hz) for seconds in (0.4, 1.0, 0.7)
    ]
    data = b"".join(chunk.data for chunks in segments for chunk in chunks)
    assert b"ID3" not in data
    assert b"Xing" not in data
    decoded = decode_mp3(data)
    assert len(decoded) == sum(chunk.samples for chunks in segments for chunk in chunks)
    assert len(decoded) / rate_hz == pytest.approx(2.1, abs=3 * 0.15)  # three encoder delays
    assert pitch_hz(decoded, rate_hz) == pytest.approx(440, abs=3)
    assert rms(decoded) > 0.1


def test_opus_packets_of_20_ms_decode_to_the_sound() -> None:
    chunks = encode([(tone(1.0, rate_hz=22050), 22050)], "opus", 48000)
    assert all(chunk.data == b"" for chunk in chunks)
    assert {len(chunk.packets) * 960 == chunk.samples for chunk in chunks} == {True}
    assert {len(chunk.packets) for chunk in chunks[:-1]} == {3}
    decoded = decode_opus([packet for chunk in chunks for packet in chunk.packets])
    assert len(decoded) / 48000 == pytest.approx(1.0, abs=0.05)
    assert pitch_hz(decoded, 48000) == pytest.approx(440, abs=3)
    assert rms(decoded) > 0.1


@pytest.mark.parametrize("codec", ["mp3", "opus"])
def test_the_level_of_an_encoded_chunk_tells_sound_from_silence(codec: Codec) -> None:
    quiet = np.zeros(22050, np.float32)
    loud = encode([(tone(1.0, rate_hz=22050), 22050)], codec, 48000)
    assert loud[2].level == pytest.approx(0.3 / 2**0.5, rel=0.05)
    assert max(chunk.level for chunk in encode([(quiet, 22050)], codec, 48000)) == 0.0


@pytest.mark.parametrize("codec", ["pcm", "mp3", "opus"])
def test_no_audio_is_no_sound(codec: Codec) -> None:
    assert all(chunk.level == 0.0 for chunk in encode([], codec, 24000))
    assert encode([(np.zeros(0, np.float32), 22050)], "pcm", 24000) == []


def test_what_is_no_sound_is_made_harmless() -> None:
    wild = np.array([np.nan, np.inf, -np.inf, 7.0, -7.0] * 480, np.float32)
    again = from_pcm16(b"".join(chunk.data for chunk in encode([(wild, 24000)], "pcm", 24000)))
    assert list(again[:5]) == pytest.approx([0.0, 1.0, -1.0, 1.0, -1.0], abs=1e-4)


@pytest.mark.parametrize(
    ("codec", "wanted", "usable"),
    [
        ("opus", 24000, 48000),
        ("mp3", 24000, 24000),
        ("mp3", 23000, 24000),
        ("mp3", 96000, 48000),
        ("pcm", 44100, 44100),
        ("pcm", 1, 8000),
        ("pcm", 10**9, 48000),
    ],
)
def test_a_rate_that_the_codec_cannot_have_becomes_the_next(codec: Codec, wanted: int, usable: int) -> None:
    assert usable_rate(AudioFormat(codec=codec, rate_hz=wanted)) == usable


@given(
    st.lists(st.integers(0, 9000), max_size=5),
    st.sampled_from(["pcm", "mp3", "opus"]),
    st.sampled_from(STANDARD_RATES_HZ),
    st.integers(40, 100),
)
def test_positions_have_no_gap_however_the_pieces_fall(
    lengths: list[int], codec: Codec, rate_hz: int, chunk_ms: int
) -> None:
    encode([(np.full(length, 0.1, np.float32), 22050) for length in lengths], codec, rate_hz, chunk_ms)
