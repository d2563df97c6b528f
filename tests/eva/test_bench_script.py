"""What simulated people do, and what they hear."""

from itertools import islice

import pytest
from websockets.frames import Frame, Opcode

from eva.bench_frames import BINARY, TEXT, answered, framed, handshake, unframed
from eva.bench_playback import STORE_S, Playback
from eva.bench_script import (
    BREATH_S,
    INTO_S,
    LINES,
    LONGEST_PAUSE_S,
    SHORTEST_PAUSE_S,
    acts,
    kind_of,
    text_of,
)


def test_the_same_seed_and_number_make_the_same_person() -> None:
    def first(seed: int, number: int) -> list[object]:
        return list(islice(acts(seed, number), 50))

    assert first(7, 3) == first(7, 3)
    assert first(7, 3) != first(7, 4)
    assert first(7, 3) != first(8, 3)


def test_people_pause_interrupt_and_breathe_within_their_bounds() -> None:
    said = [act for number in range(20) for act in islice(acts(0, number), 1, 101)]
    assert all(SHORTEST_PAUSE_S <= act.pause_s <= LONGEST_PAUSE_S for act in said)
    into = [act.into_s for act in said if act.into_s is not None]
    assert 0.1 < len(into) / len(said) < 0.2
    assert all(INTO_S[0] <= into_s <= INTO_S[1] for into_s in into)
    assert {len(act.lines) for act in said} == {1, 2}
    assert all(
        BREATH_S[0] <= act.breath_s <= BREATH_S[1] if len(act.lines) == 2 else not act.breath_s
        for act in said
    )
    assert {line for act in said for line in act.lines} == set(range(len(LINES)))


def test_nobody_begins_by_interrupting() -> None:
    assert all(next(acts(seed, 0)).into_s is None for seed in range(200))


def test_of_four_people_one_types_and_one_presses_a_key() -> None:
    assert sorted(kind_of(number) for number in range(4, 8)) == ["push_to_talk", "spoken", "spoken", "typed"]


def test_two_lines_are_typed_as_one_message() -> None:
    act = next(act for act in acts(0, 1) if len(act.lines) == 2)
    assert text_of(act) == f"{LINES[act.lines[0]]} {LINES[act.lines[1]]}"


def test_sound_that_comes_in_time_plays_without_a_break() -> None:
    playback = Playback()
    for number in range(50):
        playback.hear("t", 0.02, 10.0 + number * 0.02)
    assert (playback.underruns, playback.silence_s) == (0, 0.0)
    assert playback.left_s(11.0) == pytest.approx(STORE_S)
    assert playback.heard_s(11.0) == pytest.approx(1.0 - STORE_S)
    assert playback.left_s(12.0) == 0.0
    assert playback.heard_s(12.0) == pytest.approx(1.0)


def test_the_store_bridges_what_is_a_little_late_and_no_more() -> None:
    playback = Playback()
    playback.hear("t", 0.02, 0.0)
    playback.hear("t", 0.02, 0.079)
    assert playback.underruns == 0
    playback.hear("t", 0.02, 0.5)
    assert playback.underruns == 1
    assert playback.silence_s == pytest.approx(0.5 + STORE_S - 0.1)


def test_a_new_answer_and_what_follows_a_filler_are_no_breaks() -> None:
    playback = Playback()
    playback.hear("t", 0.1, 0.0, is_filler=True)
    playback.hear("t", 0.1, 1.0)
    assert playback.underruns == 0
    playback.hear("t", 0.1, 2.0)
    assert playback.underruns == 1
    playback.hear("u", 0.1, 3.0)
    assert (playback.turn_id, playback.underruns, playback.silence_s) == ("u", 0, 0.0)


def test_held_playback_goes_on_where_it_was() -> None:
    playback = Playback()
    playback.hear("t", 1.0, 0.0)
    playback.hold(0.5)
    playback.hold(0.7)
    playback.hear("t", 0.2, 5.0)
    assert playback.left_s(9.0) == pytest.approx(0.56 + 0.2)
    assert playback.heard_s(9.0) == pytest.approx(0.44)
    playback.go_on(10.0)
    playback.go_on(10.1)
    assert playback.left_s(10.1) == pytest.approx(0.66)
    assert playback.underruns == 0


def test_what_was_dropped_was_not_heard() -> None:
    playback = Playback()
    playback.hear("t", 2.0, 0.0)
    playback.drop(0.56)
    assert playback.left_s(0.56) == 0.0
    assert playback.heard_s(3.0) == pytest.approx(0.5)
    playback.drop(3.0)
    assert playback.heard_s(3.0) == pytest.approx(0.5)
    playback.hear("u", 1.0, 4.0)
    playback.hold(4.0)
    playback.drop(5.0)
    assert playback.heard_s(6.0) == 0.0


@pytest.mark.parametrize("size", [0, 125, 126, 960, 65_536])
def test_frames_are_made_and_read_as_the_package_does(size: int) -> None:
    content = bytes(size)
    if size < 65_536:
        made = framed(Opcode.BINARY, content)
        assert made[:2] == Frame(Opcode.BINARY, content).serialize(mask=True)[:2]
        assert made.endswith(bytes(4) + content)
    theirs = Frame(Opcode.BINARY, content).serialize(mask=False)
    assert unframed(theirs + theirs + theirs[:1]) == ([(2, content)] * 2, theirs[:1])


def test_a_server_s_frames_are_taken_as_far_as_they_are_whole() -> None:
    short = bytes((0x81, 2)) + b"hi"
    middle = bytes((0x82, 126)) + (300).to_bytes(2, "big") + b"m" * 300
    long = bytes((0x82, 127)) + (70_000).to_bytes(8, "big") + b"l" * 70_000
    frames, rest = unframed(short + middle + long + short[:3])
    assert frames == [(TEXT, b"hi"), (BINARY, b"m" * 300), (BINARY, b"l" * 70_000)]
    assert rest == short[:3]
    assert unframed(rest + b"i") == ([(TEXT, b"hi")], b"")
    assert unframed(b"\x81") == ([], b"\x81")


def test_a_handshake_names_the_host_the_path_and_the_key() -> None:
    lines = handshake("eva.example:8000", "/ws/chat", {"authorization": "Bearer k"}).decode().split("\r\n")
    assert lines[0] == "GET /ws/chat HTTP/1.1"
    assert {"Host: eva.example:8000", "Upgrade: websocket", "authorization: Bearer k"} <= set(lines)
    assert lines[-2:] == ["", ""]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n", None),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81", (101, b"\x81")),
        (b'HTTP/1.1 401 Unauthorized\r\n\r\n{"error": {}}', (401, b'{"error": {}}')),
        (b"SSH-2.0-x\r\n\r\n", (0, b"")),
        (b"HTTP/1.1 odd\r\n\r\n", (0, b"")),
        (b"SSH 2 x\r\n\r\n", (0, b"")),
    ],
)
def test_the_answer_to_a_handshake_is_a_status_and_what_is_behind_it(
    data: bytes, told: tuple[int, bytes] | None
) -> None:
    assert answered(data) == told
