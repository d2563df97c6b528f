"""Whole messages as they stand on the wire, against the frames of the `websockets` package."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from services.gateway.wire_frames import framed, whole

SIZES = [0, 1, 125, 126, 127, 4000, 65_535, 65_536, 100_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_framed_as_the_package_does(size: int) -> None:
    sound = os.urandom(size)
    assert framed(sound) == Frame(Opcode.BINARY, sound).serialize(mask=False)
    text = "é" * (size // 2)
    assert framed(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_one_whole_message_of_middle_length_is_taken_and_no_other(size: int, opcode: Opcode) -> None:
    content = b"s" * size
    data = Frame(opcode, content).serialize(mask=True)
    assert whole(data) == ((opcode, content) if 126 <= size <= 65_535 else None)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.BINARY, b"s" * 960, fin=False),
        Frame(Opcode.CONT, b"s" * 960),
        Frame(Opcode.PING, b"s" * 125),
        Frame(Opcode.CLOSE, b"s" * 125),
    ],
)
def test_what_is_no_whole_message_is_left_to_the_parser(frame: Frame) -> None:
    assert whole(frame.serialize(mask=True)) is None


def test_a_piece_of_a_message_or_more_than_one_is_left_to_the_parser() -> None:
    data = Frame(Opcode.BINARY, b"s" * 960).serialize(mask=True)
    assert whole(bytes((data[0] | 0x40,)) + data[1:]) is None, "compressed"
    for other in (
        data[:-1],
        data + data[:1],
        data + data,
        data[:3],
        b"",
        Frame(Opcode.BINARY, b"s" * 960).serialize(mask=False),
    ):
        assert whole(other) is None


@given(st.binary(max_size=400))
def test_whatever_bytes_come_it_is_what_the_package_reads_or_nothing(data: bytes) -> None:
    found = whole(data)
    if found is not None:
        kind, content = found
        masked = Frame(Opcode(kind), content).serialize(mask=False)
        assert masked[0] == data[0]
        assert len(masked) + 4 == len(data)
