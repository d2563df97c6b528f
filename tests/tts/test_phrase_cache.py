"""Phrases that come again: what is kept, for whom it counts as the same, and what is never kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from services.tts.cache import ASKED_TIMES, LONGEST_CHARACTERS, PhraseCache
from services.tts.chain import Chain
from services.tts.lanes import Listener
from services.tts.segment import Made, Orders, make
from shared.audio import Samples
from shared.errors import EngineFailed
from shared.messages import AudioFormat, Synthesize
from tests.fakes.voices import FakeEngine, FakeVoice, raising, tone

HMM = Synthesize(
    gw="g", sid="s", turn=1, attempt=1, segment=0, text="One moment.", audio=AudioFormat(rate_hz=16000),
    remaining_ms=5000, language="en", reuse="will",
)  # fmt: skip


def changed(item: Synthesize, **changes: Any) -> Synthesize:
    return msgspec.structs.replace(item, **changes)


def voices(*, sha256: str = "ab" * 32, english: str = "en_US-one") -> FakeEngine:
    return FakeEngine(
        name="piper",
        owned=(
            FakeVoice(name=english, language="en", sha256=sha256),
            FakeVoice(name="fr_FR-deux-low", language="fr", sha256="cd" * 32),
        ),
    )


@dataclass
class Shop:
    """A cache and what stands behind it."""

    chain: Chain = field(default_factory=lambda: Chain([voices()], lambda: 0.0))
    cache: PhraseCache = field(default_factory=PhraseCache)
    made: int = 0

    def get(self, item: Synthesize) -> list[Made]:
        """As the worker does it."""
        kept = self.cache.lookup(item)
        return (
            kept if kept is not None else list(self.cache.through(item, self.chain, lambda: self.make(item)))
        )

    def make(self, item: Synthesize) -> Iterator[Made]:
        self.made += 1
        return make(self.chain, item, Orders(chunk_ms=60, listener=Listener(), asked=[]))


def test_a_phrase_that_will_come_again_is_made_once() -> None:
    shop = Shop()
    first, second = shop.get(HMM), shop.get(changed(HMM, sid="other", turn=9, segment=3, attempt=2))
    assert shop.made == 1
    assert [made.chunk for made in first] == [made.chunk for made in second]
    assert first[0].marks == second[0].marks
    numbers = shop.cache.numbers()
    assert (numbers["phrase_hits"], numbers["phrase_misses"], numbers["phrases"]) == (1, 1, 1)
    assert numbers["phrase_bytes"] > sum(len(made.chunk.data) for made in first)


def test_any_other_short_phrase_is_kept_when_it_was_asked_for_some_times() -> None:
    shop = Shop()
    for _ in range(ASKED_TIMES + 3):
        shop.get(changed(HMM, reuse="may"))
    assert shop.made == ASKED_TIMES


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "One  moment."},
        {"mood": "joy"},
        {"speed": 1.1},
        {"audio": AudioFormat(rate_hz=8000)},
        {"audio": AudioFormat(codec="mp3", rate_hz=16000)},
        {"language": "fr"},
        {"voice": "fr_FR-deux-low"},
    ],
)
def test_whatever_changes_the_sound_is_another_phrase(changes: dict[str, Any]) -> None:
    shop = Shop()
    shop.get(HMM)
    shop.get(changed(HMM, **changes))
    assert shop.made == 2
    shop.get(changed(HMM, **changes))
    assert shop.made == 2


def test_one_voice_by_several_names_is_one_phrase() -> None:
    shop = Shop()
    shop.get(HMM)
    for name in ("en_US-one", "eva"):
        shop.get(changed(HMM, voice=name))  # the first time it is not known whose name it is
        assert shop.cache.lookup(changed(HMM, voice=name)) is not None
    assert shop.cache.numbers()["phrases"] == 1
    assert shop.cache.lookup(changed(HMM, text="One moment. ")) is not None


def test_another_model_under_the_same_name_is_another_voice() -> None:
    before, after = Shop(), Shop(chain=Chain([voices(sha256="ef" * 32)], lambda: 0.0))
    before.get(HMM)
    after.get(HMM)
    after.cache._kept |= before.cache._kept  # as if it had been kept beyond the end of the process
    assert after.cache.numbers()["phrases"] == 2


def test_what_must_be_made_is_made_and_not_kept() -> None:
    shop = Shop()
    for _ in range(ASKED_TIMES + 2):
        shop.get(changed(HMM, reuse="never"))
    assert shop.made == ASKED_TIMES + 2
    shop.get(HMM)
    shop.get(changed(HMM, reuse="never"))
    assert shop.made == ASKED_TIMES + 4
    assert shop.cache.numbers()["phrases"] == 1


def test_long_texts_long_sounds_and_nothing_are_not_kept() -> None:
    long = "word " * (LONGEST_CHARACTERS // 5 + 1)
    drawled = voices()
    drawled = replace(
        drawled, owned=(FakeVoice(name="en_US-slow", script=lambda _: iter([tone(3.1)])), drawled.owned[1])
    )
    for item, chain in (
        (changed(HMM, reuse="may", text=long), Chain([voices()], lambda: 0.0)),
        (changed(HMM, reuse="may"), Chain([drawled], lambda: 0.0)),
        (changed(HMM, reuse="may", text="…"), Chain([voices()], lambda: 0.0)),
        (changed(HMM, reuse="will", text=10 * long), Chain([voices()], lambda: 0.0)),
    ):
        shop = Shop(chain=chain)
        for _ in range(ASKED_TIMES + 2):
            shop.get(item)
        assert shop.made == ASKED_TIMES + 2
        assert shop.cache.numbers()["phrases"] == 0


def test_what_the_fallback_said_is_not_heard_for_ever() -> None:
    failing = FakeEngine(name="piper", owned=(FakeVoice(name="en_US-one", script=raising),))
    robot = FakeEngine(name="espeak-ng", is_degraded=True, owned=(FakeVoice(name="en-us", sha256=""),))
    shop = Shop(chain=Chain([failing, robot], lambda: 0.0))
    assert {made.voice.name for made in shop.get(HMM)} == {"en-us"}
    assert shop.cache.lookup(HMM) is None
    failing.owned[0].script = None
    for _ in range(2):
        assert {made.voice.name for made in shop.get(HMM)} == {"en_US-one"}
    assert shop.made == 2


def test_what_was_kept_is_heard_while_its_voice_is_set_aside() -> None:
    piper = FakeEngine(name="piper", owned=(FakeVoice(name="en_US-one"),))
    robot = FakeEngine(name="espeak-ng", is_degraded=True, owned=(FakeVoice(name="en-us", sha256=""),))
    shop = Shop(chain=Chain([piper, robot], lambda: 0.0))
    shop.get(HMM)
    shop.chain.blame(piper, "hangs", hangs=True)
    assert {made.voice.name for made in shop.get(HMM)} == {"en_US-one"}


def test_a_phrase_that_broke_off_or_was_given_up_is_not_kept() -> None:
    def breaking(_: str) -> Iterator[Samples]:
        yield tone(0.7)
        raise EngineFailed("piper", "as told")

    engine = FakeEngine(owned=(FakeVoice(name="en_US-one", script=breaking),))
    broken = Shop(chain=Chain([engine], lambda: 0.0))
    broken.get(HMM)  # all but the end of the last word was said
    with pytest.raises(EngineFailed):
        broken.get(changed(HMM, text="One moment, and then I will be all yours for as long as you like."))
    assert broken.cache.numbers()["phrases"] == 0
    shop = Shop()
    half = shop.cache.through(HMM, shop.chain, lambda: shop.make(HMM))
    assert next(iter(half))
    half.close()  # type: ignore[attr-defined] # it is a generator
    assert shop.cache.numbers()["phrases"] == 0


def test_the_least_recently_heard_goes_when_the_room_is_used_up() -> None:
    size = int(_size_of(HMM))
    shop = Shop(cache=PhraseCache(limit_bytes=2 * size + size // 2))
    one, two, three = (changed(HMM, text=text) for text in ("One moment.", "Two moments", "Now waiting"))
    for item in (one, two, one, three):
        shop.get(item)
    assert [shop.cache.lookup(item) is not None for item in (one, two, three)] == [True, False, True]
    assert shop.cache.numbers()["phrase_bytes"] <= 2 * size + size // 2


def _size_of(item: Synthesize) -> float:
    shop = Shop()
    shop.get(item)
    return shop.cache.numbers()["phrase_bytes"]


@pytest.mark.parametrize("limit_bytes", [0, 100])
def test_where_there_is_no_room_nothing_is_kept(limit_bytes: int) -> None:
    shop = Shop(cache=PhraseCache(limit_bytes))
    shop.get(HMM)
    shop.get(HMM)
    assert shop.made == 2
    assert shop.cache.numbers()["phrase_bytes"] == 0


def test_a_chain_without_engines_keeps_nothing() -> None:
    shop = Shop(chain=Chain([], lambda: 0.0))
    with pytest.raises(EngineFailed):
        shop.get(HMM)
    assert list(shop.cache.through(HMM, shop.chain, lambda: iter(()))) == []


def test_many_threads_keep_and_find_the_same_sound() -> None:
    shop, together = Shop(), threading.Barrier(8)
    items = [changed(HMM, text=f"Moment {number}.") for number in range(4)]

    def work(number: int) -> list[tuple[int, int]]:
        together.wait(60)
        found = [shop.get(items[(number + turn) % 4]) for turn in range(40)]
        return [(len(made), sum(one.chunk.samples for one in made)) for made in found]

    with ThreadPoolExecutor(8) as threads:
        heard = {size for sizes in threads.map(work, range(8)) for size in sizes}
    assert len(heard) == 1
    numbers = shop.cache.numbers()
    assert numbers["phrases"] == 4
    assert numbers["phrase_hits"] + numbers["phrase_misses"] == 320


def test_no_text_stays_in_the_cache() -> None:
    shop = Shop()
    shop.get(HMM)
    assert "moment" not in repr((shop.cache._kept.keys(), shop.cache._asked, shop.cache._promises))
