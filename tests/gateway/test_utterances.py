"""Each utterance has its number, its place and its end; it is answered, only told, or thrown away."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.chat_protocol import (
    BargeIn,
    EndOfSpeech,
    ErrorEvent,
    FinalEvent,
    Interrupted,
    PartialEvent,
    Pause,
    Ready,
    Resume,
    SpeechStartedEvent,
    SpeechStoppedEvent,
    Start,
    TurnDone,
    TurnStarted,
    TurnTaking,
    UserText,
)
from services.gateway.discards import SLACK_MS, Discards
from services.gateway.hearing import MOST_OPEN
from services.gateway.turn import TurnMachine
from services.gateway.turn_io import (
    Ask,
    Discarded,
    HeardNothing,
    Input,
    Onset,
    Remember,
    Say,
    Speculated,
    Think,
    Tick,
    TurnPolicy,
)
from shared.messages import EarsFailed, EndUtterance, Final, Partial, SpeechStarted, TurnLikely
from tests.fakes.ears import FakeEars
from tests.gateway.dialogue import Dialogue, events, of, terminals
from tests.gateway.rig import FRAME, LISTENING, Client, Place
from tests.gateway.test_turn_properties import run_out

FRAME_MS = 20
MODES = ["judge", "immediate", "off", "half_duplex"]
TOLD = SpeechStartedEvent | SpeechStoppedEvent | FinalEvent | TurnStarted


# ---------------------------------------------------------------- on a virtual clock


def test_an_utterance_keeps_its_number_and_its_beginning_whoever_hears_it_to_its_end() -> None:
    talk = Dialogue()
    talk.put(Onset(at_ms=300, utterance=(1, 1)))
    talk.put(Onset(at_ms=700, utterance=(2, 1)))
    happened = talk.final("what is up", start_ms=700, end_ms=1500, utterance=(2, 1))
    assert events(talk.actions, SpeechStartedEvent) == [SpeechStartedEvent(at_ms=300, id=1)]
    assert events(happened, TOLD) == [
        SpeechStoppedEvent(at_ms=1500, id=1),
        FinalEvent(text="what is up", language="en", turn_id="S-1", id=1, start_ms=300, end_ms=1500),
        TurnStarted(turn_id="S-1", is_spoken=True, utterance=1),
    ]
    happened = talk.put(Onset(at_ms=2000, utterance=(2, 2)))
    assert events(happened, SpeechStartedEvent) == [SpeechStartedEvent(at_ms=2000, id=2)]
    happened = talk.put(HeardNothing(utterance=(2, 2), end_ms=2100, is_failure=True, code="c", message="m"))
    assert events(happened, object) == [
        ErrorEvent(code="c", message="m", utterance=2),
        SpeechStoppedEvent(at_ms=2100, id=2),
        FinalEvent(text="", language="", turn_id=None, id=2, start_ms=2000, end_ms=2100),
    ]


def test_the_final_of_what_could_not_be_understood_names_the_turn_that_says_so() -> None:
    talk = Dialogue(mode="off")
    talk.ask()
    talk.mind_says("One.", done=False)
    talk.voice_speaks(0)
    talk.put(Onset(at_ms=300, utterance=(1, 1)))
    lost = HeardNothing(utterance=(1, 1), end_ms=900, is_failure=True, code="c", message="m")
    happened = talk.put(replace(lost, say=Say(text="Pardon?")))
    (stopped,) = terminals(happened)
    assert (stopped.turn_id, stopped.reason) == ("S-1", "message")
    assert events(happened, ErrorEvent | TOLD) == [
        ErrorEvent(code="c", message="m", utterance=1),
        SpeechStoppedEvent(at_ms=900, id=1),
        FinalEvent(text="", language="", turn_id="S-2", id=1, start_ms=300, end_ms=900),
        TurnStarted(turn_id="S-2", is_spoken=False, utterance=1),
    ]


def test_a_final_whose_beginning_was_lost_has_a_number_of_its_own() -> None:
    talk = Dialogue()
    talk.final("what is up", start_ms=40, end_ms=90)
    assert [final.id for final in events(talk.actions, FinalEvent)] == [1]
    talk.begins(2)
    assert [start.id for start in events(talk.actions, SpeechStartedEvent)] == [2]


def test_what_is_said_into_a_turn_that_goes_on_stops_at_once_and_is_told_behind_it() -> None:
    talk = Dialogue(mode="off")
    talk.ask()
    talk.mind_says("One.")
    happened = talk.says("and then")
    assert events(happened, SpeechStoppedEvent) == [SpeechStoppedEvent(at_ms=0, id=1)]
    assert not events(happened, FinalEvent)
    happened = talk.voice_speaks(0) + talk.wait(2)
    assert [final.id for final in events(happened, FinalEvent)] == [1]
    assert [start.utterance for start in events(happened, TurnStarted)] == [1]


def test_where_eva_does_not_answer_what_is_said_is_only_told_and_nothing_is_thought_ahead() -> None:
    talk = Dialogue()
    talk.machine.use(talk.machine._floor.barge_in, answers=False)
    talk.begins()
    assert not of(talk.likely("what is up"), Think)
    happened = talk.final("what is up") + talk.wait(10)
    assert [(final.text, final.turn_id) for final in events(happened, FinalEvent)] == [("what is up", None)]
    assert not of(talk.actions, Think | Remember | Speculated)
    assert talk.machine.turns == 0


@pytest.mark.parametrize(("mode", "stops"), [("immediate", True), ("judge", True), ("off", False)])
def test_who_does_not_answer_is_interrupted_all_the_same(mode: str, stops: bool) -> None:
    talk = Dialogue(mode=mode)
    talk.machine.use(talk.machine._floor.barge_in, answers=False)
    talk.ask()
    talk.mind_says("One.", done=False)
    talk.voice_speaks(0, 20)
    happened = talk.begins() + talk.understood("what about tomorrow then")
    assert bool(events(happened, Interrupted)) == stops
    happened = talk.final("what about tomorrow then")
    assert [final.turn_id for final in events(happened, FinalEvent)] == [None]
    assert talk.machine.turns == 1
    assert talk.machine.is_answering != stops


def test_an_utterance_that_is_thrown_away_has_no_final_and_lets_her_go_on() -> None:
    talk = Dialogue(mode="judge")
    talk.ask()
    talk.mind_says("One.", done=False)
    talk.voice_speaks(0, 20)
    assert events(talk.begins(), Pause)
    happened = talk.put(Discarded(utterance=(1, 1)))
    assert [type(event) for event in events(happened, object)] == [Resume]
    assert talk.put(Discarded(utterance=(1, 1))) == []


def test_an_answer_to_what_is_thrown_away_is_dropped_and_a_question_before_it_stands() -> None:
    talk = Dialogue(mode="immediate")
    talk.says("what is up")
    talk.begins(2)
    talk.likely("no no", 2)
    happened = talk.put(Discarded(utterance=(1, 2)))
    assert of(happened, Speculated) == [Speculated(is_used=False)]
    assert [think.ask.text for think in of(happened, Think)] == ["what is up"]
    assert [type(end) for end in terminals(talk.actions)] == [Interrupted]


def test_an_utterance_whose_end_was_lost_has_a_final_with_the_next_one() -> None:
    talk = Dialogue()
    talk.put(Onset(at_ms=100, utterance=(1, 1)))
    talk.put(Onset(at_ms=900, utterance=(1, 2)))
    happened = talk.final("what is up", 2, start_ms=900, end_ms=1500)
    assert [(type(told), told.id) for told in events(happened, SpeechStoppedEvent | FinalEvent)] == [
        (SpeechStoppedEvent, 1),
        (FinalEvent, 1),
        (SpeechStoppedEvent, 2),
        (FinalEvent, 2),
    ]
    for number in range(3, 3 + MOST_OPEN + 1):
        talk.begins(number)
    assert [final.id for final in events(talk.actions, FinalEvent)] == [1, 2, 3]


keys = st.tuples(st.integers(1, 2), st.integers(1, 4))
heard = st.one_of(
    st.builds(Onset, at_ms=st.integers(0, 99), utterance=keys),
    st.builds(
        Ask, text=st.sampled_from(["mm-hm", "what is up"]), is_spoken=st.just(True), utterance=keys,
        end_ms=st.integers(0, 99),
    ),
    st.builds(HeardNothing, utterance=keys, end_ms=st.integers(0, 99), is_failure=st.booleans()),
    st.builds(Discarded, utterance=keys),
    st.builds(Ask, text=st.none()),
    st.just(Tick()),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 3), heard), max_size=40), st.booleans(), st.sampled_from(MODES))
def test_each_number_begins_once_stops_once_and_then_has_its_final(
    story: list[tuple[float, Input]],
    answers: bool,
    mode: str,
) -> None:
    machine, now = TurnMachine("S", TurnPolicy()), 0.0
    machine.use(BargeIn(mode=mode), answers=answers)  # type: ignore[arg-type]
    begun, stopped, finals, discarded = [], [], [], 0
    for wait, event in story:
        now += wait
        opened = len(machine._floor.hearing.open)
        happened = machine.handle(event, now)
        discarded += isinstance(event, Discarded) and len(machine._floor.hearing.open) < opened
        for told in events(happened, TOLD):
            match told:
                case SpeechStartedEvent(id=number):
                    begun.append(number)
                case SpeechStoppedEvent(id=number):
                    stopped.append(number)
                case FinalEvent(id=number, start_ms=start_ms, end_ms=end_ms):
                    assert number in stopped
                    assert start_ms <= end_ms
                    finals.append(number)
                case _:
                    assert isinstance(told, TurnStarted)
    happened, _ = run_out(machine, now)
    finals += [final.id for final in events(happened, FinalEvent)]
    assert begun == sorted(set(begun))
    for told_once in (stopped, finals):
        assert len(set(told_once)) == len(told_once)
    assert set(finals) == set(stopped)
    still_open = {utterance.number for utterance in machine._floor.hearing.open}
    assert len(set(begun) - set(stopped) - still_open) == discarded


# ---------------------------------------------------------------- by place


def test_what_began_in_a_stretch_that_was_thrown_away_is_known_by_its_place() -> None:
    discards = Discards()
    discards.begin((1, 1), 0)
    assert not discards.is_empty(1000)
    discards.end_at(1000)
    assert discards.is_empty(1000)
    discards.begin((1, 2), 1000 - SLACK_MS)
    assert discards.discard(2000) == [(1, 2)]
    assert discards.discard(2000) == [], "it is told once"
    discards.begin((1, 3), 1990)
    discards.begin((1, 4), 1500)
    assert [discards.covers((1, number)) for number in range(1, 6)] == [False, True, False, True, False]
    discards.over((1, 3))
    assert [discards.covers((1, number)) for number in range(1, 5)] == [False, False, False, True]


# ---------------------------------------------------------------- with ears


async def test_the_place_of_an_utterance_is_told_in_the_sessions_time_whichever_ears_hear_it(
    place: Place,
) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    async with place.hub.session(LISTENING, client) as session:
        await client.sees(Ready)
        for _ in range(50):
            session.hear(FRAME)
        await ears.frames_up_to(49)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=500))
        await ears.beat(needed_seq=20)
        ears.frames.clear()
        await ears.say(EarsFailed(lease=1, utterance=0, code="draining", message="going"))
        await client.sees(Ready, 2)
        session.hear(FRAME)
        await ears.frames_up_to(50)
        assert ears.frames[0].seq == 20
        await ears.say(SpeechStarted(lease=2, utterance=1, at_ms=100))
        await ears.say(Final(lease=2, utterance=1, text="so it is", language="en", start_ms=100, end_ms=600))
        final = await client.sees(FinalEvent)
        assert (final.id, final.start_ms, final.end_ms) == (1, 500, 20 * FRAME_MS + 600)
        assert client.of(SpeechStartedEvent) == [SpeechStartedEvent(at_ms=500, id=1)]
        await client.sees(TurnDone)

        session.handle(Start(audio_in=LISTENING.audio_in, language="fr"))
        await client.sees(Ready, 3)
        await ears.say(SpeechStarted(lease=3, utterance=1, at_ms=10))
        started = await client.sees(SpeechStartedEvent, 2)
        assert (started.id, started.at_ms) == (2, 51 * FRAME_MS + 10)


async def test_a_session_that_only_transcribes_says_nothing_even_where_it_was_not_understood(
    place: Place,
) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    start = Start(audio_in=LISTENING.audio_in, turn_taking=TurnTaking(answers=False))
    async with place.hub.session(start, client) as session:
        await client.sees(Ready)
        await ears.say(EarsFailed(lease=1, utterance=1, code="engine_failed", message="no"))
        await ears.say(SpeechStarted(lease=1, utterance=2, at_ms=0))
        await ears.say(TurnLikely(lease=1, utterance=2, text="what is up", language="en"))
        await ears.say(Final(lease=1, utterance=2, text="what is up", language="en", end_ms=90))
        await client.sees(FinalEvent, 2)
        session.handle(UserText(text="and now?"))
        await client.sees(TurnDone)
    assert [final.text for final in client.of(FinalEvent)] == ["", "what is up"]
    assert [error.utterance for error in client.of(ErrorEvent)] == [1]
    assert len(client.of(TurnStarted)) == 1
    assert [work.messages[-1].content for work in place.workers.generated] == ["and now?"]


async def test_what_the_client_throws_away_has_no_final_and_what_it_says_then_has_one(place: Place) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    start = Start(audio_in=LISTENING.audio_in, turn_taking=TurnTaking(answers=False))
    async with place.hub.session(start, client) as session:
        session.discard()
        await client.sees(Ready)
        for _ in range(50):
            session.hear(FRAME)
        session.handle(EndOfSpeech())
        for _ in range(50):
            session.hear(FRAME)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=100))
        await ears.say(SpeechStarted(lease=1, utterance=2, at_ms=1200))
        await client.sees(SpeechStartedEvent, 2)
        session.discard()
        for _ in range(50):
            session.hear(FRAME)
        session.handle(EndOfSpeech())
        await ears.frames_up_to(149)
        while ears.ends < 3:
            ears.heard.clear()
            await asyncio.wait_for(ears.heard.wait(), 60)
        ends = [message for message in ears.got if isinstance(message, EndUtterance)]
        assert [end.is_discarded for end in ends] == [False, True, False]
        for utterance, text in ((1, "kept"), (2, "gone"), (3, "gone too"), (4, "said anew")):
            at_ms = {3: 1900, 4: 2100}.get(utterance)
            if at_ms is not None:
                await ears.say(SpeechStarted(lease=1, utterance=utterance, at_ms=at_ms))
            await ears.say(Partial(lease=1, utterance=utterance, text=text))
            await ears.say(Final(lease=1, utterance=utterance, text=text, language="en", end_ms=2500))
        await ears.say(Final(lease=1, utterance=5, text=""))
        await client.sees(FinalEvent, 3)
    assert [(final.text, final.id) for final in client.of(FinalEvent)] == [
        ("kept", 1),
        ("said anew", 3),
        ("", 4),
    ]
    assert [partial.text for partial in client.of(PartialEvent)] == ["kept", "said anew"]
    assert [started.id for started in client.of(SpeechStartedEvent)] == [1, 2, 3]
    assert client.of(FinalEvent)[-1].end_ms == 150 * FRAME_MS
