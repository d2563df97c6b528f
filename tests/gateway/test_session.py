"""Sessions over the in-memory bus: what a client sees, what workers are asked, what is remembered."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.chat_protocol import (
    AudioEvent,
    AudioIn,
    AudioOut,
    EndOfSpeech,
    ErrorEvent,
    FinalEvent,
    Flush,
    Interrupt,
    Interrupted,
    PartialEvent,
    Ping,
    Played,
    Pong,
    Ready,
    SpeechStartedEvent,
    Start,
    Stop,
    TurnDone,
    UserText,
)
from shared import subjects
from shared.bus.memory import MemoryBus
from shared.errors import BadInput
from shared.messages import (
    ChatMessage,
    CloseEars,
    EarsFailed,
    Final,
    Partial,
)
from tests.fakes.ears import FakeEars
from tests.gateway.rig import FRAME, GW, LISTENING, Client, Place


async def test_a_typed_turn_brings_text_and_sound_in_order(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(audio_out=AudioOut(rate_hz=16000)), client) as session:
        session.handle(UserText(text="hello", voice="anna"))
        done = await client.sees(TurnDone)
    assert isinstance(done, TurnDone)
    assert (done.text, done.has_audio) == ("Hello there. How are you?", True)
    assert [event.seq for event in client.of(AudioEvent)] == list(range(8))
    assert sum(event.duration_ms for event in client.of(AudioEvent)) == pytest.approx(400)
    assert place.workers.generated[0].messages == [ChatMessage(role="user", content="hello")]
    assert {place.workers.generated[0].voice, *(item.voice for item in place.workers.synthesized)} == {"anna"}
    assert [report.outcome for report in place.reports.seen] == ["completed"]


@pytest.mark.parametrize(("format_", "starts"), [("wav", b"RIFF"), ("opus", b"OggS"), ("mp3", b"")])
async def test_sound_comes_in_the_container_that_was_asked_for(
    place: Place, format_: str, starts: bytes
) -> None:
    client = Client()
    async with place.hub.session(Start(audio_out=AudioOut(format=format_)), client) as session:  # type: ignore[arg-type]
        session.handle(UserText(text="hello"))
        await client.sees(TurnDone)
    events = client.of(AudioEvent)
    assert client.payloads[0].startswith(starts)
    assert {event.format for event in events} == {format_}
    assert [event.seq for event in events] == list(range(len(events)))
    asked = place.workers.synthesized[0].audio
    assert asked.codec == ("pcm" if format_ == "wav" else format_)


async def test_a_text_turn_asks_no_voice(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(), client) as session:
        session.handle(UserText(text="hello", include_audio=False))
        done = await client.sees(TurnDone)
    assert not done.has_audio
    assert place.workers.synthesized == []


async def test_a_client_that_comes_back_finds_its_conversation(place: Place) -> None:
    first, second = Client(), Client()
    async with place.hub.session(Start(language="fr", voice="anna"), first) as session:
        sid = session.sid
        session.handle(UserText(text="my name is Ada"))
        done = await first.sees(TurnDone)
        session.handle(Played(turn_id=done.turn_id, ms=400))
        session.handle(UserText(text="again"))
        await first.sees(TurnDone, 2)
    async with place.hub.session(Start(session_id=sid), second) as session:
        ready = second.of(Ready)[0]
        assert (ready.is_resumed, ready.turns, ready.language, ready.voice) == (True, 2, "fr", "anna")
        session.handle(UserText(text="who am I"))
        done = await second.sees(TurnDone)
    assert done.turn_id == f"{sid}-3"
    said = [message.content for message in place.workers.generated[-1].messages]
    assert said[0] == "my name is Ada"
    assert said[-1] == "who am I"
    assert len(said) == 5


async def test_a_session_that_is_not_to_be_remembered_leaves_nothing(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(), client, remember=False) as session:
        session.handle(UserText(text="secret"))
        await client.sees(TurnDone)
        sid = session.sid
    assert await place.memory.load(sid) is None


async def test_an_unreachable_memory_costs_the_memory_and_not_the_turn(place: Place) -> None:
    client = Client()
    place.broker.is_up = False
    async with place.hub.session(Start(session_id="abc"), client) as session:
        assert client.of(Ready)[0].is_resumed is False
        session.handle(UserText(text="hello"))
        error = await client.sees(ErrorEvent)
    assert (error.code, error.turn_id) == ("broker_lost", "abc-1")


async def test_an_interrupt_stops_the_sound_and_cancels_the_work(place: Place) -> None:
    client = Client()
    place.workers.faults.gate.clear()
    async with place.hub.session(Start(), client) as session:
        session.handle(UserText(text="hello"))
        await client.sees(AudioEvent)
        session.handle(Interrupt(played_ms=0))
        stopped = await client.sees(Interrupted)
        assert client.of(Flush)
        assert client.dropped == [stopped.turn_id]
        sounds = len(client.of(AudioEvent))
        place.workers.faults.gate.set()
        await asyncio.wait_for(place.workers.cancelled.wait(), 60)
        session.handle(UserText(text="and now"))
        await client.sees(TurnDone)
    assert all(event.turn_id != stopped.turn_id for event in client.of(AudioEvent)[sounds:])
    assert [report.outcome for report in place.reports.seen] == ["interrupted", "completed"]


async def test_a_client_that_leaves_cancels_its_turn_and_keeps_what_it_heard(place: Place) -> None:
    client = Client()
    place.workers.faults.gate.clear()
    async with place.hub.session(Start(), client) as session:
        sid = session.sid
        session.handle(UserText(text="hello"))
        await client.sees(AudioEvent)
    await asyncio.wait_for(place.workers.cancelled.wait(), 60)
    assert client.of(Interrupted)[0].reason == "closed"
    record = await place.memory.load(sid)
    assert record is not None
    assert record.messages[0].content == "hello"
    assert place.hub.sessions == {}


async def test_a_second_client_takes_a_session_over(place: Place) -> None:
    first, second = Client(), Client()
    async with place.hub.session(Start(session_id="same"), first) as old:
        async with place.hub.session(Start(session_id="same"), second) as new:
            assert first.of(ErrorEvent)[0].code == "session_taken_over"
            old.handle(UserText(text="I am a ghost"))
            new.handle(UserText(text="hello"))
            await second.sees(TurnDone)
        assert first.of(TurnDone) == []
    assert place.hub.sessions == {}


async def test_a_given_text_is_spoken_and_a_canary_leaves_no_trace(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(), client) as session:
        turn_id = session.say("Read this.", speed=1.5, voice="bob", mood="joy")
        done = await client.sees(TurnDone)
        assert done.turn_id == turn_id
        spoken = place.workers.synthesized[0]
        assert (spoken.text, spoken.speed, spoken.voice, spoken.mood) == ("Read this.", 1.5, "bob", "joy")
        assert spoken.reuse == "may"
        session.canary()
        await client.sees(TurnDone, 2)
        assert await place.memory.load(session.sid) is None
    assert place.workers.generated[0].is_canary


async def test_small_talk_on_the_wire(place: Place) -> None:
    client = Client()
    async with place.hub.session(Start(), client) as session:
        session.handle(Ping(id=7))
        session.handle(Stop())
        session.handle(EndOfSpeech())
        session.handle(Start(session_id="another"))
        session.handle(UserText(text="hello"))
        done = await client.sees(TurnDone)
        session.handle(Played(turn_id=done.turn_id, ms=100))
        session.handle(Played(turn_id="other-1", ms=100))
        session.handle(Start(language="fr"))
    assert client.of(Pong) == [Pong(id=7)]
    assert client.of(ErrorEvent)[0].param == "session_id"
    assert client.of(Ready)[-1].language == "fr"


async def test_a_session_id_that_cannot_be_one_is_refused(place: Place) -> None:
    with pytest.raises(BadInput):
        async with place.hub.session(Start(session_id="a.b >"), Client()):
            pass


# ---------------------------------------------------------------- ears


async def test_a_spoken_turn_is_heard_answered_and_timed(place: Place) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    async with place.hub.session(LISTENING, client) as session:
        ready = await client.sees(Ready)
        assert ready.ears == "fake"
        for _ in range(5):
            session.hear(FRAME)
        await ears.frames_up_to(4)
        assert [frame.seq for frame in ears.frames] == [0, 1, 2, 3, 4]
        await ears.say(Partial(lease=1, utterance=1, text=""))  # for the judge, not for the client
        await ears.say(Partial(lease=1, utterance=1, text="hel"))
        await asyncio.sleep(0.2)
        await ears.hears("hello eva", end_ms=100, needed_seq=5)
        done = await client.sees(TurnDone)
    assert client.of(PartialEvent) == [PartialEvent(text="hel")]
    assert client.of(SpeechStartedEvent)
    assert client.of(FinalEvent)[0].text == "hello eva"
    assert done.engines["stt"].engine == "fake"
    assert done.engines["stt"].is_degraded
    heard_ms = done.timeline.endpoint_ms + done.timeline.stt_ms
    assert done.timeline.response_ms >= heard_ms == pytest.approx(200, abs=0.1)


async def test_noise_is_no_turn(place: Place) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    async with place.hub.session(LISTENING, client):
        await client.sees(Ready)
        await ears.hears("  ")
        final = await client.sees(FinalEvent)
    assert final.turn_id is None
    assert place.workers.generated == []


async def test_a_worker_that_falls_silent_is_replaced_and_hears_the_utterance_whole(place: Place) -> None:
    client = Client()
    first, second = (FakeEars(place.broker.connect(name), name) for name in ("E1", "E2"))
    await first.start()
    async with place.hub.session(LISTENING, client) as session:
        await client.sees(Ready)
        for _ in range(10):
            session.hear(FRAME)
        await first.frames_up_to(9)
        await first.beat(needed_seq=4)
        await second.start()
        first_bus = first._bus
        assert isinstance(first_bus, MemoryBus)
        first_bus.abort()
        session.hear(FRAME)
        await second.frames_up_to(10)
        assert [frame.seq for frame in second.frames] == list(range(4, 11))
        assert second.opened is not None
        assert second.opened.lease > 1
        await place.bus.publish(
            subjects.event(GW, session.key, "stt"), Final(lease=1, utterance=1, text="from the dead")
        )
        await second.hears("whole")
        assert (await client.sees(FinalEvent)).text == "whole"
    assert len(client.of(FinalEvent)) == 1


async def test_a_worker_that_gives_its_lease_up_is_replaced_at_once(place: Place) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    async with place.hub.session(LISTENING, client):
        await client.sees(Ready)
        await ears.say(EarsFailed(lease=1, utterance=0, code="draining", message="going"))
        await client.sees(Ready, 2)
        assert ears.opened is not None
        assert ears.opened.lease == 2


async def test_nobody_to_listen_is_told_before_a_word_was_said_and_speech_is_kept(place: Place) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    async with place.hub.session(LISTENING, client) as session:
        error = await client.sees(ErrorEvent)
        assert (error.code, error.retry_after_ms) == ("no_ears", 1000)
        session.hear(FRAME)
        await ears.start()
        await ears.frames_up_to(0)


async def test_push_to_talk_ends_behind_the_frames_that_were_heard(place: Place) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    async with place.hub.session(Start(), client) as session:
        for _ in range(3):
            session.hear(FRAME)
        session.handle(EndOfSpeech())
        await ears.frames_up_to(2)
        while not ears.ends:
            ears.heard.clear()
            await asyncio.wait_for(ears.heard.wait(), 60)
    assert [type(message).__name__ for message in ears.got[:4]] == ["MicFrame"] * 3 + ["EndUtterance"]


@pytest.mark.parametrize("rounds", range(5))
async def test_a_session_that_ends_in_the_moment_in_which_its_ears_are_given_back_ends(
    place: Place, rounds: int
) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    async with place.hub.session(LISTENING, client) as session:
        await client.sees(Ready)
        session._listening.release()
        for _ in range(rounds):
            await asyncio.sleep(0)
        session.finish()
    assert place.hub.sessions == {}
    assert [type(message) for message in ears.got] == [CloseEars]


async def test_other_settings_claim_other_ears(place: Place) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    async with place.hub.session(LISTENING, client) as session:
        await client.sees(Ready)
        session.handle(LISTENING)
        await client.sees(Ready, 2)
        assert ears.opened is not None
        assert ears.opened.lease == 1, "nothing that the ears know has changed"
        session.handle(Start(audio_in=AudioIn(rate_hz=48000), language="fr"))
        await client.sees(Ready, 3)
        assert (ears.opened.lease, ears.opened.rate_hz, ears.opened.language) == (2, 48000, "fr")


@pytest.mark.parametrize(
    ("code", "words"), [("unsupported_language", "modèle"), ("engine_failed", "pas compris")]
)
async def test_what_was_not_understood_is_said_aloud(place: Place, code: str, words: str) -> None:
    client, ears = Client(), FakeEars(place.broker.connect("ears"), "E1")
    await ears.start()
    async with place.hub.session(Start(audio_in=AudioIn(), language="fr"), client):
        await client.sees(Ready)
        await ears.say(EarsFailed(lease=1, utterance=1, code=code, message="eva models pull"))
        await client.sees(TurnDone)
    assert client.of(ErrorEvent)[0].code == code
    assert [final.text for final in client.of(FinalEvent)] == [""], "an utterance has one final"
    assert words in place.workers.synthesized[0].text


@pytest.mark.parametrize("pcm", [b"", b"\0", b"\0" * 65_538])
async def test_a_frame_that_is_none_is_refused_and_the_session_lives(place: Place, pcm: bytes) -> None:
    client = Client()
    async with place.hub.session(Start(), client) as session:
        with pytest.raises(BadInput):
            session.hear(pcm)
        session.handle(UserText(text="hello"))
        await client.sees(TurnDone)
