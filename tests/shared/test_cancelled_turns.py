from __future__ import annotations

from shared.cancelled import Cancelled


def test_a_cancel_covers_its_turn_and_those_before_and_no_other_session() -> None:
    cancelled = Cancelled()
    cancelled.add("gw", "sid", 3)
    cancelled.add("gw", "sid", 2)
    assert [cancelled.covers("gw", "sid", turn) for turn in (1, 2, 3, 4)] == [True, True, True, False]
    assert not cancelled.covers("gw", "other", 1)
    assert not cancelled.covers("other", "sid", 1)


def test_only_the_sessions_that_cancelled_last_are_remembered() -> None:
    cancelled = Cancelled(capacity=2)
    for sid in ("a", "b", "a", "c"):
        cancelled.add("gw", sid, 1)
    assert [cancelled.covers("gw", sid, 1) for sid in ("a", "b", "c")] == [True, False, True]
