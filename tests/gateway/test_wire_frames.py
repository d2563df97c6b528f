"""Whole messages as they stand on the wire, against the frames of the `websockets` package."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from services.gateway.wire_frames import BINARY, TEXT, joined, whole

SIZES = [0, 1, 125, 126, 127, 4000, 65_535, 65_536, 100_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_framed_as_the_package_does(size: int) -> None:
    sound = os.urandom(size)
    text = "é".encode() * (size // 2)
    frames = [Frame(Opcode.BINARY, sound), Frame(Opcode.TEXT, text)]
    one, other = (frame.serialize(mask=False) for frame in frames)
    assert joined([(BINARY, sound)]) == one
    assert joined([(TEXT, text), (BINARY, sound)]) == other + one


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_a_whole_message_of_middle_length_is_taken_and_no_other(size: int, opcode: Opcode) -> None:
    content = b"s" * size
    data = Frame(opcode, content).serialize(mask=True)
    is_taken = 126 <= size <= 65_535
    assert whole(data, 0) == ((opcode, content, len(data)) if is_taken else None)
    assert whole(data + data[:9], 0) == whole(data, 0)
    assert whole(data[:9] + data + data, 9) == ((opcode, content, 9 + len(data)) if is_taken else None)


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
    assert whole(frame.serialize(mask=True), 0) is None


def test_a_piece_of_a_message_is_left_to_the_parser() -> None:
    data = Frame(Opcode.BINARY, b"s" * 960).serialize(mask=True)
    assert whole(bytes((data[0] | 0x40,)) + data[1:], 0) is None, "compressed"
    for other in (data[:-1], data[:3], b"", Frame(Opcode.BINARY, b"s" * 960).serialize(mask=False)):
        assert whole(other, 0) is None
        assert whole(data + other, len(data)) is None


@given(st.binary(max_size=400))
def test_whatever_bytes_come_it_is_what_the_package_reads_or_nothing(data: bytes) -> None:
    found = whole(data, 0)
    if found is not None:
        kind, content, end = found
        masked = Frame(Opcode(kind), content).serialize(mask=False)
        assert masked[0] == data[0]
        assert len(masked) + 4 == end <= len(data)
