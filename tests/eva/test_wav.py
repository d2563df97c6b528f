import io
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eva.wav import Sound, frames, is_audible, read_wav, resampled, wav_bytes, write_wav
from shared.errors import BadInput

RATE_HZ = 16000


def tone(hz: float, rate_hz: int = RATE_HZ, seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz)


def sound(samples: np.ndarray, rate_hz: int = RATE_HZ) -> Sound:
    return Sound(rate_hz=rate_hz, pcm=(samples * 32767).astype("<i2").tobytes())


def file(
    code: int, bits: int, channels: int, raw: bytes, *, extensible: bool = False, size: int | None = None
) -> bytes:
    header = struct.pack("<HHIIHH", 0xFFFE if extensible else code, channels, RATE_HZ, 0, 0, bits)
    if extensible:
        header += struct.pack("<HHIH", 22, bits, 0, code) + bytes(14)
    chunks = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"fmt " + struct.pack("<I", len(header)) + header
    chunks += b"data" + struct.pack("<I", len(raw) if size is None else size) + raw
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("code", "bits", "to_raw"),
    [
        (1, 8, lambda x: (x * 127 + 128).round().astype(np.uint8).tobytes()),
        (1, 16, lambda x: (x * 32767).round().astype("<i2").tobytes()),
        (
            1,
            24,
            lambda x: b"".join(int(v).to_bytes(3, "little", signed=True) for v in (x * (2**23 - 1)).round()),
        ),
        (1, 32, lambda x: (x * (2**31 - 1)).round().astype("<i4").tobytes()),
        (3, 32, lambda x: x.astype("<f4").tobytes()),
        (3, 64, lambda x: x.astype("<f8").tobytes()),
    ],
)
def test_wav_of_every_common_kind_is_read(
    code: int, bits: int, to_raw: Callable[[np.ndarray], bytes], extensible: bool
) -> None:
    wanted = tone(440)
    read = read_wav(file(code, bits, 1, to_raw(wanted), extensible=extensible))
    assert read.rate_hz == RATE_HZ
    assert np.abs(read.samples / 32768 - wanted).max() < (0.01 if bits == 8 else 0.001)


def test_channels_are_mixed() -> None:
    left, right = tone(440), -tone(440)
    read = read_wav(wav_bytes(RATE_HZ, sound(left).pcm, sound(right).pcm))
    assert np.abs(read.samples).max() <= 1


def test_a_streamed_header_whose_size_reaches_beyond_the_end_is_fine() -> None:
    raw = sound(tone(440)).pcm
    assert read_wav(file(1, 16, 1, raw, size=0xFFFFFFFF)).pcm == raw


def test_broken_floats_become_silence_and_loud_ones_are_clipped() -> None:
    samples = np.array([np.nan, np.inf, -np.inf, 7.0, -7.0], dtype="<f4")
    assert list(read_wav(file(3, 32, 1, samples.tobytes())).samples) == [0, 32767, -32768, 32767, -32768]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"not a wav file at all",
        file(1, 16, 1, b""),
        file(1, 16, 1, b"x"),
        file(1, 12, 1, bytes(8)),
        file(7, 8, 1, bytes(8)),
        file(1, 16, 0, bytes(8)),
        file(1, 16, 1, bytes(8))[:40],
    ],
)
def test_what_is_no_sound_is_refused_by_name(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"in\.wav"):
        read_wav(path)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.wav cannot be read: No such file"):
        read_wav(tmp_path / "none.wav")
    with pytest.raises(BadInput, match="cannot be written"):
        write_wav(tmp_path / "no" / "out.wav", RATE_HZ, b"\0\0")


@given(st.binary(max_size=200))
def test_no_bytes_can_do_more_than_be_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        read_wav(b"RIFF\0\0\0\0WAVE" + data.replace(b"data", b"dato"))


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44100, 16000), (11025, 16000), (96000, 16000), (16000, 24000)]
)
def test_a_tone_keeps_its_pitch_and_level_when_resampled(from_hz: int, to_hz: int) -> None:
    out = resampled(sound(tone(1000, from_hz), from_hz), to_hz)
    assert out.rate_hz == to_hz
    assert out.duration_s == pytest.approx(0.5, abs=0.001)
    middle = slice(to_hz // 10, -to_hz // 10)
    wanted = tone(1000, to_hz)[: len(out.samples)]
    assert np.abs(out.samples[middle] / 32767 - wanted[middle]).max() < 0.01


def test_what_the_lower_rate_cannot_hold_is_filtered_out() -> None:
    out = resampled(sound(tone(12000, 48000), 48000), 16000)
    assert np.abs(out.samples[1000:-1000]).max() < 0.01 * 32767


def test_the_same_rate_changes_nothing() -> None:
    same = sound(tone(440))
    assert resampled(same, RATE_HZ) is same


def test_frames_are_20_ms_and_the_last_is_filled_up() -> None:
    pieces = frames(Sound(rate_hz=RATE_HZ, pcm=b"\1\0" * 700))
    assert [len(piece) for piece in pieces] == [640, 640, 640]
    assert b"".join(pieces) == b"\1\0" * 700 + bytes(520)


@pytest.mark.parametrize(("level", "audible"), [(0.5, True), (0.01, True), (0.004, False), (0.0, False)])
def test_audible_is_louder_than_minus_45_dbfs(level: float, audible: bool) -> None:
    assert is_audible(sound(tone(440, level=level))) is audible


def test_less_than_a_frame_is_not_audible() -> None:
    assert not is_audible(Sound(rate_hz=RATE_HZ, pcm=b"\xff\x7f" * 10))


def test_several_channels_are_written_and_the_shorter_is_filled_up(tmp_path: Path) -> None:
    write_wav(tmp_path / "both.wav", 8000, b"\1\0\2\0", b"\3\0")
    with wave.open(io.BytesIO((tmp_path / "both.wav").read_bytes())) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getnframes()) == (2, 8000, 2)
        assert wav.readframes(2) == b"\1\0\3\0\2\0\0\0"
