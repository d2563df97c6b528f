"""When an item does not wait for its queue, and what becomes of its second copy: on a clock of the test's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.rush import (
    AGAIN_S,
    BUSY_WITHIN_S,
    KNOWN_FOR_S,
    LYING_S,
    PATIENCE_S,
    QUICK_S,
    SILENT_S,
    STORE_WITHIN_S,
    UNTAKEN_S,
    WATCHED_FOR_S,
    Copy,
    Item,
    Ledger,
    Step,
    Trust,
    Word,
    choose,
)


def item(*, patience_s: float = PATIENCE_S, is_watched: bool = False) -> Item:
    return Item(begun_at=10.0, patience_s=patience_s, is_watched=is_watched)


def test_an_item_waits_for_its_queue_first_and_is_rushed_when_nothing_is_confirmed() -> None:
    waiting = item()
    assert waiting.step(10.0) == (Step.WAIT, 10.0 + PATIENCE_S)
    assert waiting.step(10.0 + PATIENCE_S) == (Step.RUSH, 10.0 + PATIENCE_S)


def test_an_item_that_is_stored_is_where_it_belongs() -> None:
    stored = item()
    stored.stored(10.1)
    assert stored.step(10.1)[0] is Step.DONE


def test_a_queue_that_was_silent_is_gone_round_soon_until_it_confirms_again() -> None:
    trust = Trust()
    assert trust.patience_s(5.0) == PATIENCE_S
    trust.missed(5.0)
    assert item(patience_s=trust.patience_s(5.1)).step(10.0) == (Step.WAIT, 10.0 + QUICK_S)
    assert trust.patience_s(5.0 + SILENT_S) == PATIENCE_S
    trust.missed(8.0)
    trust.confirmed(item(), 8.0)
    assert trust.patience_s(8.0) == PATIENCE_S


def test_where_everybody_is_busy_workers_are_asked_again_and_the_sender_is_told_in_the_end() -> None:
    held = item()
    now = 10.0 + PATIENCE_S
    asked = 0
    while (step := held.step(now))[0] is not Step.NOWHERE:
        if step[0] is Step.RUSH:
            asked += 1
            held.nobody_free(now, is_deserted=False)
        else:
            assert step[0] is Step.WAIT
            assert step[1] > now
            now = step[1]
    assert now == 10.0 + STORE_WITHIN_S
    assert asked == pytest.approx((STORE_WITHIN_S - PATIENCE_S) / AGAIN_S, abs=1.1)


def test_in_a_cluster_busy_workers_are_waited_for_longer_but_not_workers_that_are_not_there() -> None:
    busy, deserted = item(is_watched=True), item(is_watched=True)
    for held, is_deserted in ((busy, False), (deserted, True)):
        held.word = Word.LOST
        held.nobody_free(11.4, is_deserted=is_deserted)
        held.step(11.4)
    assert [busy.step(now)[0] for now in (12.5, 13.9)] == [Step.RUSH] * 2
    assert busy.step(10.0 + BUSY_WITHIN_S)[0] is Step.NOWHERE
    assert deserted.step(12.5)[0] is Step.NOWHERE


def test_the_time_in_which_the_sender_itself_stood_still_is_once_not_counted() -> None:
    held = item()
    assert held.step(10.2)[0] is Step.WAIT
    step, until = held.step(14.2)
    assert (step, until) == (Step.WAIT, pytest.approx(14.0 + PATIENCE_S))
    assert held.step(15.5)[0] is Step.RUSH
    held.nobody_free(15.5, is_deserted=False)
    assert held.step(17.1)[0] is Step.NOWHERE


def test_a_queue_that_nobody_keeps_is_gone_round_at_once() -> None:
    alone = item()
    alone.word = Word.NO_QUEUE
    assert alone.step(10.0)[0] is Step.RUSH
    alone.nobody_free(10.0, is_deserted=False)
    assert alone.step(10.0) == (Step.WAIT, 10.0 + AGAIN_S)


def test_without_a_queue_and_without_a_worker_the_sender_is_told_at_once() -> None:
    alone = item()
    alone.word = Word.NO_QUEUE
    alone.nobody_free(10.0, is_deserted=True)
    assert alone.step(10.0)[0] is Step.NOBODY


def test_a_queue_that_was_asked_often_enough_leaves_the_workers_one_chance() -> None:
    lost = item()
    lost.word = Word.LOST
    assert lost.step(10.0)[0] is Step.RUSH
    lost.nobody_free(10.0, is_deserted=True)
    assert lost.step(10.0)[0] is Step.NOWHERE


def test_in_a_cluster_an_item_that_lies_in_its_queue_is_rushed_and_less_and_less_often() -> None:
    lying = item(is_watched=True)
    lying.stored(10.1)
    asked_at = []
    now = 10.1
    while (step := lying.step(now))[0] is not Step.DONE:
        if step[0] is Step.RUSH:
            asked_at.append(now)
            lying.nobody_free(now, is_deserted=True)
        else:
            now = step[1]
    assert asked_at == pytest.approx([10.1 + UNTAKEN_S * (2**n - 1) for n in range(1, len(asked_at) + 1)])
    assert len(asked_at) > 3
    assert now >= 10.0 + WATCHED_FOR_S


def test_what_was_confirmed_late_is_watched_over_from_then_on() -> None:
    late = item(is_watched=True)
    late.nobody_free(10.5, is_deserted=False)
    late.stored(11.0)
    late.stored(11.2)  # said twice, because it was asked twice
    assert late.step(11.2) == (Step.WAIT, 11.0 + UNTAKEN_S)


def test_where_items_were_lying_the_next_is_rushed_soon_until_a_worker_gets_one_from_the_queue() -> None:
    trust = Trust()
    assert trust.untaken_s(10.0) == UNTAKEN_S
    trust.was_lying(10.0)
    lying = item(is_watched=True)
    trust.confirmed(lying, 10.1)
    assert lying.step(10.1) == (Step.WAIT, 10.1 + LYING_S)
    lying.nobody_free(10.2, is_deserted=False)
    assert lying.step(10.2) == (Step.WAIT, 10.2 + 2 * UNTAKEN_S)
    assert trust.untaken_s(10.0 + SILENT_S) == UNTAKEN_S
    trust.was_lying(20.0)
    trust.was_given()
    assert trust.untaken_s(20.0) == UNTAKEN_S


@pytest.mark.parametrize("word", list(Word))
def test_an_item_that_a_worker_has_needs_nothing_more(word: Word) -> None:
    taken = item(is_watched=True)
    taken.word, taken.is_taken = word, True
    assert taken.step(10.0)[0] is Step.DONE


# ---------------------------------------------------------------- what a worker knows


def test_what_nobody_has_seen_is_new() -> None:
    ledger = Ledger()
    assert ledger.judge("a", 1, 0.0) is Copy.NEW
    assert not ledger.knows("a", 0.0)


def test_the_queues_copy_of_what_was_rushed_is_spare_here_and_elsewhere() -> None:
    here, elsewhere = Ledger(), Ledger()
    here.begin("a", 0.0, is_rushed=True)
    elsewhere.rushed_elsewhere("a", 0.0)
    assert here.judge("a", 1, 1.0) is Copy.IN_HAND
    here.end("a", is_done=True)
    assert here.judge("a", 1, 2.0) is Copy.SPARE
    assert elsewhere.judge("a", 1, 2.0) is Copy.SPARE
    assert elsewhere.knows("a", 2.0)


def test_what_comes_again_while_it_is_in_hand_is_the_same_job() -> None:
    ledger = Ledger()
    ledger.begin("a", 0.0, is_rushed=False)
    assert ledger.judge("a", 2, 1000.0) is Copy.IN_HAND


def test_what_comes_again_because_the_word_that_it_is_done_was_lost_is_spare() -> None:
    ledger = Ledger()
    ledger.begin("a", 0.0, is_rushed=False)
    ledger.end("a", is_done=True)
    assert ledger.judge("a", 2, 1.0) is Copy.SPARE


def test_the_same_id_is_another_item_where_the_queue_itself_says_so() -> None:
    ledger = Ledger()
    ledger.begin("a", 0.0, is_rushed=False)
    ledger.end("a", is_done=True)
    assert ledger.judge("a", 1, 1.0) is Copy.NEW


def test_what_failed_here_is_new_again() -> None:
    ledger = Ledger()
    ledger.begin("a", 0.0, is_rushed=True)
    ledger.end("a", is_done=False)
    ledger.end("never seen", is_done=False)
    assert ledger.judge("a", 1, 1.0) is Copy.NEW


def test_who_has_an_item_in_hand_goes_on_though_another_was_given_it_too() -> None:
    ledger = Ledger()
    ledger.begin("a", 0.0, is_rushed=False)
    ledger.rushed_elsewhere("a", 0.0)
    assert ledger.judge("a", 1, 1.0) is Copy.IN_HAND


def test_ids_are_forgotten_with_time() -> None:
    ledger = Ledger()
    ledger.rushed_elsewhere("a", 0.0)
    assert ledger.judge("a", 1, KNOWN_FOR_S) is Copy.NEW


def test_no_more_ids_are_kept_than_there_is_room_for() -> None:
    ledger = Ledger(capacity=2)
    for item_id in "abc":
        ledger.rushed_elsewhere(item_id, 0.0)
    assert [ledger.knows(item_id, 0.0) for item_id in "abc"] == [False, True, True]


@given(st.integers(1, 5), st.booleans(), st.floats(0, 100))
def test_what_has_no_id_is_always_new(number: int, is_rushed: bool, now: float) -> None:
    ledger = Ledger()
    ledger.begin("", 0.0, is_rushed=is_rushed)
    ledger.end("", is_done=True)
    ledger.rushed_elsewhere("", 0.0)
    assert ledger.judge("", number, now) is Copy.NEW


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        ((), (False, "")),
        ((b"free one", b"free two"), (False, "one")),
        ((b"free one", b"has "), (True, "")),
        ((b"nonsense",), (False, "")),
    ],
)
def test_the_first_who_is_free_is_chosen_unless_somebody_has_the_item(
    answers: tuple[bytes, ...], chosen: tuple[bool, str]
) -> None:
    assert choose(answers) == chosen
