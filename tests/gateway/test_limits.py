"""How much a key may use, decided on a clock that is given."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.limits import (
    DAY_S,
    LEASE_S,
    RATE_LIMIT_HEADERS,
    Account,
    Allowance,
    Bill,
    Lease,
    LimitReached,
    Quota,
    Tally,
    check_sessions,
    hold,
    living,
    quotas,
    rate_limit_headers,
    reset_s,
    retry_s,
    settle,
    tally_at,
)
from shared.keys import KeyLimits

AUDIO, TOKENS = quotas(KeyLimits(audio_s_per_day=1000.0, tokens_per_min=600))
NOON = 20_000 * DAY_S + DAY_S / 2


def test_a_key_has_the_quotas_that_it_was_given() -> None:
    assert quotas(KeyLimits(sessions=3)) == ()
    assert (AUDIO.name, AUDIO.slice, TOKENS.name, TOKENS.slice) == ("audio_seconds", 30.0, "tokens", 60.0)


def test_a_window_is_whole_again_when_a_new_day_begins() -> None:
    used = Tally(-5.0, NOON)
    assert tally_at(AUDIO, used, NOON + DAY_S / 2 - 1).left == -5.0
    assert tally_at(AUDIO, used, NOON + DAY_S / 2).left == 1000.0
    assert reset_s(AUDIO, used, NOON) == retry_s(AUDIO, used, NOON) == DAY_S / 2
    assert reset_s(AUDIO, Tally(1000.0, NOON), NOON) == retry_s(AUDIO, Tally(1.0, NOON), NOON) == 0.0


def test_a_bucket_fills_bit_by_bit_up_to_its_limit() -> None:
    used = Tally(0.0, NOON)
    assert tally_at(TOKENS, used, NOON + 6).left == pytest.approx(60)
    assert tally_at(TOKENS, used, NOON + 100).left == 600
    assert reset_s(TOKENS, used, NOON) == pytest.approx(60)
    assert retry_s(TOKENS, Tally(-299.0, NOON), NOON) == pytest.approx(30)
    assert retry_s(TOKENS, used, NOON) == 1.0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    assert tally_at(TOKENS, Tally(5.0, NOON), NOON - 3600) == Tally(5.0, NOON)
    assert tally_at(TOKENS, Tally(9999.0, NOON), NOON) == Tally(600.0, NOON)
    assert tally_at(AUDIO, None, NOON) == Tally(1000.0, NOON)


def test_a_debt_is_charged_in_any_case_and_a_slice_only_of_what_there_is() -> None:
    assert settle(AUDIO, Tally(50.0, NOON), Bill(0.0, 30.0), NOON) == (Tally(20.0, NOON), 30.0)
    assert settle(AUDIO, Tally(50.0, NOON), Bill(40.0, 30.0), NOON) == (Tally(0.0, NOON), 10.0)
    assert settle(AUDIO, Tally(50.0, NOON), Bill(90.0, 30.0), NOON) == (Tally(-40.0, NOON), 0.0)
    assert settle(AUDIO, Tally(50.0, NOON), Bill(0.0, -30.0), NOON) == (Tally(80.0, NOON), -30.0)
    assert settle(AUDIO, None, Bill(0.0, -30.0), NOON)[0].left == 1000.0


def bank(account: Account, tally: Tally | None, now: float) -> Tally | None:
    """Settles an account as the store would."""
    bill = account.bill()
    if bill is None:
        return tally
    after, given = settle(account.quota, tally, bill, now)
    account.settled(bill, after, given)
    return after


def test_an_account_spends_its_slice_without_asking_and_then_until_the_tally_is_empty() -> None:
    account = Account(AUDIO)
    tally = bank(account, Tally(50.0, NOON), NOON)
    assert (account.reserved, tally) == (30.0, Tally(20.0, NOON))
    account.spend(29.0, NOON)
    account.spend(26.0, NOON)  # 5 s beyond the slice: charged with the next settlement
    tally = bank(account, tally, NOON)
    assert (account.reserved, tally) == (0.0, Tally(-5.0, NOON))
    with pytest.raises(LimitReached, match="1000 audio seconds a day") as reached:
        account.spend(0.02, NOON)
    assert (reached.value.limit, reached.value.retry_after_s) == ("audio_seconds", DAY_S / 2)
    account.check(NOON + DAY_S)
    assert account.bill() is None  # what was refused was not spent


def test_before_the_tally_was_read_nobody_is_turned_away() -> None:
    account = Account(TOKENS)
    account.spend(10_000, NOON)
    account.check(NOON)
    bank(account, None, NOON)
    with pytest.raises(LimitReached, match="600 tokens a minute"):
        account.check(NOON)


def test_a_slice_that_nobody_spends_of_goes_back() -> None:
    account = Account(AUDIO)
    tally = bank(account, Tally(1000.0, NOON), NOON)
    assert tally == Tally(970.0, NOON)
    tally = bank(account, tally, NOON)
    assert (tally, account.reserved) == (Tally(1000.0, NOON), 0.0)
    assert account.bill() is None


def test_a_slice_of_which_little_was_spent_is_not_settled() -> None:
    account = Account(AUDIO)
    bank(account, None, NOON)
    account.spend(1.0, NOON)
    assert account.bill() is None
    account.spend(20.0, NOON)
    assert account.bill() == Bill(0.0, 21.0)


def test_what_is_left_is_what_the_tally_and_the_slice_hold() -> None:
    account = Account(TOKENS)
    assert account.allowance(NOON).remaining == 600
    tally = bank(account, Tally(100.0, NOON), NOON)
    assert tally is not None
    assert account.allowance(NOON).remaining == pytest.approx(100)
    account.spend(150, NOON)
    left = account.allowance(NOON)
    assert (left.name, left.limit, left.remaining) == ("tokens", 600.0, 0.0)
    assert left.reset_s == pytest.approx(65)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0.01, 20.0), st.booleans()), max_size=200),
    st.floats(10, 300),
)
def test_nothing_is_lost_or_counted_twice_and_an_empty_tally_turns_all_gateways_away(
    steps: list[tuple[int, float, bool]], limit: float
) -> None:
    quota = Quota(name="audio_seconds", limit=limit, period_s=DAY_S, is_window=True)
    accounts, spent = [Account(quota) for _ in range(3)], 0.0
    tally: Tally | None = None

    def check_books() -> None:
        left = tally.left if tally is not None else limit
        assert spent == pytest.approx(limit - left - sum(account.reserved for account in accounts))

    for who, amount, settles in steps:
        with contextlib.suppress(LimitReached):
            accounts[who].spend(amount, NOON)
            spent += amount
        if settles:
            tally = bank(accounts[who], tally, NOON)
        check_books()
    for _ in range(3):  # nobody spends any more: slices go back, debts are charged, all learn of it
        for account in accounts:
            tally = bank(account, tally, NOON)
        check_books()
    if tally is not None and tally.left < 0 and all(account.reserved <= 0 for account in accounts):
        for account in accounts:
            bill = Bill(0.0, 0.0)
            account.settled(bill, *settle(quota, tally, bill, NOON))
            with pytest.raises(LimitReached):
                account.check(NOON)


def test_leases_count_until_they_lapse() -> None:
    leases = hold({}, "a", 2, NOON)
    leases = hold(leases, "b", 1, NOON + 10)
    assert leases == {"a": Lease(2, NOON + LEASE_S), "b": Lease(1, NOON + 10 + LEASE_S)}
    check_sessions(leases, 3, NOON + 10)
    with pytest.raises(LimitReached, match="2 sessions at a time") as reached:
        check_sessions(leases, 2, NOON + 10)
    assert reached.value.limit == "sessions"
    check_sessions(leases, 1, NOON + LEASE_S)
    with pytest.raises(LimitReached, match="1 session at a time"):
        check_sessions(leases, 1, NOON + LEASE_S - 1)
    assert living(leases, NOON + 10 + LEASE_S) == {}
    assert hold(leases, "a", 0, NOON + 10) == {"b": leases["b"]}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "0s"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (0.9995, "1s"),
        (59.1, "1m0s"),
        (360.0, "6m0s"),
        (3600.0, "1h0m0s"),
        (86_399.5, "24h0m0s"),
    ],
)
def test_what_may_still_be_used_is_told_as_openai_tells_it(seconds: float, told: str) -> None:
    left = Allowance(name="tokens", limit=600.0, remaining=12.9, reset_s=seconds)
    assert rate_limit_headers([left]) == {
        "x-ratelimit-limit-tokens": "600",
        "x-ratelimit-remaining-tokens": "12",
        "x-ratelimit-reset-tokens": told,
    }
    assert rate_limit_headers([]) == {}


def test_all_headers_of_limits_are_known_to_browsers() -> None:
    both = [Allowance(name=each.name, limit=1.0, remaining=1.0, reset_s=0.0) for each in (AUDIO, TOKENS)]
    assert set(rate_limit_headers(both)) == set(RATE_LIMIT_HEADERS)
