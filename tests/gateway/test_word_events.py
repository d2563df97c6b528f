"""Words and shapes of the mouth on their way from the voice to the client."""

from __future__ import annotations

import msgspec
import pytest

from services.gateway.chat_protocol import (
    AudioEvent,
    Flush,
    Interrupted,
    Ready,
    Start,
    Timings,
    TurnDone,
    UserText,
    VisemesEvent,
    WordsEvent,
)
from services.gateway.turn_io import Action, Emit, EmitAudio, Halt
from shared.messages import Timing, VisemeTime, WordTime
from tests.gateway.dialogue import RATE_HZ, Dialogue
from tests.gateway.rig import LISTENING, Client, Place

TEXT = "Yes, it is."
WORDS = ((0, 3, 0.0, 0.2), (5, 7, 0.3, 0.5), (8, 10, 0.5, 0.9))


def timing(
    segment: int = 0, *, turn: int = 1, attempt: int = 1, take: int = 1, later_s: float = 0.0
) -> Timing:
    return Timing(
        turn=turn, attempt=attempt, segment=segment, take=take, rate_hz=RATE_HZ,
        words=[
            WordTime(
                begin=begin, end=end, from_sample=round((start + later_s) * RATE_HZ),
                to_sample=round((stop + later_s) * RATE_HZ),
            )
            for begin, end, start, stop in WORDS
        ],
        visemes=[VisemeTime(viseme="ih", from_sample=0), VisemeTime(viseme="strange", from_sample=1)],
    )  # fmt: skip


def told(actions: list[Action]) -> list[tuple[str, float, float]]:
    return [
        (word.text, word.start_ms, word.end_ms)
        for action in actions
        if isinstance(action, Emit) and isinstance(action.event, WordsEvent)
        for word in action.event.words
    ]


def asked(*texts: str) -> Dialogue:
    dialogue = Dialogue()
    dialogue.ask()
    dialogue.mind_says(*texts)
    return dialogue


def test_words_are_told_before_the_sound_in_which_they_begin() -> None:
    dialogue = asked(TEXT, TEXT)
    for segment in (0, 1):
        dialogue.put(timing(segment))
        dialogue.voice_speaks(segment, 10)
    assert told(dialogue.actions) == [
        ("Yes", 0.0, 200.0), ("it", 300.0, 500.0), ("is", 500.0, 900.0),
        ("Yes", 1000.0, 1200.0), ("it", 1300.0, 1500.0), ("is", 1500.0, 1900.0),
    ]  # fmt: skip
    sent_ms = 0.0
    for action in dialogue.actions:
        if isinstance(action, EmitAudio):
            sent_ms += 1000 * action.chunk.samples / RATE_HZ
        elif isinstance(action, Emit) and isinstance(action.event, WordsEvent):
            assert all(sent_ms <= word.start_ms < sent_ms + 100 for word in action.event.words)


def test_a_shape_that_is_not_of_the_set_is_not_told() -> None:
    dialogue = asked(TEXT)
    dialogue.put(timing())
    actions = dialogue.voice_speaks(0, 1)
    (event,) = (it.event for it in actions if isinstance(it, Emit) and isinstance(it.event, VisemesEvent))
    assert [(shape.viseme, shape.start_ms) for shape in event.visemes] == [("ih", 0.0)]


def test_shapes_alone_are_told_without_words() -> None:
    dialogue = asked(TEXT)
    dialogue.put(msgspec.structs.replace(timing(), words=[]))
    actions = dialogue.voice_speaks(0, 1)
    told_of = [it.event for it in actions if isinstance(it, Emit)]
    assert [type(event) for event in told_of if isinstance(event, WordsEvent | VisemesEvent)] == [
        VisemesEvent
    ]


@pytest.mark.parametrize("stale", [{"turn": 9}, {"attempt": 2}, {"take": 2}])
def test_what_an_older_or_another_take_tells_is_ignored(stale: dict[str, int]) -> None:
    dialogue = asked(TEXT)
    dialogue.put(timing(**stale))
    dialogue.voice_speaks(0, 10)
    assert told(dialogue.actions) == []


def test_what_is_told_of_a_segment_before_it_is_known_waits_for_it() -> None:
    dialogue = Dialogue()
    dialogue.ask()
    dialogue.put(timing())
    dialogue.put(dialogue.chunk(0, 0))
    actions = dialogue.mind_says(TEXT)
    assert told(actions) == [("Yes", 0.0, 200.0)]


def test_a_take_that_goes_on_is_told_of_behind_what_was_sent() -> None:
    dialogue = asked(TEXT)
    dialogue.put(timing())
    for seq in range(4):
        dialogue.put(dialogue.chunk(0, seq))
    dialogue.put(dialogue.chunk(0, 9))  # one is missing: it is asked for again
    assert told(dialogue.actions) == [("Yes", 0.0, 200.0), ("it", 300.0, 500.0)]
    dialogue.put(timing(take=2, later_s=0.1))
    actions = dialogue.voice_speaks(0, 10, take=2)
    assert told(actions) == [("it", 400.0, 600.0), ("is", 600.0, 1000.0)]


def test_nothing_is_told_of_sound_that_is_not_sent() -> None:
    dialogue = asked(TEXT)
    dialogue.put(timing())
    dialogue.put(dialogue.chunk(0, 0))
    actions = dialogue.put(Halt(reason="client", played_ms=100))
    late = dialogue.put(timing(later_s=0.2)) + dialogue.put(dialogue.chunk(0, 1))
    assert told(actions) == []
    assert late == []


@pytest.mark.parametrize(
    ("played_ms", "heard"), [(199, ""), (200, "Yes,"), (499, "Yes,"), (500, "Yes, it"), (900, "Yes, it is.")]
)
def test_an_interrupted_answer_was_heard_to_the_word(played_ms: int, heard: str) -> None:
    dialogue = asked(TEXT, "And more.")
    dialogue.put(timing())
    dialogue.voice_speaks(0, 10)
    actions = dialogue.put(Halt(reason="client", played_ms=played_ms))
    (event,) = (it.event for it in actions if isinstance(it, Emit) and isinstance(it.event, Interrupted))
    assert event.heard == heard
    assert any(isinstance(it, Emit) and isinstance(it.event, Flush) for it in actions)


@pytest.mark.parametrize(("words", "visemes"), [(False, False), (True, False), (False, True), (True, True)])
async def test_a_client_is_told_what_it_asked_for(
    place: Place,
    words: bool,
    visemes: bool,
) -> None:
    client = Client()
    place.workers.tells_words = True
    start: Start = msgspec.structs.replace(LISTENING, timings=Timings(words=words, visemes=visemes))
    async with place.hub.session(msgspec.structs.replace(start, audio_in=None), client) as session:
        await client.sees(Ready)
        session.handle(UserText(text="hello"))
        await client.sees(TurnDone)
    said = [word.text for event in client.of(WordsEvent) for word in event.words]  # type: ignore[attr-defined]
    assert said == (["Hello", "there", "How", "are", "you"] if words else [])
    assert bool(client.of(VisemesEvent)) == visemes
    assert client.of(AudioEvent)
