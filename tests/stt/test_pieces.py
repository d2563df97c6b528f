from __future__ import annotations

from itertools import pairwise

import pytest

from services.stt.engine import FRAME, RATE_HZ
from services.stt.pieces import GAP, PAD, Piece, Splitter


def speak(*parts: tuple[float, float]) -> list[float]:
    """Seconds and the probability of their frames."""
    return [probability for seconds, probability in parts for _ in range(round(seconds * RATE_HZ / FRAME))]


def split(probabilities: list[float], *, enough_s: float = 8.0) -> list[Piece]:
    splitter = Splitter(enough_s=enough_s)
    pieces = []
    for probability in probabilities:
        before = splitter.needed
        piece = splitter.feed(probability)
        if piece is not None:
            assert before <= piece.audio_from
            assert splitter.needed >= piece.audio_from
            pieces.append(piece)
    last = splitter.finish()
    pieces += [last] if last is not None else []
    assert splitter.position == len(probabilities) * FRAME
    assert all(one.audio_to <= other.audio_from for one, other in pairwise(pieces))
    for piece in pieces:
        assert 0 <= piece.audio_from <= piece.start < piece.end <= piece.audio_to <= splitter.position
    return pieces


def seconds(piece: Piece) -> tuple[float, float]:
    return piece.start / RATE_HZ, piece.end / RATE_HZ


def near(start_s: float, end_s: float) -> object:
    return pytest.approx((start_s, end_s), abs=0.07)


def test_where_nobody_speaks_there_is_no_piece() -> None:
    assert split([]) == []
    assert split(speak((60, 0.0))) == []
    assert split(speak((10, 0.45))) == []  # like speech, but never enough to begin one
    assert split(speak((5, 0), (0.064, 0.9), (5, 0)) * 3) == []  # clicks


def test_a_piece_has_a_pad_on_both_sides_as_far_as_there_is_audio() -> None:
    (piece,) = split(speak((2, 0), (1, 0.9), (2, 0)))
    assert seconds(piece) == near(2, 3)
    assert (piece.start - piece.audio_from, piece.audio_to - piece.end) == (PAD, PAD)
    (piece,) = split(speak((1, 0.9)))
    assert (piece.audio_from, piece.audio_to) == (0, round(1 * RATE_HZ / FRAME) * FRAME)


def test_short_pauses_stay_within_a_piece_and_long_ones_end_it() -> None:
    said = speak((0.5, 0), (1, 0.9), (0.6, 0), (1, 0.9), (1.5, 0), (1, 0.9), (0.2, 0))
    assert [seconds(piece) for piece in split(said)] == [near(0.5, 3.1), near(4.6, 5.6)]


def test_a_piece_that_is_long_enough_ends_at_the_next_short_pause() -> None:
    said = speak((1, 0), *[(3, 0.9), (0.5, 0)] * 4, (2, 0))
    assert [seconds(piece) for piece in split(said)] == [near(1, 11), near(11.5, 14.5)]
    assert len(split(said, enough_s=2)) == 4


def test_what_is_half_like_speech_keeps_it_going_but_does_not_end_a_pause() -> None:
    (piece,) = split(speak((0.5, 0), (1, 0.9), (1, 0.4), (2, 0)))
    assert seconds(piece) == near(0.5, 2.5)
    (piece,) = split(speak((0.5, 0), (1, 0.9), (0.2, 0.0), (1, 0.4), (2, 0)))
    assert seconds(piece) == near(0.5, 1.5)


def test_speech_without_a_pause_is_cut_where_it_is_least_like_speech() -> None:
    said = speak((26, 0.9), (0.064, 0.6), (20, 0.9), (2, 0))
    first, second = split(said)
    assert seconds(first) == near(0, 26)
    assert seconds(second) == near(26, 46)
    assert first.audio_to == second.audio_from == first.end == second.start


def test_a_short_pause_just_before_the_longest_piece_ends_it_there() -> None:
    first, second = split(speak((27.7, 0.9), (0.25, 0.0), (0.2, 0.4), (5, 0.9)), enough_s=60)
    assert seconds(first) == near(0, 27.7)
    assert seconds(second)[0] >= 28.0


def test_a_whole_hour_of_speech_is_cut_into_pieces_that_an_engine_can_take() -> None:
    pieces = split(speak(*[(7, 0.9), (0.2, 0.1)] * 500))
    assert max(piece.audio_to - piece.audio_from for piece in pieces) <= 28 * RATE_HZ + 2 * PAD
    assert sum(piece.audio_to - piece.audio_from for piece in pieces) >= 500 * 7.1 * RATE_HZ


def test_audio_before_a_silence_is_not_needed() -> None:
    splitter = Splitter(enough_s=8)
    for probability in speak((1, 0.9), (60, 0)):
        splitter.feed(probability)
    assert splitter.position - splitter.needed < GAP
