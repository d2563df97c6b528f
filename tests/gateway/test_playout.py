from __future__ import annotations

import msgspec
import pytest

from services.gateway.playout import Playout
from shared.messages import AudioChunk


def chunk(segment: int, start: int, samples: int = 100, *, codec: str = "pcm", fill: int = 1) -> AudioChunk:
    return AudioChunk(
        turn=1, attempt=1, segment=segment, take=1, seq=0, start=start, samples=samples, rate_hz=1000,
        codec=codec, level=0.1, data=bytes([fill, 0]) * samples,
    )  # type: ignore[arg-type] # fmt: skip


def test_nothing_was_heard_before_anything_was_sent() -> None:
    playout = Playout()
    playout.open("hello")
    assert (playout.heard(9.0), playout.played_ms(9.0), playout.ends_at) == ("", 0.0, None)


def test_a_chunk_that_overlaps_what_was_received_is_cut_to_the_rest() -> None:
    playout = Playout()
    playout.open("hello")
    assert playout.add(chunk(0, 0))
    assert playout.add(chunk(0, 40, fill=2))
    first, second = playout.take_playable(0.0)
    assert (second.start, second.samples, second.data) == (100, 40, b"\2\0" * 40)
    assert first.samples + second.samples == 140 == playout.sent_ms


def test_of_one_byte_a_sample_a_byte_is_cut_for_each() -> None:
    playout = Playout()
    playout.open("hello")
    whole = AudioChunk(
        turn=1, attempt=1, segment=0, take=1, seq=0, start=0, samples=100, rate_hz=1000, codec="mulaw",
        level=0.1, data=bytes(range(100)),
    )  # fmt: skip
    playout.add(whole)
    playout.add(msgspec.structs.replace(whole, start=40))
    assert [piece.data for piece in playout.take_playable(0.0)] == [whole.data, whole.data[60:]]


def test_an_encoded_chunk_that_overlaps_is_kept_whole() -> None:
    playout = Playout()
    playout.open("hello")
    playout.add(chunk(0, 0, codec="mp3"))
    playout.add(chunk(0, 40, codec="mp3"))
    assert [piece.samples for piece in playout.take_playable(0.0)] == [100, 100]


def test_what_was_received_before_is_not_played_again() -> None:
    playout = Playout()
    playout.open("hello")
    playout.add(chunk(0, 0))
    assert playout.add(chunk(0, 0))
    assert len(playout.take_playable(0.0)) == 1


def test_a_gap_is_told() -> None:
    playout = Playout()
    playout.open("hello")
    assert not playout.add(chunk(0, 100))
    assert not playout.complete(0, 100)
    assert playout.add(chunk(0, 0))
    assert playout.complete(0, 100)


def test_the_next_segment_waits_for_the_one_before_it() -> None:
    playout = Playout()
    playout.open("one")
    playout.open("two")
    playout.add(chunk(1, 0))
    playout.complete(1, 100)
    assert playout.take_playable(0.0) == []
    playout.add(chunk(0, 0))
    assert [piece.segment for piece in playout.take_playable(0.0)] == [0]
    playout.complete(0, 100)
    assert [piece.segment for piece in playout.take_playable(0.0)] == [1]
    assert playout.head == 2


@pytest.mark.parametrize(
    ("after_s", "words"),
    [
        (0.0, ""),
        (0.5, "one two"),
        (1.0, "one two three four"),
        (1.5, "one two three four five six"),
        (9, "all"),
    ],
)
def test_words_count_as_heard_in_proportion_to_their_letters(after_s: float, words: str) -> None:
    playout = Playout()
    for number, text in enumerate(("one two three four", "five six seven eight")):
        playout.open(text)
        playout.add(chunk(number, 0, 1000))
        playout.complete(number, 1000)
    playout.take_playable(10.0)
    heard = playout.heard(10.0 + after_s)
    assert heard == ("one two three four five six seven eight" if words == "all" else words)


def test_of_a_segment_still_being_made_less_was_heard_than_its_share() -> None:
    playout = Playout()
    playout.open("one two three four five")
    playout.add(chunk(0, 0, 1000))
    playout.take_playable(0.0)
    assert playout.heard(1.0) == "one two three four"


def test_the_clients_account_outweighs_the_clock() -> None:
    playout = Playout()
    playout.open("one two three four")
    playout.add(chunk(0, 0, 1000))
    playout.complete(0, 1000)
    playout.take_playable(0.0)
    playout.report(100, 0.9)
    assert playout.played_ms(0.9) == 100
    assert playout.played_ms(1.1) == pytest.approx(300)
    assert playout.ends_at == pytest.approx(1.8)
    playout.report(5000, 1.2)
    assert playout.played_ms(1.2) == 1000


def test_a_segment_without_sound_counts_as_said_once_it_was_passed() -> None:
    playout = Playout()
    playout.open("one")
    playout.open("…")
    playout.open("two")
    playout.add(chunk(0, 0))
    playout.complete(0, 100)
    playout.complete(1, 0)
    playout.add(chunk(2, 0))
    playout.take_playable(0.0)
    assert playout.heard(0.05) == ""
    assert playout.heard(9.0).startswith("one")


def held() -> Playout:
    """One second of sound, held after 0.4 s."""
    playout = Playout()
    playout.open("one two three four")
    playout.add(chunk(0, 0, 1000))
    playout.take_playable(10.0)
    playout.hold(10.4)
    return playout


def test_while_it_is_held_nothing_moves_and_nothing_is_sent() -> None:
    playout = held()
    assert playout.played_ms(99.0) == pytest.approx(400)
    assert playout.ends_at is None
    assert not playout.has_ended(99.0)
    playout.add(chunk(0, 1000, 500))
    assert playout.take_playable(99.0) == []
    playout.hold(99.0)
    assert playout.played_ms(99.0) == pytest.approx(400), "held twice is held once"


def test_it_goes_on_where_it_was_held_at_the_next_sample() -> None:
    playout = held()
    playout.add(chunk(0, 1000, 500))
    playout.release(20.0)
    assert [piece.start for piece in playout.take_playable(20.0)] == [1000]
    assert playout.played_ms(20.5) == pytest.approx(900)
    assert playout.ends_at == pytest.approx(21.1)


def test_the_clients_account_holds_while_it_is_held_too() -> None:
    playout = held()
    playout.report(350, 10.6)
    assert playout.played_ms(12.0) == 350
    playout.release(12.0)
    assert playout.played_ms(12.1) == pytest.approx(450)


def test_what_is_held_before_it_began_begins_when_it_is_released() -> None:
    playout = Playout()
    playout.open("one")
    playout.hold(1.0)
    playout.add(chunk(0, 0))
    assert playout.take_playable(2.0) == []
    playout.release(3.0)
    assert len(playout.take_playable(3.0)) == 1
    assert playout.ends_at == pytest.approx(3.1)


def test_a_playback_that_ran_dry_goes_on_with_the_next_sound() -> None:
    playout = Playout()
    playout.open("one two three four")
    playout.add(chunk(0, 0, 100))
    playout.take_playable(0.0)
    playout.add(chunk(0, 100, 100))
    playout.take_playable(5.0)
    assert playout.played_ms(5.05) == pytest.approx(150), "the gap was not played"
    assert playout.ends_at == pytest.approx(5.1)


def test_the_words_around_the_playback_are_known() -> None:
    playout = held()
    assert playout.heard(10.4) == "one"
    assert playout.around(10.4, before=30, ahead=2) == "one two three"
    assert playout.around(10.4, before=0, ahead=1) == "two"
