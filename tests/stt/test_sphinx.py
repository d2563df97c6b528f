from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.stt.engine import RATE_HZ, Clip, Decoding, Incremental, Pcm
from services.stt.sphinx import (
    CUT_AFTER,
    SphinxDecoding,
    SphinxEngine,
    buzz,
    dithered,
    load_sphinx,
    quiet_place,
)
from shared.errors import EngineFailed
from tests.fakes.speech import silence, speech

LONDON = "my name is john and i live in london"
STEP = RATE_HZ // 5


@pytest.fixture(scope="module")
def sphinx() -> Iterator[SphinxEngine]:
    engine = load_sphinx()
    yield engine
    engine.close()


def floats(pcm: np.ndarray) -> Pcm:
    return pcm.astype(np.float32) / np.float32(32768)


def said(text: str) -> Pcm:
    return floats(speech(text))


def feed(decoding: Decoding, pcm: Pcm) -> None:
    for start in range(0, len(pcm), STEP):
        decoding.feed(pcm[start : start + STEP])


def begin(engine: SphinxEngine, learnt: str = "") -> SphinxDecoding:
    decoding = engine.begin("en", learnt)
    assert isinstance(decoding, SphinxDecoding)
    return decoding


def right(heard: str, text: str) -> float:
    """Returns the share of the words of ``text`` that were heard."""
    words = text.split()
    return len(set(words) & set(heard.split())) / len(set(words))


@pytest.mark.parametrize("text", [LONDON, "stop talking please", "one two three four five six"])
def test_most_words_of_clear_english_are_understood_without_a_download(
    sphinx: SphinxEngine, text: str
) -> None:
    transcript = sphinx.transcribe(Clip(pcm=said(text), language="en"))
    assert right(transcript.text, text) > 0.5, transcript.text
    assert transcript.language == "en"


def test_what_is_decoded_while_it_is_spoken_is_as_good_as_the_whole(sphinx: SphinxEngine) -> None:
    decoding = begin(sphinx)
    feed(decoding, said(LONDON))
    transcript = decoding.draft()
    decoding.close()
    assert right(transcript.text, LONDON) > 0.5, transcript.text
    whole = sphinx.transcribe(Clip(pcm=said(LONDON), language="en"))
    assert right(transcript.text, LONDON) >= right(whole.text, LONDON) - 0.25


def test_the_first_utterance_of_a_process_is_heard_like_any_other() -> None:
    engine = load_sphinx()
    texts = []
    for _ in range(2):
        decoding = begin(engine)
        feed(decoding, said(LONDON))
        texts.append(decoding.draft().text)
        decoding.close()
    engine.close()
    assert texts[0] == texts[1]


def test_a_draft_does_not_disturb_what_goes_on(sphinx: SphinxEngine) -> None:
    pcm = np.concatenate([said("what time is it"), floats(silence(0.4)), said("stop talking please")])
    drafted, undisturbed = begin(sphinx), begin(sphinx)
    first = pcm[: len(said("what time is it")) + RATE_HZ // 5]
    feed(drafted, first)
    draft = drafted.draft()
    assert draft.text
    feed(drafted, pcm[len(first) :])
    feed(undisturbed, first)
    feed(undisturbed, pcm[len(first) :])
    assert len(drafted.draft().text) > len(draft.text)
    assert drafted.draft() == drafted.draft()
    # The noise under the audio goes on behind the margin of the draft, so the words may differ a little.
    assert right(drafted.draft().text, undisturbed.draft().text) > 0.5
    drafted.close()
    undisturbed.close()


def test_one_sound_is_heard_in_one_way_however_it_comes_in(sphinx: SphinxEngine) -> None:
    pcm = np.concatenate([silence(0.25), speech("what is my name"), silence(0.3), speech(LONDON * 2)])
    sound, heard = floats(pcm), set()
    for seed in range(4):
        sizes = np.random.default_rng(seed)
        decoding, at = begin(sphinx), 0
        while at < len(sound):
            part = sound[at : at + int(sizes.integers(160, 8000))]
            if seed % 2 and sizes.random() < 0.3:
                decoding.draft()
            decoding.feed(part)
            at += len(part)
        heard.add(decoding.draft().text)
        decoding.close()
    assert len(heard) == 1


def test_who_was_heard_before_is_decoded_from_the_first_moment_on(sphinx: SphinxEngine) -> None:
    earlier = begin(sphinx)
    feed(earlier, said(LONDON))
    assert earlier.learnt == ""
    earlier.draft()
    earlier.close()
    short = said("stop talking please")[: RATE_HZ * 7 // 10]
    shares = []
    for learnt in ("", earlier.learnt):
        decoding = begin(sphinx, learnt)
        feed(decoding, short)
        assert decoding.draft().text
        line = decoding._line
        shares.append(line.draft_s / (line.heard_s + line.draft_s))
        decoding.close()
    assert shares[0] > 0.9, "without it, all the work is still to be done at a pause"
    assert shares[1] < 0.7


def test_a_draft_of_next_to_nothing_is_empty(sphinx: SphinxEngine) -> None:
    decoding = begin(sphinx)
    decoding.feed(np.zeros(0, np.float32))
    decoding.feed(np.zeros(160, np.float32))
    assert decoding.draft().words == ()
    decoding.close()


def test_words_have_times_in_order_within_the_audio(sphinx: SphinxEngine) -> None:
    pcm = said(LONDON)
    decoding = begin(sphinx)
    feed(decoding, pcm)
    for transcript in (decoding.draft(), sphinx.transcribe(Clip(pcm=pcm, language="en"))):
        assert " ".join(word.text for word in transcript.words) == transcript.text
        starts = [word.start_s for word in transcript.words]
        assert starts == sorted(starts)
        assert all(word.start_s < word.end_s <= len(pcm) / RATE_HZ + 0.3 for word in transcript.words)
    decoding.close()


def test_speech_without_a_pause_is_cut_between_words_and_goes_on(sphinx: SphinxEngine) -> None:
    sentence = said(LONDON)
    pcm = np.concatenate([sentence] * (CUT_AFTER // len(sentence) + 2))
    decoding = begin(sphinx)
    feed(decoding, pcm)
    words = decoding.draft().words
    decoding.close()
    assert decoding.cuts >= 1
    assert sum(word.text == "london" for word in words) >= 3
    assert words[-1].end_s == pytest.approx(len(pcm) / RATE_HZ, abs=0.6)
    starts = [word.start_s for word in words]
    assert starts == sorted(starts)


def test_a_quiet_place_is_found_in_the_quietest_block() -> None:
    pcm = np.full(3200, 0.3, np.float32)
    assert quiet_place(pcm, 0.09, is_urgent=False) is None
    assert quiet_place(pcm, 0.09, is_urgent=True) is not None
    pcm[800:1600] = 0.001
    assert quiet_place(pcm, 0.09, is_urgent=False) == 1200
    assert quiet_place(pcm[:100], 0.09, is_urgent=True) is None


def test_there_are_no_more_decodings_than_room_and_a_closed_one_makes_room() -> None:
    engine = SphinxEngine(decodings=2)
    one, two = begin(engine), begin(engine)
    assert engine.begin("en") is None
    one.close()
    one.close()  # as often as one likes
    three = engine.begin(None)
    assert three is not None
    assert engine.begin("en") is None
    two.close()
    three.close()
    engine.close()


def test_it_says_that_it_is_degraded_english_only_and_hears_while_one_speaks(sphinx: SphinxEngine) -> None:
    assert sphinx.info.is_degraded
    assert sphinx.info.languages == ("en",)
    assert sphinx.info.is_incremental
    assert isinstance(sphinx, Incremental)


def test_it_times_itself(sphinx: SphinxEngine) -> None:
    sphinx.measure()
    assert sphinx.info.call_ms > 0
    assert sphinx.info.rtf > 0
    assert np.abs(buzz(1.0)).max() < 1


def test_two_utterances_at_once_do_not_mix(sphinx: SphinxEngine) -> None:
    texts: dict[str, str] = {}

    def hear(text: str) -> None:
        texts[text] = sphinx.transcribe(Clip(pcm=said(text), language=None)).text

    both = ["stop talking please", "one two three four five six"]
    threads = [threading.Thread(target=hear, args=(text,)) for text in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert "stop talking" in texts["stop talking please"]
    assert "two three four" in texts["one two three four five six"]


def test_noise_is_laid_under_silence_the_same_each_time() -> None:
    quiet = dithered(np.zeros(16000, np.float32))
    assert 80 < float(quiet.std()) < 120
    assert np.array_equal(quiet, dithered(np.zeros(16000, np.float32)))


def test_a_recogniser_that_is_killed_is_a_failure_and_the_next_call_starts_another() -> None:
    engine = load_sphinx()
    engine.transcribe(Clip(pcm=said("stop talking please"), language="en"))
    assert engine.pid is not None
    gone = os.pidfd_open(engine.pid)
    os.kill(engine.pid, signal.SIGKILL)
    assert select.select([gone], [], [], 20)[0]  # readable: it has ended
    os.close(gone)
    assert engine.transcribe(Clip(pcm=said("stop talking please"), language="en")).text
    engine.close()
    assert engine.pid is None


def test_a_decoding_whose_fork_is_killed_is_a_failure() -> None:
    engine = load_sphinx()
    decoding = begin(engine)
    feed(decoding, said("stop talking please"))
    decoding.draft()
    assert engine.pid is not None
    for fork in Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split():
        os.kill(int(fork), signal.SIGKILL)
    with pytest.raises(EngineFailed, match="has died"):
        decoding.draft()
    decoding.close()
    engine.close()


def test_no_fork_outlives_its_utterance() -> None:
    engine = load_sphinx()
    decoding = begin(engine)
    feed(decoding, said(LONDON))
    decoding.draft()
    assert engine.pid is not None
    children = Path(f"/proc/{engine.pid}/task/{engine.pid}/children")
    assert len(children.read_text().split()) == 1
    [fork] = children.read_text().split()
    gone = os.pidfd_open(int(fork))
    decoding.close()
    assert select.select([gone], [], [], 20)[0]  # readable: it has ended
    os.close(gone)
    deadline_s = time.monotonic() + 20
    while children.read_text().split() or not children_cpu_ticks(engine.pid):
        assert time.monotonic() < deadline_s, "it is not buried, or its processor time is nobody's"
        time.sleep(0.02)
    engine.close()


def children_cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[13]) + int(fields[14])


DIES_ON_THE_FIRST_CALL = (
    "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.sendall(b'!'); s.recv(1)"
)


def test_a_recogniser_that_dies_is_a_failure_and_the_next_call_starts_another() -> None:
    engine = SphinxEngine([sys.executable, "-c", DIES_ON_THE_FIRST_CALL])
    for _ in range(3):
        with pytest.raises(EngineFailed, match="has died"):
            engine.transcribe(Clip(pcm=np.zeros(160, np.float32), language="en"))
    engine.close()


def test_a_decoding_whose_recogniser_dies_as_it_begins_leaves_nothing_open() -> None:
    engine = SphinxEngine([sys.executable, "-c", DIES_ON_THE_FIRST_CALL], decodings=1)
    for _ in range(3):  # or there would be no room
        with pytest.raises(EngineFailed, match="has died"), contextlib.closing(begin(engine)) as decoding:
            decoding.draft()
    engine.close()


def test_a_recogniser_that_does_not_start_is_a_failure_and_takes_no_room() -> None:
    engine = SphinxEngine([sys.executable, "-c", "raise SystemExit(1)"], decodings=1)
    with pytest.raises(EngineFailed, match="has died"):
        engine.transcribe(Clip(pcm=np.zeros(160, np.float32), language="en"))
    for _ in range(2):
        with pytest.raises(EngineFailed, match="has died"):
            engine.begin("en")
    engine.close()
