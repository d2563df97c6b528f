"""The wrapping of sound: pure, and decoded back by a decoder that is not ours."""

import io
import struct
import wave

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.containers import (
    codec_of,
    make_container,
    mime_of,
    rate_of,
    wav_file,
    wav_header,
)
from services.gateway.ogg import PACKET_SAMPLES, OggOpus, crc, lacing

RATE_HZ = 48_000


def tone(seconds: float) -> np.ndarray:
    at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (0.5 * np.sin(2 * np.pi * 440 * at) * 32767).astype(np.int16)


def opus_packets(samples: np.ndarray) -> list[bytes]:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE_HZ, "mono", "s16"
    encoder.options = {"application": "audio"}
    packets = []
    for start in range(0, len(samples), PACKET_SAMPLES):
        part = samples[start : start + PACKET_SAMPLES]
        frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets + [bytes(packet) for packet in encoder.encode(None)]


def decoded(data: bytes) -> tuple[np.ndarray, int]:
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
        return np.concatenate([np.asarray(frame).reshape(-1) for frame in frames]), stream.rate


def pages_of(data: bytes) -> list[dict]:
    """Reads Ogg pages by the letter of RFC 3533, checking each checksum."""
    pages = []
    while data:
        capture, version, kind, granule, serial, number, checksum, count = struct.unpack(
            "<4sBBqIIIB", data[:27]
        )
        sizes = list(data[27 : 27 + count])
        size = 27 + count + sum(sizes)
        assert capture == b"OggS"
        assert version == 0
        assert crc(data[:22] + bytes(4) + data[26:size]) == checksum
        pages.append({
            "kind": kind, "granule": granule, "serial": serial, "number": number, "sizes": sizes,
            "body": data[27 + count : size],
        })  # fmt: skip
        data = data[size:]
    return pages


def packets_of(pages: list[dict]) -> list[bytes]:
    packets, packet = [], b""
    for page in pages:
        at = 0
        for size in page["sizes"]:
            packet += page["body"][at : at + size]
            at += size
            if size < 255:
                packets.append(packet)
                packet = b""
    assert packet == b""
    return packets


def test_opus_in_ogg_is_decoded_to_the_tone_that_was_encoded_with_its_true_length() -> None:
    samples = tone(1.01)
    packets = opus_packets(samples)
    container = make_container("opus", RATE_HZ)
    data = container.open()
    batches = [packets[start : start + 3] for start in range(0, len(packets), 3)]
    for batch in batches[:-1]:
        data += container.add(b"", batch, 3 * PACKET_SAMPLES)
    data += container.add(b"", batches[-1], len(samples) - 3 * PACKET_SAMPLES * (len(batches) - 1))
    data += container.finish()
    heard, rate_hz = decoded(data)
    assert rate_hz == RATE_HZ
    assert len(heard) == len(samples)
    wanted = samples / 32768
    assert np.corrcoef(heard[4800:-4800], wanted[4800:-4800])[0, 1] > 0.99


def test_the_known_answer_of_the_ogg_checksum() -> None:
    assert crc(b"123456789") == 0x89A1897F
    assert crc(b"") == 0


@pytest.mark.parametrize(("size", "sizes"), [(0, [0]), (254, [254]), (255, [255, 0]), (600, [255, 255, 90])])
def test_a_packet_ends_with_a_short_segment(size: int, sizes: list[int]) -> None:
    assert [len(piece) for piece in lacing(bytes(size))] == sizes


def test_a_stream_of_which_nothing_was_said_is_ended_all_the_same() -> None:
    stream = OggOpus(RATE_HZ)
    pages = pages_of(stream.open() + stream.add([], 0) + stream.finish())
    assert [page["kind"] for page in pages] == [2, 0, 4]
    assert pages[-1]["granule"] == 0


@given(
    st.lists(st.lists(st.binary(max_size=700), max_size=6), max_size=8),
    st.integers(0, 2),
)
def test_any_packets_come_out_of_the_pages_as_they_went_in(batches: list[list[bytes]], short: int) -> None:
    stream = OggOpus(RATE_HZ)
    data = stream.open()
    for batch in batches:
        data += stream.add(batch, max(0, len(batch) * PACKET_SAMPLES - short * 400))
    data += stream.finish()
    pages = pages_of(data)
    assert packets_of(pages)[2:] == [packet for batch in batches for packet in batch]
    assert [page["number"] for page in pages] == list(range(len(pages)))
    assert [page["kind"] & 4 for page in pages] == [0] * (len(pages) - 1) + [4]
    granules = [page["granule"] for page in pages if page["granule"] >= 0]
    assert granules == sorted(granules)


def test_a_batch_too_long_for_one_page_goes_on_within_a_packet_on_the_next() -> None:
    stream = OggOpus(RATE_HZ)
    stream.open()
    packets = [bytes([number]) * 70_000 for number in range(3)]
    data = stream.add(packets, 3 * PACKET_SAMPLES) + stream.finish()
    pages = pages_of(data)
    assert packets_of(pages) == packets
    assert [page["kind"] for page in pages] == [0, 1, 1, 0, 5]
    assert [page["granule"] for page in pages] == [-1, 960, 1920, -1, 2880]


def test_a_wav_stream_opens_with_a_header_that_promises_no_length() -> None:
    container = make_container("wav", 22_050)
    data = container.open() + container.add(b"\1\2\3\4", [], 2) + container.finish()
    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
    heard, rate_hz = decoded(data)
    assert (heard.tolist(), rate_hz) == ([0x0201, 0x0403], 22_050)


def test_a_wav_file_tells_its_true_size() -> None:
    pcm = tone(0.1).tobytes()
    with wave.open(io.BytesIO(wav_file(pcm, RATE_HZ))) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, RATE_HZ)
        assert read.readframes(read.getnframes()) == pcm
    assert len(wav_header(8000)) == 44


@pytest.mark.parametrize("form", ["pcm", "mp3"])
def test_pcm_and_mp3_are_joined_as_they_are(form: str) -> None:
    container = make_container(form, 24_000)
    parts = [container.open(), container.add(b"one", [], 1), container.add(b"two", [], 1), container.finish()]
    assert b"".join(parts) == b"onetwo"


def test_the_voice_is_asked_for_what_the_container_holds() -> None:
    assert [codec_of(form) for form in ("pcm", "wav", "mp3", "opus")] == ["pcm", "pcm", "mp3", "opus"]


def test_bare_packets_stand_behind_their_lengths() -> None:
    container = make_container("opus_packets", RATE_HZ)
    data = container.open() + container.add(b"", [b"a" * 300, b"b"], 1920) + container.finish()
    assert data == b"\x01\x2c" + b"a" * 300 + b"\x00\x01b"
    assert (codec_of("opus_packets"), codec_of("flac")) == ("opus", "flac")


def test_the_rate_is_the_asked_one_but_for_opus_and_named_where_the_samples_do_not_tell_it() -> None:
    assert [rate_of(form, 8000) for form in ("opus", "opus_packets", "aac", "wav")] == [
        48000,
        48000,
        8000,
        8000,
    ]
    assert (mime_of("mulaw", 8000), mime_of("flac", 8000)) == ("audio/PCMU;rate=8000", "audio/flac")


def test_a_flac_stream_begins_once_and_has_no_end() -> None:
    container = make_container("flac", 22_050)
    assert container.open().startswith(b"fLaC")
    assert container.add(b"", [], 0) == container.finish() == b""
