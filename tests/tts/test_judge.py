from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from services.tts.engine import Line, Phone, Prosody, Sound
from services.tts.judge import HOLD_S, judged, longest_s, shortest_s
from shared.audio import Samples
from shared.errors import EngineFailed
from tests.fakes.voices import RATE_HZ, tone

WORDS = Line(text="Every word of this is heard, and nothing is said twice.")
PIECE_S = 0.1


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def pieces(*parts: Samples, seconds: float = PIECE_S, plan: tuple[Phone, ...] = ()) -> Iterator[Sound]:
    """One sound after another, cut into pieces of equal length."""
    whole, size = np.concatenate(parts), round(seconds * RATE_HZ)
    for begin in range(0, len(whole), size):
        yield Sound(samples=whole[begin : begin + size], phones=() if begin else plan)


def plan(seconds: float, count: int, *, silent: tuple[float, float] = (0.0, 0.0)) -> tuple[Phone, ...]:
    """Sounds of equal length, blanks where the voice means to be silent."""
    step = seconds / count
    return tuple(
        Phone(
            symbol=" " if silent[0] <= number * step < silent[1] else "a",
            start_s=number * step,
            end_s=(number + 1) * step,
        )
        for number in range(count)
    )


def hear(sounds: Iterable[Sound], line: Line = WORDS) -> tuple[float, str]:
    """Returns how much was heard, seconds, and why it ended; empty: all is well."""
    heard = 0
    try:
        for sound in judged("x", sounds, line, RATE_HZ):
            heard += len(sound.samples)
    except EngineFailed as failure:
        return heard / RATE_HZ, failure.reason
    return heard / RATE_HZ, ""


@pytest.mark.parametrize("seconds", [0.01, 0.093, 0.5, 60.0])
def test_speech_with_its_pauses_passes_whatever_its_pieces(seconds: float) -> None:
    parts = (quiet(0.3), tone(1.0), quiet(1.2), tone(1.0), quiet(0.8))
    heard = list(judged("x", pieces(*parts, seconds=seconds), WORDS, RATE_HZ))
    assert np.array_equal(np.concatenate([sound.samples for sound in heard]), np.concatenate(parts))


def test_the_plan_is_passed_on_with_the_first_sound() -> None:
    told = plan(3.0, 40)
    heard = list(judged("x", pieces(quiet(0.3), tone(2.7), plan=told), WORDS, RATE_HZ))
    assert heard[0].phones == told
    assert not any(sound.phones for sound in heard[1:])


def test_silence_is_held_back_until_something_is_heard() -> None:
    asked = 0

    def counted() -> Iterator[Sound]:
        nonlocal asked
        for sound in pieces(quiet(0.3), tone(0.1), quiet(0.6), tone(2.0)):
            asked += 1
            yield sound

    heard = judged("x", counted(), WORDS, RATE_HZ)
    assert len(next(heard).samples) == PIECE_S * RATE_HZ
    assert asked == 4
    for _ in range(3 + 2):
        next(heard)
    assert asked == 4 + 2, "two pieces of silence pass at once"
    next(heard)
    assert asked == 4 + 6 + 1, "the others wait for what follows"


@pytest.mark.parametrize("seconds", [0.02, 0.1, 9.0])
def test_a_voice_that_goes_mute_is_noticed_and_its_silence_is_hardly_heard(seconds: float) -> None:
    heard_s, why = hear(pieces(tone(0.5), quiet(9.0), seconds=seconds))
    assert why == "mute after 0.50 s"
    assert 0.5 <= heard_s <= 0.5 + HOLD_S + 0.1


def test_a_voice_that_tells_its_times_may_be_silent_where_it_means_to_be_and_nowhere_else() -> None:
    parts = (tone(1.0), quiet(2.0), tone(1.0))
    assert hear(pieces(*parts, plan=plan(4.0, 40, silent=(1.0, 3.0)))) == (4.0, "")
    heard_s, why = hear(pieces(*parts, plan=plan(4.0, 40)))
    assert why == "mute after 1.00 s"
    assert 1.0 <= heard_s <= 1.0 + HOLD_S + 0.1


def test_silence_behind_the_last_word_is_no_fault() -> None:
    assert hear(pieces(tone(4.0), quiet(2.5))) == (6.5, "")


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_sound_that_never_begins_is_silence_even_if_it_is_not_zero(level: float) -> None:
    constant = np.full(3 * RATE_HZ, level, np.float32)
    assert hear(pieces(constant)) == (0.0, "only silence")
    assert hear(pieces(constant[:RATE_HZ])) == (0.0, "only silence")
    assert hear(()) == (0.0, "no audio")


def test_samples_that_are_no_numbers_are_never_heard() -> None:
    broken = tone(0.5)
    broken[10] = np.nan
    assert hear(pieces(tone(0.5), broken)) == (0.5, "samples are not finite")


@pytest.mark.parametrize("seconds", [0.05, 0.1, 9.0])
def test_a_sound_at_full_scale_is_cut_where_it_begins(seconds: float) -> None:
    noise = np.sign(tone(2.0, hertz=90.0))
    heard_s, why = hear(pieces(tone(1.0), noise, seconds=seconds))
    assert why.endswith("of the samples are clipped")
    assert heard_s == pytest.approx(1.0, abs=0.06)


def test_of_silence_before_a_clipped_sound_nothing_counts_as_heard() -> None:
    assert hear(pieces(quiet(0.04), np.sign(tone(2.0)), seconds=9.0))[0] == 0.0


def test_a_few_peaks_at_full_scale_are_speech() -> None:
    loud = np.clip(1.005 * tone(3.0, level=1.0), -1.0, 1.0)
    loud *= np.linspace(0.2, 1.0, len(loud), dtype=np.float32)
    assert hear(pieces(loud)) == (3.0, "")


def test_a_single_peak_is_forgotten_once_it_is_a_while_ago() -> None:
    peaks = tone(3.0)
    peaks[::RATE_HZ] = 1.0
    assert hear(pieces(peaks)) == (3.0, "")


def test_a_plan_that_nobody_could_speak_is_refused_before_anything_is_heard() -> None:
    assert hear(pieces(tone(3.0), plan=plan(0.3, 60))) == (0.0, "5 ms for a sound of speech")
    assert hear(pieces(tone(3.0), plan=plan(60.0, 40))) == (0.0, "1500 ms for a sound of speech")
    slow = Line(text=WORDS.text, speed=0.25, prosody=Prosody(length=1.3))
    assert hear(pieces(tone(60.0), plan=plan(60.0, 40)), slow) == (60.0, "")
    assert hear(pieces(tone(3.0), plan=plan(3.0, 3)), Line(text="Oh no"))[1] == ""
    assert hear(pieces(tone(3.0), plan=plan(3.0, 4, silent=(0.0, 3.0))))[1] == ""


def test_a_sound_runs_at_most_half_as_long_again_as_its_own_plan() -> None:
    heard_s, why = hear(pieces(tone(30.0), plan=plan(3.0, 40)))
    assert why == "audio does not end within 5.5 s"
    assert heard_s == pytest.approx(5.5, abs=PIECE_S)


def test_a_plan_that_is_told_again_holds_as_it_was_told_last() -> None:
    first = Sound(samples=tone(1.0), phones=plan(2.0, 40))
    assert hear([first, Sound(samples=tone(5.0), phones=plan(6.0, 40))]) == (6.0, "")
    assert hear([first, Sound(samples=tone(1.0), phones=plan(6.0, 40))])[1].startswith("2.00 s is too short")


def test_a_sound_that_ends_before_its_plan_lacks_words() -> None:
    heard_s, why = hear(pieces(tone(1.0), quiet(0.3), plan=plan(3.0, 40)))
    assert why == "1.00 s is too short, at least 2.50 s were due"
    assert heard_s <= 1.0 + HOLD_S
    assert hear(pieces(tone(2.6), plan=plan(3.0, 40)))[1] == ""


def test_without_a_plan_the_letters_tell_what_is_far_too_short_or_too_long() -> None:
    assert hear(pieces(tone(0.3)))[1] == "0.30 s is too short, at least 0.54 s were due"
    assert hear(pieces(tone(120.0)))[1].startswith("audio does not end within")
    assert hear(pieces(tone(0.05)), Line(text="Yes, I am.")) == (0.05, "")


def test_what_is_spelled_out_may_take_longer_and_speed_counts() -> None:
    assert longest_s(Line(text="1234567890")) > 20.0
    assert longest_s(Line(text="你好世界")) > 2 * longest_s(Line(text="")) > longest_s(Line(text="hihi"))
    assert longest_s(Line(text="NATO")) > longest_s(Line(text="nato"))
    assert longest_s(Line(text="a b", speed=2.0)) == longest_s(Line(text="a b")) / 2
    assert shortest_s(Line(text="x" * 80)) == 1.0
    assert shortest_s(Line(text="x" * 80, prosody=Prosody(length=1.2), speed=2.0)) == pytest.approx(0.6)
