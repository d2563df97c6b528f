"""Speech into an answer, and an answer ahead of its final, over the in-memory bus: what the client gets."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from services.gateway.chat_protocol import (
    AudioEvent,
    BargeIn,
    ErrorEvent,
    FinalEvent,
    Interrupted,
    PartialEvent,
    Pause,
    Played,
    Ready,
    Resume,
    SpeechStartedEvent,
    Start,
    TurnDone,
    TurnTaking,
    UserText,
)
from services.gateway.ears import NOBODY
from shared.messages import (
    Final,
    Message,
    Partial,
    SpeechProgress,
    SpeechResumed,
    SpeechStarted,
    TurnLikely,
)
from tests.fakes.ears import FakeEars
from tests.gateway.rig import FRAME, LISTENING, Client, Place


async def heard(place: Place, **fields: object) -> tuple[Client, FakeEars, Start]:
    """A client and ears that can be claimed, and settings for both."""
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    start = msgspec.structs.replace(LISTENING, **fields)
    return client, ears, start


async def told(client: Client, ears: FakeEars, message: Message) -> None:
    """Waits until the gateway has taken an event of the ears: a partial behind it has come out."""
    await ears.say(message)
    partials = len(client.of(PartialEvent))
    await ears.say(Partial(lease=1, utterance=99, text="…"))
    await client.sees(PartialEvent, partials + 1)


async def test_speech_into_an_answer_pauses_it_and_a_sign_of_listening_lets_it_go_on(place: Place) -> None:
    client, ears, start = await heard(place)
    place.workers.faults.gate.clear()
    async with place.hub.session(start, client) as session:
        await client.sees(Ready)
        session.handle(UserText(text="hello"))
        await client.sees(AudioEvent)
        for _ in range(5):
            session.hear(FRAME)
        await ears.frames_up_to(4)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=40))
        await client.sees(Pause)
        place.workers.faults.gate.set()
        await told(client, ears, SpeechProgress(lease=1, utterance=1, speech_ms=200, silence_ms=100))
        assert len(client.of(AudioEvent)) <= 2, "what is ready meanwhile is held"
        await ears.say(TurnLikely(lease=1, utterance=1, text="mm-hm", language="en"))
        resumed = await client.sees(Resume)
        await ears.say(Final(lease=1, utterance=1, text="Mm-hm.", language="en", end_ms=100))
        final, done = await client.sees(FinalEvent), await client.sees(TurnDone)
    assert resumed.verdict == "backchannel"
    assert final.turn_id is None
    assert [event.seq for event in client.of(AudioEvent)] == list(range(8))
    assert sum(event.duration_ms for event in client.of(AudioEvent)) == pytest.approx(400)
    assert done.text == "Hello there. How are you?"
    kinds = [type(note).__name__ for note in place.reports.notes]
    assert kinds == ["Paused", "Judged"]
    assert 0 <= place.reports.notes[0].after_s < 10.0


async def test_real_words_into_an_answer_stop_it_and_are_answered(place: Place) -> None:
    client, ears, start = await heard(place)
    place.workers.faults.gate.clear()
    async with place.hub.session(start, client) as session:
        await client.sees(Ready)
        session.handle(UserText(text="hello"))
        await client.sees(AudioEvent)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=0))
        await ears.say(Partial(lease=1, utterance=1, text="what about tomorrow", stable=4))
        stopped = await client.sees(Interrupted)
        place.workers.faults.gate.set()
        await ears.say(Final(lease=1, utterance=1, text="What about tomorrow?", language="en"))
        await client.sees(TurnDone)
    assert client.of(PartialEvent) == [PartialEvent(text="what about tomorrow", stable=4)]
    assert client.dropped == [stopped.turn_id]
    assert len(client.of(Pause)) == 1
    assert not client.of(Resume)
    assert place.workers.generated[-1].messages[-1].content == "What about tomorrow?"


async def test_an_answer_begun_ahead_is_told_with_its_final_and_not_before(place: Place) -> None:
    client, ears, start = await heard(place)
    async with place.hub.session(start, client):
        await client.sees(Ready)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=0))
        await ears.say(TurnLikely(lease=1, utterance=1, text="hello eva", language="en"))
        while len(place.workers.synthesized) < 2:
            await told(client, ears, SpeechProgress(lease=1, utterance=1, speech_ms=900, silence_ms=200))
        before = {type(event).__name__ for event in client.events}
        await ears.say(Final(lease=1, utterance=1, text="Hello, Eva.", language="en", endpoint_ms=300.0))
        done = await client.sees(TurnDone)
        record = place.hub.sessions[done.turn_id.rpartition("-")[0]]._conversation.record
    assert before == {"Ready", "SpeechStartedEvent", "PartialEvent"}
    assert len(place.workers.generated) == 1
    assert done.timeline.is_speculative
    assert record.messages[0].content == "Hello, Eva."
    assert [note.is_used for note in place.reports.notes] == [True]


async def test_an_answer_begun_ahead_in_vain_is_cancelled_and_never_known_of(place: Place) -> None:
    client, ears, start = await heard(place)
    async with place.hub.session(start, client) as session:
        await client.sees(Ready)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=0))
        await ears.say(TurnLikely(lease=1, utterance=1, text="hello", language="en"))
        await ears.say(SpeechResumed(lease=1, utterance=1))
        await asyncio.wait_for(place.workers.cancelled.wait(), 60)
        await ears.say(Final(lease=1, utterance=1, text="hello and good morning", language="en"))
        done = await client.sees(TurnDone)
        sid = session.sid
    assert done.turn_id == f"{sid}-2"
    assert not done.timeline.is_speculative
    assert {event.turn_id for event in client.of(AudioEvent)} == {f"{sid}-2"}
    record = await place.memory.load(sid)
    assert record is not None
    assert record.messages[0].content == "hello and good morning"


async def test_who_was_not_done_is_remembered_with_one_question(place: Place) -> None:
    client, ears, start = await heard(place)
    place.workers.faults.gate.clear()
    async with place.hub.session(start, client) as session:
        await client.sees(Ready)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=0))
        await ears.say(Final(lease=1, utterance=1, text="a train", language="en"))
        await ears.say(SpeechStarted(lease=1, utterance=2, at_ms=900))
        await ears.say(Final(lease=1, utterance=2, text="to Paris please", language="en"))
        place.workers.faults.gate.set()
        await client.sees(TurnDone)
        sid = session.sid
    record = await place.memory.load(sid)
    assert record is not None
    assert [message.content for message in record.messages if message.role == "user"] == [
        "a train to Paris please"
    ]
    assert place.workers.generated[-1].messages[-1].content == "a train to Paris please"


async def test_half_duplex_lets_no_sound_in_while_eva_is_heard(place: Place) -> None:
    client, ears, start = await heard(place, barge_in=BargeIn(mode="half_duplex"))
    place.workers.faults.gate.clear()
    async with place.hub.session(start, client) as session:
        await client.sees(Ready)
        session.hear(FRAME)
        session.handle(UserText(text="hello"))
        await client.sees(AudioEvent)
        session.hear(FRAME)
        await ears.frames_up_to(1)
        place.workers.faults.gate.set()
        done = await client.sees(TurnDone)
        session.handle(Played(turn_id=done.turn_id, ms=400))
        session.hear(FRAME)
        await ears.frames_up_to(2)
        place.clock.ahead_s += 0.21
        session.hear(FRAME)
        await ears.frames_up_to(3)
    assert [frame.pcm for frame in ears.frames] == [FRAME, bytes(len(FRAME)), bytes(len(FRAME)), FRAME]


async def test_who_pushes_to_talk_stops_her_at_the_first_sound(place: Place) -> None:
    client, ears, start = await heard(place, turn_taking=TurnTaking(mode="manual"))
    place.workers.faults.gate.clear()
    async with place.hub.session(start, client) as session:
        await client.sees(Ready)
        session.handle(UserText(text="hello"))
        await client.sees(AudioEvent)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=0))
        await client.sees(Interrupted)
        place.workers.faults.gate.set()
    assert not client.of(Pause)
    assert ears.opened is not None
    assert ears.opened.turn_detection == "manual"


async def test_what_the_person_ends_by_a_key_is_a_turn_whatever_the_words(place: Place) -> None:
    client, ears, start = await heard(place)
    place.workers.faults.gate.clear()
    async with place.hub.session(start, client) as session:
        await client.sees(Ready)
        session.handle(UserText(text="hello"))
        await client.sees(AudioEvent)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=0))
        await ears.say(Final(lease=1, utterance=1, text="okay", language="en", ended_by="manual"))
        place.workers.faults.gate.set()
        await client.sees(TurnDone)
    assert place.workers.generated[-1].messages[-1].content == "okay"


async def test_how_turns_are_taken_reaches_the_ears_and_other_wishes_claim_others(place: Place) -> None:
    wishes = TurnTaking(min_silence_ms=200, max_silence_ms=900, threshold=0.7)
    client, ears, start = await heard(place, turn_taking=wishes, end_silence_ms=400)
    async with place.hub.session(start, client) as session:
        await client.sees(Ready)
        opened = ears.opened
        assert opened is not None
        session.handle(msgspec.structs.replace(start, barge_in=BargeIn(mode="off")))
        assert opened is ears.opened, "the ears do not care who interrupts"
        session.handle(msgspec.structs.replace(start, turn_taking=TurnTaking(mode="silence")))
        await client.sees(Ready, 3)
        assert ears.opened.turn_detection == "silence"
        assert ears.opened.lease == 2
    asked = (opened.turn_detection, opened.min_silence_ms, opened.max_silence_ms, opened.onset)
    assert asked == ("auto", 200, 900, 0.7)
    assert opened.end_silence_ms == 400


async def test_a_resumed_session_takes_turns_as_its_client_wishes_now(place: Place) -> None:
    first, ears, start = await heard(place, turn_taking=TurnTaking(mode="manual"))
    async with place.hub.session(LISTENING, first) as session:
        sid = session.sid
        session.handle(UserText(text="hello"))
        await first.sees(TurnDone)
    second = Client()
    async with place.hub.session(msgspec.structs.replace(start, session_id=sid), second):
        await second.sees(Ready)
    assert ears.opened is not None
    assert ears.opened.turn_detection == "manual"


async def test_ears_that_are_changed_in_mid_utterance_end_it(place: Place) -> None:
    client, ears, start = await heard(place)
    async with place.hub.session(start, client) as session:
        await client.sees(Ready)
        await ears.say(SpeechStarted(lease=1, utterance=1, at_ms=0))
        await client.sees(SpeechStartedEvent)
        session.handle(msgspec.structs.replace(start, language="fr"))
        assert [(final.text, final.turn_id) for final in client.of(FinalEvent)] == [("", None)]
        await client.sees(Ready, 2)
        await ears.say(SpeechStarted(lease=2, utterance=1, at_ms=0))
        await client.sees(SpeechStartedEvent, 2)
        await ears.say(Final(lease=2, utterance=1, text="bonjour", language="fr"))
        await client.sees(TurnDone)
    assert len(client.of(FinalEvent)) == 2


async def test_nobody_to_listen_says_why_and_when_to_come_back(place: Place) -> None:
    client = Client()
    async with place.hub.session(LISTENING, client):
        told = await client.sees(ErrorEvent)
    assert isinstance(told, ErrorEvent)
    why, retry_after_ms = NOBODY["unknown"]
    assert (told.code, told.retry_after_ms) == ("no_ears", retry_after_ms)
    assert told.message.startswith(why)
