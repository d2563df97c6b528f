from __future__ import annotations

from services.gateway.handover import End, Handover
from shared.messages import EarsAlive, EarsFailed, Final, Partial, SpeechProgress, SpeechStarted


def alive(needed_seq: int, *, settled: int = 0, is_midway: bool = False, next_seq: int = 100) -> EarsAlive:
    return EarsAlive(
        lease=1, worker="w", next_seq=next_seq, needed_seq=needed_seq, settled=settled, is_midway=is_midway
    )


def partial(text: str, stable: int, *, utterance: int = 1) -> Partial:
    return Partial(lease=1, utterance=utterance, text=text, stable=stable)


def final(utterance: int = 1, **fields: object) -> Final:
    return Final(lease=1, utterance=utterance, text="so", **fields)  # type: ignore[arg-type]


def started(utterance: int = 1) -> SpeechStarted:
    return SpeechStarted(lease=1, utterance=utterance, at_ms=0)


def test_frames_go_when_nothing_of_them_is_needed() -> None:
    assert Handover().hear(alive(7)) == 7


def test_frames_of_settled_text_are_kept_until_that_text_was_told() -> None:
    handover = Handover()
    handover.hear(started())
    assert handover.hear(alive(50, settled=11, is_midway=True)) is None, "not a word of it came here"
    assert (handover.prefix, handover.is_midway) == ("", False)
    handover.hear(partial("hello world and", 11))
    assert handover.hear(alive(50, settled=11, is_midway=True)) == 50
    assert (handover.prefix, handover.is_midway) == ("hello world", True)


def test_text_and_place_stay_in_step() -> None:
    handover = Handover()
    handover.hear(started())
    handover.hear(partial("one two", 3))
    handover.hear(alive(50, settled=3, is_midway=True))
    handover.hear(partial("one two three", 7))
    assert handover.prefix == "one", "the frames of `two` are still there, and will be heard again"
    handover.hear(partial("one two thr", 3))
    assert handover.hear(alive(80, settled=7, is_midway=True)) == 80
    assert handover.prefix == "one two"


def test_a_final_leaves_nothing_to_hand_over() -> None:
    handover = Handover()
    handover.hear(started())
    handover.hear(partial("one", 3))
    handover.hear(alive(50, settled=3, is_midway=True))
    assert handover.is_in_flight
    assert handover.hear(final(pace_ms=420.0)) is None
    assert (handover.prefix, handover.is_midway, handover.is_in_flight) == ("", False, False)
    assert handover.pace_ms == 420.0
    handover.hear(final(2))
    assert handover.pace_ms == 420.0, "a worker that has learnt nothing takes nothing away"
    handover.hear(partial("late", 4, utterance=2))
    assert handover.hear(alive(90, settled=4)) is None


def test_the_oldest_utterance_that_is_not_over_is_the_one_that_is_handed_over() -> None:
    handover = Handover()
    handover.hear(started())
    handover.hear(partial("one", 3))
    handover.hear(started(2))
    handover.hear(partial("two two", 7, utterance=2))
    assert handover.hear(alive(50, settled=3, is_midway=True)) == 50
    assert handover.prefix == "one"
    handover.hear(EarsFailed(lease=1, utterance=1, code="engine_failed", message=""))
    assert handover.is_in_flight
    assert handover.hear(alive(70, settled=7, is_midway=True)) == 70
    assert handover.prefix == "two two"


def test_the_next_lease_goes_on_with_what_was_handed_over() -> None:
    handover = Handover()
    handover.hear(started())
    handover.hear(partial("one", 3))
    handover.hear(alive(50, settled=3, is_midway=True))
    handover.begin()
    assert handover.is_in_flight
    assert handover.hear(alive(50, settled=3, is_midway=True)) == 50
    assert handover.prefix == "one"
    handover.hear(EarsFailed(lease=2, utterance=0, code="draining", message=""))
    assert handover.prefix == "one"
    handover.hear(final())
    handover.begin()
    assert not handover.is_in_flight


def test_an_end_is_told_once_in_its_place_and_again_to_the_next_lease_until_it_was_kept() -> None:
    handover = Handover()
    handover.hear(started())
    handover.end_at(10)
    assert not handover.take_end(9)
    assert handover.take_end(10)
    assert not handover.take_end(11)
    handover.hear(alive(0, next_seq=12))
    handover.begin()
    assert handover.take_end(10), "the worker died before its final"
    handover.hear(final(ended_by="manual"))
    handover.begin()
    assert not handover.take_end(99)


def test_an_end_of_what_is_of_no_interest_is_told_as_such_in_its_place() -> None:
    handover = Handover()
    handover.end_at(10, is_discarded=True)
    handover.end_at(20)
    told = [handover.take_end(seq) for seq in (10, 19, 20)]
    assert told == [End(10, is_discarded=True), None, End(20)]


def test_an_end_that_a_silence_had_answered_already_is_kept_too() -> None:
    handover = Handover()
    handover.hear(started())
    handover.end_at(10)
    handover.hear(final(ended_by="manual"))  # of an end that nobody knows of here
    assert handover.take_end(10)
    handover.hear(SpeechProgress(lease=1, utterance=1, speech_ms=1, silence_ms=0))
    handover.hear(alive(10, next_seq=9))
    handover.begin()
    assert handover.take_end(10)
    handover.hear(alive(10, next_seq=10))
    handover.begin()
    assert not handover.take_end(10)
