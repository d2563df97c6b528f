"""A decoding in its own thread: it never holds anybody up, and its end leaves nothing behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from services.stt.chain import Chain
from services.stt.choose import Candidate
from services.stt.engine import Pcm, Transcript
from services.stt.stream import MAX_BEHIND, Stream
from shared.errors import EngineFailed
from tests.fakes.tones import Listener, TonesHeard, spoken, text_of
from tests.stt.rig import until

WORD = spoken(1).astype(np.float32) / 32768.0


def chain_of(listener: Listener) -> Chain:
    chain = Chain([Candidate(engine="whisper", model="m", device="cpu")], lambda _: listener)
    chain.links[0].prove()
    return chain


class Slow(Listener):
    """Its decodings wait for leave to feed."""

    def __init__(self) -> None:
        super().__init__()
        self.may_feed = threading.Event()

    def begin(self, language: str | None, learnt: str = "") -> TonesHeard:
        decoding = super().begin(language, learnt)
        assert isinstance(decoding, TonesHeard)
        feed = decoding.feed

        def wait_and_feed(pcm: Pcm) -> None:
            self.may_feed.wait(60)
            if not decoding.is_closed:
                feed(pcm)

        object.__setattr__(decoding, "feed", wait_and_feed)
        return decoding


async def test_what_is_fed_is_read_in_order_and_a_draft_disturbs_nothing() -> None:
    stream = Stream(chain_of(Listener()), "en")
    for number in range(3):
        stream.feed(spoken(1, first=number).astype(np.float32) / 32768.0)
        heard = await stream.draft()
        assert heard is not None
        assert heard.transcript.text == text_of(number + 1)
        assert heard.info.name == "tones"
        assert stream.draft_s > 0
    stream.close()


async def test_where_there_is_no_place_it_is_of_no_use() -> None:
    stream = Stream(chain_of(Listener(places=0)), None)
    stream.feed(WORD)
    assert await stream.draft() is None
    assert stream.has_failed
    stream.close()


async def test_what_was_asked_for_before_the_end_is_still_told() -> None:
    listener = Listener()
    stream = Stream(chain_of(listener), None)
    stream.feed(WORD)
    draft = stream.draft()
    heard = await draft
    stream.close()
    stream.close()
    assert heard is not None
    await until(lambda: bool(listener.begun) and listener.begun[0].is_closed)
    assert await stream.draft() is None
    stream.feed(WORD)
    assert len(listener.begun[0].fed) == 1


async def test_who_cannot_keep_up_is_given_up() -> None:
    listener = Slow()
    stream = Stream(chain_of(listener), None)
    piece = np.zeros(MAX_BEHIND // 4, dtype=np.float32)
    for _ in range(5):
        assert not stream.has_failed
        stream.feed(piece)
    assert stream.has_failed
    assert await stream.draft() is None
    listener.may_feed.set()
    await until(lambda: bool(listener.begun) and listener.begun[0].is_closed)
    assert len(listener.begun[0].fed) <= 1, "what is of no use is not decoded"


async def test_who_hangs_is_given_up_in_time_and_its_place_is_free_again() -> None:
    listener = Slow()
    stream = Stream(chain_of(listener), None, timeout_s=0.05)
    stream.feed(WORD)
    assert await stream.draft() is None
    assert stream.has_failed
    await until(lambda: bool(listener.begun) and listener.begun[0].is_closed)
    listener.may_feed.set()


async def test_what_fails_because_it_was_given_up_counts_against_no_engine() -> None:
    listener = Listener()
    listener.draft_failures = 1
    chain = chain_of(listener)
    followed = chain.begin("en")
    assert followed is not None
    heard = listener.begun[0]
    draft = heard.draft

    def cut_off() -> Transcript:
        followed.close()  # as another thread does when it has waited long enough
        heard.is_closed = False
        return draft()

    object.__setattr__(heard, "draft", cut_off)
    with pytest.raises(EngineFailed):
        followed.draft()
    assert chain.links[0].failures == 0
