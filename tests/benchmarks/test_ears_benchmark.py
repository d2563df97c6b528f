"""The benchmark of the ears measures what it says: its speech, its models, its peer and its judgements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faster_whisper import WhisperModel

from benchmarks.ears_cost import EndCost, Load, flatness
from benchmarks.ears_engines import Engine
from benchmarks.ears_errors import READ, Errors, later, wrong
from benchmarks.ears_texts import paragraphs
from benchmarks.figures import figure, write_part
from benchmarks.interruptions import coughed, judged, stimuli
from benchmarks.known_words import Known, known
from benchmarks.listener import converse
from benchmarks.random_whisper import Size, bound, build, chain_words
from benchmarks.speech import RATE_HZ, Utterance, long_turn, loud_part, turns, utterance

FLAT = Size("flat", 384, 6, 1)
"""As wide as ``tiny``, one layer deep."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("engine")
    return Engine("flat", str(build(folder / "flat", FLAT)), folder)


def floats(pcm: np.ndarray) -> np.ndarray:
    return pcm.astype(np.float32) / np.float32(32768)


def test_an_utterance_knows_where_its_sound_begins_and_ends() -> None:
    said = utterance(["what time is it", "in london"], pauses_s=[0.5], seed=1)
    assert said.text == "what time is it in london"
    loud = np.flatnonzero(np.abs(said.pcm.astype(int)) > 500)
    assert abs(loud[0] - said.start) < 0.05 * RATE_HZ
    assert abs(loud[-1] - said.end) < 0.05 * RATE_HZ
    assert said.words[4].start - said.words[3].end == RATE_HZ // 2


@pytest.mark.parametrize("seconds", [2, 10])
def test_long_speech_is_about_as_long_as_it_should_be(seconds: int) -> None:
    assert 0.95 * seconds < long_turn(seconds, voice="en-us", seed=2).speech_s < 1.25 * seconds


def test_the_words_of_a_clip_are_found_by_its_samples(tmp_path: Path) -> None:
    first, second = turns(2, seed=5)
    knows = known([first, second])
    assert [word.text for word in knows.words(floats(second.pcm))] == second.text.split()
    third = second.words[2]
    cut = knows.words(floats(second.pcm[: third.end]))
    assert [word.text for word in cut] == second.text.split()[:3]
    later = knows.words(floats(second.pcm[third.start :]))
    assert later[0].text == third.text
    assert later[0].start == 0
    assert knows.words(floats(np.arange(8000, dtype=np.int16))) == []
    knows.write(tmp_path / "known.json")
    assert Known.read(tmp_path / "known.json") == knows


def test_a_random_model_says_as_many_tokens_as_it_may_and_passes_the_gates(engine: Engine) -> None:
    model = WhisperModel(engine.model, device="cpu", compute_type="int8", cpu_threads=1)
    bounded = bound(model)
    sound = floats(turns(1)[0].pcm)
    for words, tokens in ((4, 5), (9, 12), (40, 52)):
        bounded.allow(words)
        said, _ = model.transcribe(
            sound, language="en", beam_size=1, temperature=0.0, without_timestamps=True
        )
        (segment,) = said
        assert segment.text.split() == chain_words()[:tokens]
        assert segment.avg_logprob > -0.1
        assert segment.no_speech_prob < 0.1
        assert segment.compression_ratio < 2.4


@pytest.mark.process
async def test_both_ears_hear_the_same_people_in_real_time(engine: Engine) -> None:
    said = [utterance(["what time is it"], seed=3), utterance(["open the window please"], seed=4)]
    async with engine.ours(said) as place:
        ours = await converse(place, [[each] for each in said])
    async with engine.peer(said) as place:
        peer = await converse(place, [[each] for each in said])
    for talk in (ours, peer):
        assert sorted(turn.text for turn in talk.turns) == sorted(each.text for each in said)
        assert talk.lost == 0
        assert talk.cpu_s > 0
        assert all(turn.total_ms > 0 for turn in talk.turns)
    # It transcribes behind the silence; how long that was on the clock is the machine's affair.
    assert all(turn.total_ms > turn.last.transcribe_ms > 0 for turn in peer.turns)
    assert all(550 <= turn.last.endpoint_ms < 600 for turn in peer.turns)
    assert max(turn.last.endpoint_ms for turn in ours.turns) < 1300


def test_a_part_of_the_page_replaces_itself_and_leaves_the_others(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "page.md"
    write_part(page, "one", "## One\n\nold")
    write_part(page, "two", "## Two")
    write_part(page, "one", "## One\n\nnew")
    assert page.read_text() == (
        "# Benchmarks\n\n<!-- one -->\n## One\n\nnew\n<!-- end of one -->\n\n"
        "<!-- two -->\n## Two\n<!-- end of two -->\n"
    )


def test_prose_is_filled_and_tables_are_left_alone() -> None:
    assert paragraphs("a\nb", "", "| a |\n| b |") == "a b\n\n| a |\n| b |"


@pytest.mark.parametrize(
    ("events", "verdict", "decision_ms", "stopped_ms"),
    [
        ([], "not paused", None, None),
        ([(1.2, "pause"), (1.5, "resume")], "went on", 300, None),
        ([(1.2, "pause"), (1.6, "flush"), (1.6, "interrupted")], "stopped", 400, 600),
        ([(1.2, "pause"), (1.5, "resume"), (1.9, "interrupted")], "stopped", 300, 900),
        ([(1.4, "interrupted")], "stopped", None, 400),
    ],
)
def test_what_the_socket_tells_is_judged(
    events: list[tuple[float, str]], verdict: str, decision_ms: float | None, stopped_ms: float | None
) -> None:
    trial = judged(coughed(0.2, "en", seed=1), 1.0, [(at, {"type": kind}) for at, kind in events])
    assert trial.verdict == verdict
    assert trial.pause_ms == (pytest.approx(200) if any(kind == "pause" for _, kind in events) else None)
    assert trial.decision_ms == (pytest.approx(decision_ms) if decision_ms else None)
    assert trial.stopped_ms == (pytest.approx(stopped_ms) if stopped_ms else None)


def test_half_of_what_people_do_is_a_backchannel() -> None:
    made = stimuli("fr", count=18, seed=3)
    kinds = [stimulus.kind for stimulus in made]
    assert [kinds.count(kind) for kind in ("backchannel", "cough", "interruption")] == [9, 3, 6]
    assert len({stimulus.sound.text for stimulus in made if stimulus.kind == "interruption"}) > 2


def test_a_load_is_carried_only_if_nobody_waits_and_nothing_is_lost() -> None:
    quick, slow = figure("q", [10.0, 20.0]), figure("s", [10.0, 900.0])
    assert Load(4, 12, 0.1, 0.95, quick, 0).is_carried
    assert not Load(4, 12, 0.1, 0.95, slow, 0).is_carried
    assert not Load(4, 12, 0.1, 0.85, quick, 0).is_carried
    assert not Load(4, 12, 0.1, 0.95, quick, 1).is_carried
    assert not Load(4, 0, 0.1, 0.0, None, 12).is_carried


def test_flatness_compares_the_dearest_length_with_the_cheapest() -> None:
    def cost(seconds: int, settled: float, whole: float) -> EndCost:
        return EndCost("e", seconds, figure("s", [settled]), figure("w", [whole]))

    assert flatness([cost(2, 100, 100), cost(30, 120, 900)]) == pytest.approx((1.2, 9.0))


def test_what_was_streamed_is_worse_only_where_the_turns_say_so() -> None:
    words = (8,) * 50
    assert wrong("what time is it", "what times it is") == 3
    as_good = Errors("even", words, streamed=(3, 5) * 25, whole=(5, 3) * 25)
    point, low, high = as_good.worse()
    assert (as_good.share(as_good.streamed), point) == (0.5, 0.0)
    assert low < 0 < high
    point, low, _ = Errors("worse", words, streamed=(5, 4) * 25, whole=(3, 3) * 25).worse()
    assert point == pytest.approx(1.5 / 8)
    assert low > 0.1


def test_the_reading_ends_with_its_last_word_however_noisy_the_room() -> None:
    said = utterance(["what time is it in london"], seed=3)
    room = np.random.default_rng(0).normal(0.0, 60.0, 2 * RATE_HZ).astype(np.int16)
    start, end = loud_part(np.concatenate((said.pcm, room)), above=READ)
    assert abs(end - said.end) < 0.2 * RATE_HZ
    reading = Utterance(said.text, said.pcm, (), start, end)
    moved = later(reading, 3)
    assert np.array_equal(moved.pcm[moved.start : moved.end], said.pcm[start:end])
    assert moved.start - start not in {0, RATE_HZ // 4}
