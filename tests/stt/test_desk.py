"""Who gets a thread: finals before drafts before partials, several clips in a call where that pays."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from services.stt.chain import Chain
from services.stt.choose import Candidate
from services.stt.desk import EARLY_RESERVE_S, PARTIAL_BUDGET_S, Desk, Priority
from services.stt.engine import RATE_HZ, Clip
from shared.errors import EngineFailed
from tests.fakes.tones import ToneReader, read, spoken, text_of
from tests.stt.rig import until


def clip(first: int) -> Clip:
    """One word."""
    return Clip(pcm=spoken(1, first=first).astype(np.float32) / 32768.0, language="en")


def desk_of(reader: ToneReader, *, timeout_s: float = 30.0) -> Desk:
    chain = Chain([Candidate(engine="whisper", model="m", device="cpu")], lambda _: reader)
    chain.links[0].prove()
    reader.clips.clear()
    return Desk(chain, parallel=reader.info.parallel, timeout_s=timeout_s)


def reader_text(one: Clip) -> str:
    """What is said in it."""
    return " ".join(word.text for word in read(one.pcm))


async def test_what_waits_is_taken_by_priority_and_then_in_order() -> None:
    reader = ToneReader(parallel=1)
    desk = desk_of(reader)
    reader.may_answer.clear()
    first = desk.submit(clip(0), Priority.FILE)
    await until(lambda: first.is_taken)
    wanted = [
        Priority.FILE,
        Priority.PARTIAL,
        Priority.EARLY,
        Priority.SETTLE,
        Priority.DRAFT,
        Priority.FINAL,
    ]
    works = [desk.submit(clip(number + 1), priority) for number, priority in enumerate(wanted)]
    late = desk.submit(clip(7), Priority.FINAL)
    reader.may_answer.set()
    await asyncio.gather(*(work.done for work in (*works, late)))
    assert [reader_text(one) for one in reader.clips] == [
        text_of(1, first=at) for at in (0, 6, 7, 5, 4, 3, 2, 1)
    ]
    desk.close()


async def test_one_thread_is_kept_free_of_what_can_wait() -> None:
    reader = ToneReader(parallel=2)
    desk = desk_of(reader)
    reader.may_answer.clear()
    patient = [desk.submit(clip(number), Priority.PARTIAL) for number in range(3)]
    await until(lambda: patient[0].is_taken)
    final = desk.submit(clip(9), Priority.FINAL)
    await until(lambda: final.is_taken)
    assert not patient[1].is_taken
    reader.may_answer.set()
    await asyncio.gather(*(work.done for work in patient), final.done)
    desk.close()


async def test_what_nobody_waits_for_any_more_is_never_begun() -> None:
    reader = ToneReader(parallel=1)
    desk = desk_of(reader)
    reader.may_answer.clear()
    first = desk.submit(clip(0), Priority.FINAL)
    await until(lambda: first.is_taken)
    void, kept = desk.submit(clip(1), Priority.DRAFT), desk.submit(clip(2), Priority.DRAFT)
    void.done.cancel()
    first.done.cancel()
    reader.may_answer.set()
    await kept.done
    assert len(reader.clips) == 2
    assert not void.is_taken
    desk.close()


async def test_a_draft_whose_turn_is_over_goes_before_the_others() -> None:
    reader = ToneReader(parallel=1)
    desk = desk_of(reader)
    reader.may_answer.clear()
    first = desk.submit(clip(0), Priority.FINAL)
    await until(lambda: first.is_taken)
    one, two = desk.submit(clip(1), Priority.DRAFT), desk.submit(clip(2), Priority.DRAFT)
    desk.promote(two, Priority.FINAL)
    reader.may_answer.set()
    await asyncio.gather(one.done, two.done)
    assert reader_text(reader.clips[1]) == text_of(1, first=2)
    desk.close()


async def test_clips_of_several_sessions_go_together_and_come_back_each_to_its_own() -> None:
    reader = ToneReader(parallel=1, max_batch=3)
    desk = desk_of(reader)
    works = [desk.submit(clip(number), Priority.DRAFT) for number in range(4)]
    heard = await asyncio.gather(*(work.done for work in works))
    assert [one.transcript.text for one in heard] == [text_of(1, first=number) for number in range(4)]
    assert reader.batches == [3]
    assert desk.batches == 1
    desk.close()


async def test_what_can_wait_is_in_no_batch_with_what_cannot() -> None:
    reader = ToneReader(parallel=1, max_batch=4)
    desk = desk_of(reader)
    works = [desk.submit(clip(0), Priority.PARTIAL), desk.submit(clip(1), Priority.FINAL)]
    await asyncio.gather(*(work.done for work in works))
    assert reader.batches == []
    assert reader_text(reader.clips[0]) == text_of(1, first=1)
    desk.close()


async def test_a_batch_that_fails_is_no_failure_of_its_clips() -> None:
    reader = ToneReader(parallel=1, max_batch=2)
    desk = desk_of(reader)
    reader.failures = 1
    works = [desk.submit(clip(number), Priority.FINAL) for number in range(2)]
    heard = await asyncio.gather(*(work.done for work in works))
    assert [one.transcript.text for one in heard] == [text_of(1, first=number) for number in range(2)]
    desk.close()


async def test_a_defect_in_one_clip_of_a_batch_is_not_the_others() -> None:
    reader = ToneReader(parallel=1, max_batch=2)
    desk = desk_of(reader)

    def break_down(one: Clip) -> None:
        if reader_text(one) == text_of(1, first=1):
            raise ZeroDivisionError

    reader.on_call = break_down
    works = [desk.submit(clip(number), Priority.FINAL) for number in range(2)]
    heard, broken = await asyncio.gather(*(work.done for work in works), return_exceptions=True)
    assert not isinstance(heard, BaseException)
    assert heard.transcript.text == text_of(1)
    assert isinstance(broken, ZeroDivisionError)
    desk.close()


async def test_a_call_that_hangs_is_given_up_and_comes_back_later() -> None:
    reader = ToneReader(parallel=2)
    soon_s, never_s = 0.05, 60.0
    desk = desk_of(reader, timeout_s=soon_s)
    reader.may_answer.clear()
    with pytest.raises(EngineFailed, match="no answer within"):
        await desk.transcribe(clip(0))
    assert not desk.lost.is_set(), "there is another thread"
    reader.may_answer.set()
    desk._timeout_s = never_s  # however long the machine takes for it
    assert (await desk.transcribe(clip(1))).transcript.text == text_of(1, first=1)
    await until(lambda: not desk._hung)
    desk._timeout_s = soon_s
    reader.may_answer.clear()
    with pytest.raises(EngineFailed):
        await desk.transcribe(clip(0))
    with pytest.raises(EngineFailed):
        await desk.transcribe(clip(0))
    assert desk.lost.is_set()
    reader.may_answer.set()
    desk.close()


async def test_partials_have_a_share_of_the_time_and_the_early_ones_a_reserve() -> None:
    desk = desk_of(ToneReader())
    admitted = 0
    while desk.admits_partial(0.2, is_early=False):
        admitted += 1
        assert admitted < 20
    assert admitted >= 3
    shed = desk.partials_shed
    assert shed == 1
    assert desk.admits_partial(EARLY_RESERVE_S / 2, is_early=True)
    desk.settle_up(0.2, 60.0)
    assert not desk.admits_partial(0.01, is_early=True)
    assert desk.partials_shed == shed + 1
    desk.close()


async def test_partials_are_shed_where_they_would_hold_somebody_up() -> None:
    alone = desk_of(ToneReader(parallel=1))
    assert not alone.admits_partial(0.01, is_early=True), "there is one thread, and it is for finals"
    reader = ToneReader()
    desk = desk_of(reader)
    assert not desk.admits_partial(PARTIAL_BUDGET_S + 0.1, is_early=True), "it would come too late"
    reader.may_answer.clear()
    works = [desk.submit(clip(number), Priority.FINAL) for number in range(3)]
    await until(lambda: works[1].is_taken)
    assert not desk.admits_partial(0.01, is_early=True), "a final waits"
    reader.may_answer.set()
    await asyncio.gather(*(work.done for work in works))
    assert desk.cost_s(RATE_HZ) > 0
    desk.close()
    alone.close()
