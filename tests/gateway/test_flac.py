"""FLAC frames numbered anew, against the letter of RFC 9639 and against FFmpeg's encoder and decoder."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.flac import FlacStream, coded, crc, shifted

CRC8, CRC16 = (8, 0x07), (16, 0x8005)


def frames_of(samples: np.ndarray, rate_hz: int, level: int = 2) -> list[bytes]:
    encoder = av.CodecContext.create("flac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate_hz, "mono", "s16"
    encoder.options = {"compression_level": str(level)}
    encoder.open()
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    packets = [bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)]]
    return [packet for packet in packets if packet]


def decoded(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data), options={"err_detect": "crccheck+explode"}) as file:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])


def noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9000, 9000, size).astype(np.int16)


def test_the_known_answers_of_both_checksums() -> None:
    assert crc(b"123456789", CRC8) == 0xF4
    assert crc(b"123456789", CRC16) == 0xFEE8


@given(st.binary(max_size=20), st.integers(0, 5000))
def test_a_checksum_is_shifted_over_zeros(data: bytes, zeros: int) -> None:
    assert shifted(crc(data, CRC16), zeros) == crc(data + bytes(zeros), CRC16)


@given(st.integers(0, 0x10FFFF).filter(lambda number: not 0xD800 <= number < 0xE000))
def test_a_number_is_coded_as_in_utf_8(number: int) -> None:
    assert coded(number) == chr(number).encode()


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0x1FFFFF, "f7bfbfbf"),
        (0x200000, "f888808080"),
        (0x3FFFFFF, "fbbfbfbfbf"),
        (0x4000000, "fc8480808080"),
        (0x7FFFFFFF, "fdbfbfbfbfbf"),
        (0x80000000, "fe828080808080"),
        (0xFFFFFFFFF, "febfbfbfbfbfbf"),
    ],
)
def test_beyond_utf_8_a_number_has_up_to_seven_bytes(number: int, told: str) -> None:
    assert coded(number).hex() == told


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("level", [0, 2, 5])
def test_segments_of_any_length_become_one_stream_whose_sums_hold(rate_hz: int, level: int) -> None:
    """FFmpeg checks both sums of every frame and gives up at the first that is wrong."""
    segments = [noise(size, size) for size in (5000, 16, 300, 9001)]
    stream = FlacStream(rate_hz)
    data = stream.open() + b"".join(stream.add(frames_of(segment, rate_hz, level)) for segment in segments)
    assert np.array_equal(decoded(data), np.concatenate(segments))


def test_every_frame_is_numbered_by_its_first_sample_in_the_stream() -> None:
    stream = FlacStream(24000)
    stream.open()
    at = 0
    for size in (5000, 7000):
        for frame in frames_of(noise(size), 24000):
            again = stream.add([frame])
            assert again.startswith(b"\xff\xf9" + frame[2:4] + coded(at))
            assert crc(again[:-2], CRC16) == int.from_bytes(again[-2:], "big")
            at += min(576, size - (at if size == 5000 else at - 5000))


def test_a_stream_of_which_nothing_was_said_is_still_a_stream() -> None:
    head = FlacStream(22050).open()
    assert head[:8] == b"fLaC\x80\x00\x00\x22"
    assert int.from_bytes(head[18:21], "big") >> 4 == 22050
    assert len(head) == 42
