"""How the offline recogniser knows a person's mean spectrum: from a typical one and from what they said."""

from services.stt.sphinx_process import ENOUGH_FRAMES, KNOWN_FRAMES, TYPICAL, Mean


def spectrum(level: float) -> str:
    return ",".join([f"{level:.4f}"] * len(TYPICAL))


def levels(mean: str) -> list[float]:
    return [float(part) for part in mean.split(",")]


def test_who_was_heard_enough_is_known_and_what_they_say_now_counts_for_as_much_after_three_seconds() -> None:
    mean = Mean()
    given = mean.know(f"9000:{spectrum(10)}")
    assert given is not None
    assert levels(given) == [10.0] * len(TYPICAL)
    # what pocketsphinx has when as many frames at 30 follow on a mean to which it gives the weight of 500
    seen = (10 * 500 + 30 * KNOWN_FRAMES) / (500 + KNOWN_FRAMES)
    assert all(abs(level - 20) < 0.01 for level in levels(mean.learn(spectrum(seen), KNOWN_FRAMES)))
    assert mean.told.startswith(f"{2 * KNOWN_FRAMES}:")


def test_who_has_said_next_to_nothing_is_not_known_and_only_part_of_the_first_guess() -> None:
    mean = Mean()
    few = ENOUGH_FRAMES - 1
    assert mean.know(f"{few}:{spectrum(10)}") is None
    assert all(abs(level - 20) < 0.01 for level in levels(mean.guess(spectrum(30), few)))
    assert mean.told.startswith(f"{few}:"), "the first frames are learnt from again, as they are decoded"


def test_what_is_told_can_be_begun_with_anew() -> None:
    first, second = Mean(), Mean()
    first.know(f"{KNOWN_FRAMES}:{spectrum(12.5)}")
    second.know(first.told)
    assert second.told == first.told
