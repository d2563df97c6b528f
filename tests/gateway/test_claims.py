"""Who holds a session that was opened at several gateways, and what a record says to who takes it up."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.chat_protocol import Has
from services.gateway.claims import Verdict, as_told, judge, open_record
from shared.messages import ChatMessage, Pending, Rest, SessionRecord

PENDING = Pending(turn=3, question="Why?", heard="Because", asked_at=1000.0)
RECORD = SessionRecord(turns=2, messages=[ChatMessage(role="user", content="Hi")], pending=PENDING)


@given(st.permutations(["k1", "k2", "k3"]), st.data())
def test_whatever_is_heard_when_one_gateway_holds_the_session_in_the_end(
    keys: list[str], data: st.DataObject
) -> None:
    """Each gateway hears what is told after it has opened; what was told before is lost to it."""
    holding: set[str] = set()
    on_the_way: list[tuple[str, str]] = []

    def tell(key: str) -> None:
        on_the_way.extend((key, other) for other in holding)

    to_open = list(keys)
    for _ in range(100):
        if to_open and (not on_the_way or data.draw(st.booleans())):
            holding.add(to_open[0])
            tell(to_open.pop(0))
        elif on_the_way:
            theirs, mine = on_the_way.pop(data.draw(st.integers(0, len(on_the_way) - 1)))
            if mine in holding:
                match judge(mine, theirs):
                    case Verdict.YIELD:
                        holding.discard(mine)
                    case Verdict.INSIST:
                        tell(mine)
                    case Verdict.IGNORE:
                        assert mine == theirs
    assert not to_open
    assert not on_the_way, "they come to an end"
    assert holding == {"k3"}


def test_a_fresh_question_is_gone_on_with_under_its_number() -> None:
    record, pending = open_record(RECORD, now=1040.0, within_s=45.0, can_go_on=True)
    assert pending == PENDING
    assert record == msgspec.structs.replace(RECORD, pending=None)


def test_a_stale_question_stands_with_what_was_heard_among_what_was_said() -> None:
    for now, can_go_on in ((1050.0, True), (1000.0, False)):
        record, pending = open_record(RECORD, now=now, within_s=45.0, can_go_on=can_go_on)
        assert pending is None
        assert record is not None
        assert record.pending is None
        assert record.turns == 3
        assert [message.content for message in record.messages] == ["Hi", "Why?", "Because"]


def test_a_record_without_a_question_is_as_it_was() -> None:
    plain = msgspec.structs.replace(RECORD, pending=None)
    assert open_record(None, now=0.0, within_s=1.0, can_go_on=True) == (None, None)
    assert open_record(plain, now=0.0, within_s=1.0, can_go_on=True) == (plain, None)


def test_only_of_a_question_whose_gateway_was_lost_the_client_tells_what_was_heard() -> None:
    lost = msgspec.structs.replace(PENDING, heard="")
    has = Has(turn_id="s-3", ms=700.0, heard="Because it")
    told = as_told(lost, has, own_id="s-3")
    assert (told.heard, told.heard_ms) == ("Because it", 700.0)
    assert as_told(lost, has, own_id="s-4") is lost
    assert as_told(PENDING, has, own_id="s-3") is PENDING
    known = msgspec.structs.replace(lost, rest=[Rest(text="Because")])
    assert as_told(known, has, own_id="s-3") is known
    assert as_told(lost, Has(turn_id="s-3", ms=1.0), own_id="s-3") is lost
