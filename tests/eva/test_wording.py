import pytest

from eva.dialogue import Dialogue, Turn
from eva.wording import PREFIX, caption, divided, heard_of
from services.gateway.chat_protocol import AudioEvent, SpokenWord, WordsEvent


def styles(text: str, stable: int, width: int = 80) -> list[tuple[str, str]]:
    """The words behind the prefix, with how they are written."""
    shown = caption(text, stable, width)
    assert shown.plain.startswith(PREFIX)
    grey = {at for span in shown.spans if span.style == "dim" for at in range(span.start, span.end)}
    return [
        (shown.plain[at], "grey" if at in grey else "normal") for at in range(len(PREFIX), len(shown.plain))
    ]


@pytest.mark.parametrize("stable", [0, 3, 6, 99])
def test_what_is_settled_stands_normal_and_what_may_change_is_grey(stable: int) -> None:
    assert styles("abcdef", stable) == [
        (letter, "normal" if at < stable else "grey") for at, letter in enumerate("abcdef")
    ]


def test_of_a_long_caption_the_end_is_shown() -> None:
    shown = styles("abcdef", 4, width=len(PREFIX) + 3)
    assert shown == [("d", "normal"), ("e", "grey"), ("f", "grey")]
    assert styles("abcdef", 2, width=len(PREFIX) + 3) == [("d", "grey"), ("e", "grey"), ("f", "grey")]


def test_wide_letters_take_two_cells() -> None:
    assert styles("日本語", 0, width=len(PREFIX) + 4) == [("本", "grey"), ("語", "grey")]


@pytest.mark.parametrize(
    ("heard", "parts"),
    [
        ("", ("", "One two three.")),
        ("One", ("One", "two three.")),
        ("One  two three.", ("One two three.", "")),
    ],
)
def test_an_answer_is_divided_where_it_was_interrupted(heard: str, parts: tuple[str, str]) -> None:
    assert divided("One two\nthree.", heard) == parts


@pytest.mark.parametrize(
    ("played_ms", "heard"),
    [(0, ""), (29, ""), (31, "abc"), (69, "abc"), (71, "abc def"), (100, "abc def gh"), (200, "abc def gh")],
)
def test_the_words_heard_are_those_played_to_their_end(played_ms: int, heard: str) -> None:
    turn = Turn(turn_id="a", text="abc def gh", rate_hz=1000)
    turn.hear(bytes(200), 1.0)
    assert heard_of(turn, 1.0 + played_ms / 1000) == heard


@pytest.mark.parametrize(("played_ms", "heard"), [(0, ""), (50, ""), (81, "abc"), (150, "abc def gh")])
def test_a_filler_before_the_answer_has_none_of_its_words(played_ms: int, heard: str) -> None:
    dialogue = Dialogue()
    for segment, size_bytes in ((-1, 100), (0, 200)):
        event = AudioEvent(
            turn_id="a", segment=segment, seq=segment + 1, format="pcm", rate_hz=1000, duration_ms=1.0,
            size_bytes=size_bytes,
        )  # fmt: skip
        dialogue.take(event, bytes(size_bytes), 1.0)
    (turn,) = dialogue.turns
    turn.text = "abc def gh"
    assert turn.filler_ms == 50
    assert heard_of(turn, 1.0 + played_ms / 1000) == heard


def test_of_an_answer_without_sound_nothing_was_heard() -> None:
    assert heard_of(Turn(turn_id="a", text="abc"), 1.0) == ""


@pytest.mark.parametrize(
    ("played_ms", "heard"),
    [
        (0, ""),
        (199, ""),
        (200, "It"),
        (600, "It costs"),
        (1399, "It costs"),
        (1400, "It costs 3.5 %"),
        (9000, "It costs 3.5 % — more."),
    ],
)
def test_where_the_times_of_words_were_told_the_words_heard_are_exact(played_ms: int, heard: str) -> None:
    dialogue = Dialogue()
    header = AudioEvent(
        turn_id="a", segment=0, seq=0, format="pcm", rate_hz=1000, duration_ms=2000.0, size_bytes=4000
    )
    spoken = (("It", 0, 250), ("costs", 3, 600), ("3.5 %", 9, 1400), ("so", 15, 1450), ("more", 17, 1800))
    for segment_words in (spoken, (("It", 0, 200),)):
        words = [
            SpokenWord(text=text, begin=begin, end=begin + len(text), start_ms=end_ms - 100.0, end_ms=end_ms)
            for text, begin, end_ms in segment_words
        ]
        dialogue.take(WordsEvent(turn_id="a", segment=0, words=words), b"", 1.0)
    dialogue.take(header, bytes(4000), 1.0)
    turn = dialogue.turn("a")
    turn.text = "It costs 3.5 % — more."
    assert heard_of(turn, 1.0 + played_ms / 1000) == heard
