"""What is said into EVA's turn: which words count, what is her own echo, and what is decided when."""

from __future__ import annotations

import pytest

from services.gateway.backchannels import has_stop, is_backchannel, real, words
from services.gateway.chat_protocol import BargeIn
from services.gateway.echo import not_ours
from services.gateway.interruption import Judge, weigh

SAID = words("The weather in Paris is sunny today, with a little wind from the west in the afternoon.")


@pytest.mark.parametrize(
    "text",
    [
        "mm-hm", "Mm-hmm.", "uh-huh", "Yeah.", "yeah yeah", "Okay", "OK, right.", "I see", "all right",
        "got it", "oh wow", "that's true", "of course", "hmm okay I see", "Oui.", "ouais",
        "D’accord", "oui oui",
        "d'accord, d'accord", "hum",
        "je vois", "Ah bon ?", "très bien", "c'est ça", "Bien sûr.", "tout à fait",
        "ah oui d'accord", "okay ouais", "vas-y", "euh",
    ],
)  # fmt: skip
def test_signs_of_listening_are_backchannels(text: str) -> None:
    assert is_backchannel(words(text))
    assert real(words(text)) == ()
    assert weigh(text, ()) == "backchannel"


@pytest.mark.parametrize(
    "text",
    [
        "yeah but why", "what about tomorrow", "okay and in London", "mais pourquoi", "oui mais demain",
        "Paris",
        "I have a question", "d'accord, et ensuite", "right turn", "merci",
    ],
)  # fmt: skip
def test_real_words_are_an_interruption(text: str) -> None:
    assert weigh(text, ()) == "interruption"


@pytest.mark.parametrize(
    "text",
    ["stop", "Wait!", "no", "hold on", "okay stop", "attends", "Attendez.", "non", "arrête", "tais-toi",
     "chut", "pardon", "une seconde", "ça suffit"],
)  # fmt: skip
def test_words_that_stop_eva_do_so_however_short_and_however_many_are_wanted(text: str) -> None:
    assert has_stop(words(text))
    assert weigh(text, (), min_words=5) == "interruption"


def test_what_recognisers_make_of_breath_is_noise() -> None:
    assert {weigh(text, ()) for text in ("", " ", "the", "a", "le", "of the", "...")} == {"noise"}


def test_too_few_real_words_are_let_pass() -> None:
    assert weigh("hello there", (), min_words=3) == "backchannel"
    assert weigh("hello there eva", (), min_words=3) == "interruption"


def test_an_assent_right_behind_a_question_is_its_answer() -> None:
    assert weigh("yes", ()) == "backchannel"
    assert weigh("yes", (), is_asked=True) == "interruption"


def test_numbers_that_she_wrote_as_digits_come_back_as_words() -> None:
    said = words("The train leaves at 9 from platform 3.")
    assert weigh("train leaves at nine from platform three", said) == "echo"
    assert weigh("neuf trains", said) == "interruption"


@pytest.mark.parametrize(
    "text",
    [
        "the weather in Paris is sunny today",
        "in paris is sunny",
        "weather in paris is sunni to day with",
        "the whether in paris is sunny tod",
        "hum in paris is sunny today with a little",
        "paris is funny today with a little wind",
        "sunny today",
        "afternoon",
    ],
)
def test_her_own_words_in_order_are_an_echo_even_when_garbled(text: str) -> None:
    assert weigh(text, SAID) == "echo"


@pytest.mark.parametrize(
    "text",
    [
        "what is the weather in London",
        "why is it sunny today with a little wind",
        "in the west stop",
        "is sunny today stop please",
        "is sunny stop it today with a little wind",
        "is sunny today and what about tomorrow",
        "stop",
        "today sunny",
        "I was in Paris in the",
        "the train from Rome to the north",
        "west",
        "sunny please",
    ],
)
def test_other_words_among_hers_are_the_persons(text: str) -> None:
    if text == "west":
        text = "wind, west"  # both are hers, and far from one another
    assert weigh(text, SAID) == "interruption"


def test_a_short_word_alone_or_words_that_she_did_not_say_are_no_echo() -> None:
    assert not_ours(words("in"), SAID) == ("in",)
    assert not_ours(words("completely different"), SAID) == ("completely", "different")
    assert not_ours((), SAID) == ()
    assert not_ours(words("hello"), ()) == ("hello",)


def judge(**fields: object) -> Judge:
    start: dict[str, object] = {"barge_in": BargeIn(), "turn": 1, "due_at": 10.6, "is_audible": True}
    return Judge(**(start | fields))  # type: ignore[arg-type]


def test_speech_that_goes_on_until_it_must_be_decided_is_an_interruption() -> None:
    one = judge()
    assert one.progress(400, 0) is None, "there is time for words still"
    assert one.overdue(10.5) is None
    assert one.overdue(10.6) == "interruption"
    assert one.overdue(10.7) is None, "it is decided once"


@pytest.mark.parametrize(("speech_ms", "silence_ms"), [(0, 0), (200, 400), (450, 150), (390, 0)])
def test_a_sound_that_is_short_or_over_is_let_pass(speech_ms: int, silence_ms: int) -> None:
    one = judge()
    one.progress(speech_ms, silence_ms)
    assert one.overdue(10.6) == "noise"


def test_who_speaks_on_after_the_answer_was_resumed_stops_it_after_all() -> None:
    one = judge()
    one.progress(350, 0)
    assert one.overdue(10.6) == "noise"
    assert one.progress(350, 100) is None
    assert one.progress(400, 0) == "interruption"
    assert one.progress(500, 0) is None


def test_a_sound_that_stops_in_the_pause_and_begins_again_with_her_is_not_judged_by_time() -> None:
    one = judge()
    one.progress(300, 200)
    assert one.overdue(10.6) == "noise"
    assert one.progress(1500, 0) is None, "it is her echo, as far as time tells"
    assert one.words("the move", is_settled=False) is None, "it may be her own words, garbled"
    assert one.words("what about tomorrow", is_settled=False) == "interruption"


def test_a_sound_that_comes_and_goes_with_hers_is_an_echo_even_when_it_is_garbled_badly() -> None:
    garbled = "the feather in powers is some to daily"
    assert weigh(garbled, SAID) == "interruption"
    one = judge(said=SAID)
    one.progress(300, 200)
    one.overdue(10.6)
    one.progress(600, 0)
    assert not one.is_turn(garbled)
    assert one.is_turn(garbled + " stop")
    assert one.is_turn("what is on the radio")


def test_words_of_a_partial_are_believed_when_they_are_two_or_stop_her() -> None:
    assert judge().words("what about", is_settled=False) == "interruption"
    assert judge().words("stop", is_settled=False) == "interruption"
    one = judge()
    assert one.words("da", is_settled=False) is None, "it may become d'accord"
    assert one.words("d'accord", is_settled=True) == "backchannel"
    assert judge().words("Paris", is_settled=True) == "interruption"


@pytest.mark.parametrize("begun", ["je", "i", "ah d'", "oh that", "tout à"])
def test_the_beginning_of_a_backchannel_is_let_pass_until_there_are_other_words(begun: str) -> None:
    one = judge()
    one.progress(350, 0)
    assert one.words(begun, is_settled=False) is None
    one.progress(550, 0)
    assert one.overdue(10.6) == "backchannel"
    assert one.words(f"{begun} lampe rouge", is_settled=False) == "interruption"
    assert judge(is_asked=True).words(begun + " so", is_settled=False) == "interruption"


def test_a_backchannel_is_let_pass_when_it_is_over_or_must_be_decided() -> None:
    one = judge()
    one.progress(300, 0)
    assert one.words("yeah", is_settled=False) is None, "more may come"
    one.progress(500, 0)
    assert one.overdue(10.6) == "backchannel"
    assert one.progress(690, 0) is None
    assert one.progress(700, 0) == "interruption", "so much more was spoken than the words account for"


def test_a_sound_without_a_word_in_it_is_let_pass_until_words_or_more_of_it_follow() -> None:
    one = judge()
    one.progress(330, 0)
    assert one.words("", is_settled=False) is None, "the first word may be long"
    one.progress(560, 0)
    assert one.overdue(10.6) == "noise"
    assert one.progress(720, 0) is None
    assert one.progress(730, 0) == "interruption", "so much more was spoken than was listened to"
    other = judge()
    other.progress(330, 0)
    other.words("", is_settled=False)
    other.overdue(10.6)
    other.words("actually", is_settled=False)
    assert other.progress(640, 0) == "interruption"


def test_noise_that_the_ears_find_no_word_in_never_stops_her() -> None:
    one = judge()
    for speech_ms in range(100, 5000, 100):
        assert one.progress(speech_ms, 0) is None
        if speech_ms % 300 == 0:
            assert one.words("", is_settled=False) is None
        if speech_ms == 600:
            assert one.overdue(10.6) == "noise"


def test_long_speech_behind_a_backchannel_is_an_interruption() -> None:
    one = judge()
    one.progress(100, 0)
    one.words("yeah", is_settled=False)
    one.progress(500, 0)
    assert one.overdue(10.6) == "interruption"


def test_an_echo_is_known_by_its_words_and_time_decides_nothing_any_more() -> None:
    one = judge(said=SAID)
    one.progress(500, 0)
    assert one.words("the weather", is_settled=False) is None
    assert one.words("the weather in paris", is_settled=False) == "echo"
    assert one.progress(2000, 0) is None
    assert one.words("the weather in paris is stop", is_settled=True) == "interruption"


def test_two_words_of_hers_are_an_echo_when_it_must_be_decided() -> None:
    one = judge(said=SAID)
    one.progress(500, 0)
    one.words("the weather", is_settled=False)
    assert one.overdue(10.6) == "echo"


def test_who_hears_herself_is_not_stopped_by_sound_alone() -> None:
    one = judge(hears_herself=True)
    one.progress(600, 0)
    assert one.overdue(10.6) == "echo"
    assert one.progress(2000, 0) is None
    assert one.words("mm-hm", is_settled=True) is None
    assert one.words("hang on", is_settled=True) == "interruption"
    other = judge(hears_herself=True)
    other.words("okay", is_settled=False)
    assert other.overdue(10.6) == "backchannel"


def test_time_decides_nothing_while_she_is_not_heard() -> None:
    one = judge(is_audible=False, due_at=15.0)
    one.progress(2000, 0)
    assert one.overdue(11.0) is None
    assert one.overdue(15.0) == "noise"
    assert one.progress(3000, 0) is None
    assert one.words("and tomorrow", is_settled=False) == "interruption"


def test_an_utterance_is_a_turn_unless_it_was_listening_noise_or_echo() -> None:
    assert judge().is_turn("what about tomorrow")
    assert not judge().is_turn("mm-hm")
    assert not judge().is_turn("")
    stopped = judge(said=SAID)
    stopped.progress(600, 0)
    stopped.overdue(10.6)
    assert stopped.is_turn("mm-hm"), "she was stopped by it, so she answers"
    assert not stopped.is_turn("the weather in paris is sunny"), "she does not answer herself"
