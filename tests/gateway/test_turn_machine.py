"""The turn machine on a virtual clock: when it asks, repeats, gives up, and how every turn ends."""

from __future__ import annotations

import pytest

from services.gateway.chat_protocol import (
    EngineReport,
    ErrorEvent,
    FinalEvent,
    Flush,
    Interrupted,
    SegmentEvent,
    Token,
    TurnDone,
    TurnStarted,
)
from services.gateway.turn import State, TurnMachine
from services.gateway.turn_io import (
    Action,
    Ask,
    CancelWork,
    DropAudio,
    Emit,
    EmitAudio,
    Halt,
    HeardNothing,
    Input,
    PlayedTo,
    Remember,
    Say,
    Speak,
    Think,
    Tick,
    TurnPolicy,
    TurnReport,
    Undelivered,
)
from shared.messages import (
    AudioChunk,
    AudioFormat,
    Failed,
    MindDone,
    SegmentDone,
    SpeechStarted,
    Synthesize,
    TextDelta,
    Working,
)

POLICY = TurnPolicy(turn_s=30.0, take_up_s=5.0, beat_lost_s=2.0, attempts=3)
TERMINAL = (TurnDone, Interrupted)
RATE_HZ = 16000
CHUNK_SAMPLES = 1600
SPHINX = EngineReport(engine="pocketsphinx", device="cpu", is_degraded=True)


class Dialogue:
    """A machine, a clock, and short ways of saying what the workers do."""

    def __init__(self, policy: TurnPolicy = POLICY) -> None:
        self.machine = TurnMachine("S", policy)
        self.now = 100.0
        self.actions: list[Action] = []

    def put(self, event: Input) -> list[Action]:
        actions = self.machine.handle(event, self.now)
        self.actions += actions
        self.machine.wake_at()  # as the session does after each input
        return actions

    def wait(self, seconds: float) -> list[Action]:
        """Lets time pass, with a tick whenever the machine wants one."""
        end, happened = self.now + seconds, []
        while (wake_at := self.machine.wake_at()) is not None and wake_at <= end:
            self.now = max(self.now, wake_at)
            happened += self.put(Tick())
        self.now = end
        return happened

    def ask(self, text: str = "hello", **fields: object) -> list[Action]:
        return self.put(Ask(text=text, **fields))  # type: ignore[arg-type]

    def mind_says(self, *texts: str, attempt: int = 1, first: int = 0, done: bool = True) -> list[Action]:
        turn = self.machine.turns
        happened = self.put(Working(stage="llm", worker="m", turn=turn, attempt=attempt))
        for number, text in enumerate(texts, first):
            happened += self.put(TextDelta(turn=turn, attempt=attempt, seq=number, text=text + " "))
            happened += self.put(self.segment(number, text, attempt=attempt))
        if done:
            happened += self.put(self.mind_done(first + len(texts), attempt=attempt))
        return happened

    def segment(self, number: int, text: str, *, attempt: int = 1) -> Synthesize:
        return Synthesize(
            gw="g", sid="S", turn=self.machine.turns, attempt=attempt, segment=number, text=text,
            audio=AudioFormat(rate_hz=RATE_HZ), remaining_ms=1000, language="en", voice="v",
        )  # fmt: skip

    def mind_done(self, segments: int, *, attempt: int = 1) -> MindDone:
        return MindDone(
            turn=self.machine.turns, attempt=attempt, deltas=segments, segments=segments,
            engine="fake", model="m", is_degraded=True,
        )  # fmt: skip

    def chunk(
        self, segment: int, seq: int, *, attempt: int = 1, take: int = 1, level: float = 0.1
    ) -> AudioChunk:
        return AudioChunk(
            turn=self.machine.turns, attempt=attempt, segment=segment, take=take, seq=seq,
            start=seq * CHUNK_SAMPLES, samples=CHUNK_SAMPLES, rate_hz=RATE_HZ, codec="pcm",
            level=level, data=bytes([segment, seq]) * CHUNK_SAMPLES,
        )  # fmt: skip

    def voice_done(self, segment: int, chunks: int, *, attempt: int = 1, take: int = 1) -> SegmentDone:
        return SegmentDone(
            turn=self.machine.turns, attempt=attempt, segment=segment, take=take, chunks=chunks,
            samples=chunks * CHUNK_SAMPLES, rate_hz=RATE_HZ, engine="tone", device="cpu", model="t",
        )  # fmt: skip

    def voice_speaks(
        self, segment: int, chunks: int = 10, *, attempt: int = 1, take: int = 1, level: float = 0.1
    ) -> list[Action]:
        turn = self.machine.turns
        happened = self.put(
            Working(stage="tts", worker="v", turn=turn, attempt=attempt, segment=segment, take=take)
        )
        for seq in range(chunks):
            happened += self.put(self.chunk(segment, seq, attempt=attempt, take=take, level=level))
        return happened + self.put(self.voice_done(segment, chunks, attempt=attempt, take=take))


def events(actions: list[Action], kind: type) -> list[object]:
    return [action.event for action in actions if isinstance(action, Emit) and isinstance(action.event, kind)]


def of(actions: list[Action], kind: type) -> list[object]:
    return [action for action in actions if isinstance(action, kind)]


def terminals(actions: list[Action]) -> list[object]:
    return [
        action.event
        for action in actions
        if isinstance(action, Emit)
        and (
            isinstance(action.event, TERMINAL)
            or (isinstance(action.event, ErrorEvent) and action.event.turn_id)
        )
    ]


def test_a_typed_turn_is_thought_about_spoken_and_done() -> None:
    talk = Dialogue()
    started = talk.ask("what is up")
    assert events(started, TurnStarted) == [TurnStarted(turn_id="S-1", is_spoken=False)]
    think = of(started, Think)[0]
    assert (think.attempt, think.first_segment, think.spoken, think.remaining_ms) == (1, 0, "", 30000)
    assert talk.machine.state is State.THINKING
    talk.now += 0.1
    talk.mind_says("Hello there,", "how are you?")
    talk.now += 0.05
    spoken = talk.voice_speaks(0) + talk.voice_speaks(1)
    (done,) = terminals(spoken)
    assert isinstance(done, TurnDone)
    assert done.text == "Hello there, how are you?"
    assert done.has_audio
    assert done.engines["llm"].engine == "fake"
    assert done.engines["llm"].is_degraded
    assert done.engines["tts"].engine == "tone"
    assert done.timeline.llm_ms == pytest.approx(100)
    assert done.timeline.tts_ms == pytest.approx(50)
    assert done.timeline.response_ms == pytest.approx(150)
    assert done.timeline.audio_ms == pytest.approx(2000)
    assert of(talk.actions, Remember) == [Remember(turn=1, user="what is up", answer=done.text)]
    assert len(of(spoken, EmitAudio)) == 20


def test_the_parts_of_a_spoken_turn_add_up_to_its_response() -> None:
    talk = Dialogue()
    talk.put(SpeechStarted(lease=1, utterance=1, at_ms=0))
    assert talk.machine.state is State.LISTENING
    happened = talk.ask(
        "hi", is_spoken=True, spoke_until=talk.now - 0.58, endpoint_ms=500.0, language="en", ears=SPHINX
    )
    assert events(happened, FinalEvent) == [FinalEvent(text="hi", language="en", turn_id="S-1")]
    talk.now += 0.02
    talk.mind_says("Hello.")
    talk.now += 0.03
    talk.voice_speaks(0)
    done = terminals(talk.actions)[0]
    assert done.engines["stt"] == SPHINX
    timeline = done.timeline
    assert timeline.endpoint_ms == pytest.approx(500)
    assert timeline.stt_ms == pytest.approx(80)
    parts = timeline.endpoint_ms + timeline.stt_ms + timeline.llm_ms + timeline.tts_ms + timeline.send_ms
    assert timeline.response_ms == pytest.approx(parts, abs=0.01) == pytest.approx(630, abs=0.01)


def test_an_endpoint_longer_than_the_wait_is_cut_to_the_wait() -> None:
    talk = Dialogue()
    talk.ask("hi", is_spoken=True, spoke_until=talk.now - 0.2, endpoint_ms=500.0)
    talk.mind_says("Hello.")
    talk.voice_speaks(0)
    timeline = terminals(talk.actions)[0].timeline
    assert (timeline.endpoint_ms, timeline.stt_ms) == (pytest.approx(200), 0.0)


def test_segments_are_played_in_order_whoever_is_ready_first() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.", "Two.")
    assert not of(talk.voice_speaks(1, 2), EmitAudio)
    played = of(talk.voice_speaks(0, 2), EmitAudio)
    assert [(action.chunk.segment, action.chunk.seq) for action in played] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert isinstance(terminals(talk.actions)[0], TurnDone)


def test_sound_that_overtakes_its_segment_is_kept_and_played() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says(done=False)
    talk.put(talk.mind_done(2))
    assert not of(talk.voice_speaks(1, 2) + talk.voice_speaks(0, 2), EmitAudio)
    played = of(talk.put(talk.segment(0, "One.")) + talk.put(talk.segment(1, "Two.")), EmitAudio)
    assert [(action.chunk.segment, action.chunk.seq) for action in played] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert isinstance(terminals(talk.actions)[0], TurnDone)


def test_a_text_turn_needs_no_voice() -> None:
    talk = Dialogue()
    talk.ask(wants_audio=False)
    talk.put(TextDelta(turn=1, attempt=1, seq=0, text="Just text."))
    happened = talk.put(talk.mind_done(0))
    (done,) = terminals(happened)
    assert isinstance(done, TurnDone)
    assert (done.text, done.has_audio) == ("Just text.", False)


def test_an_interruption_keeps_exactly_the_words_that_were_heard() -> None:
    talk = Dialogue()
    talk.ask("tell me")
    talk.mind_says("One two three four five.", "Six seven eight nine ten.", done=False)
    talk.voice_speaks(0, 10)
    talk.now += 0.55  # of one second
    happened = talk.put(SpeechStarted(lease=1, utterance=1, at_ms=0))
    (stopped,) = terminals(happened)
    assert isinstance(stopped, Interrupted)
    assert stopped.reason == "speech"
    assert stopped.heard == "One two three"[: len(stopped.heard)]
    assert stopped.heard.startswith("One two")
    assert of(happened, CancelWork) == [CancelWork(turn=1)]
    assert of(happened, DropAudio) == [DropAudio(turn=1)]
    assert events(happened, Flush) == [Flush(turn_id="S-1")]
    assert of(happened, Remember) == [Remember(turn=1, user="tell me", answer=stopped.heard)]
    assert not talk.voice_speaks(1), "a late chunk of the interrupted turn is ignored"


def test_an_answer_cut_short_in_playback_is_remembered_as_heard() -> None:
    talk = Dialogue()
    talk.ask("tell me")
    talk.mind_says("One two three four five six seven eight nine ten.")
    talk.voice_speaks(0, 100)
    talk.now += 2.0
    happened = talk.put(Halt(reason="client", played_ms=5000))
    assert not terminals(happened), "its terminal event was sent before"
    assert events(happened, Flush) == [Flush(turn_id="S-1")]
    (remembered,) = of(happened, Remember)
    assert remembered.answer == "One two three four five"
    assert len(of(talk.actions, TurnReport)) == 1


def test_a_client_that_leaves_behind_a_whole_answer_is_taken_to_have_heard_it() -> None:
    talk = Dialogue()
    talk.ask("tell me")
    talk.mind_says("One two three.")
    talk.voice_speaks(0, 100)
    assert not talk.put(Halt(reason="closed"))
    assert [action.answer for action in of(talk.actions, Remember)] == ["One two three."]


def test_the_session_rests_when_playback_has_ended() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("Hello.")
    talk.voice_speaks(0, 10)
    assert talk.machine.state is State.SPEAKING
    talk.wait(0.9)
    assert talk.machine.state is State.SPEAKING
    talk.wait(0.2)
    assert talk.machine.state is State.IDLE
    assert talk.machine.wake_at() is None
    assert not talk.put(Halt(reason="client")), "nothing is left to stop"


def test_the_clients_account_of_its_playback_ends_the_turn_early() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("Hello.")
    talk.voice_speaks(0, 10)
    talk.put(PlayedTo(turn=1, ms=1000))
    assert talk.machine.state is State.IDLE
    assert not talk.put(PlayedTo(turn=1, ms=1000))


def test_a_new_question_interrupts_the_answer() -> None:
    talk = Dialogue()
    talk.ask("first")
    happened = talk.ask("second")
    (stopped,) = terminals(happened)
    assert (stopped.turn_id, stopped.reason) == ("S-1", "message")
    assert of(happened, Think)[0].turn == 2
    assert not of(happened, DropAudio), "no sound was on its way"


def test_noise_that_was_no_speech_starts_no_turn() -> None:
    talk = Dialogue()
    talk.put(SpeechStarted(lease=1, utterance=1, at_ms=0))
    happened = talk.put(HeardNothing())
    assert events(happened, FinalEvent) == [FinalEvent(text="", language="", turn_id=None)]
    assert talk.machine.state is State.IDLE
    talk.ask()
    talk.put(HeardNothing())
    assert talk.machine.state is State.THINKING


def test_a_mind_that_falls_silent_is_asked_again_behind_what_was_said() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.", done=False)
    talk.voice_speaks(0)
    happened = talk.wait(2.1)
    (think,) = of(happened, Think)
    assert (think.attempt, think.spoken, think.first_segment) == (2, "One.", 1)
    assert events(happened, Token) == [Token(turn_id="S-1", text="One. ", at=0)]
    assert not talk.put(TextDelta(turn=1, attempt=1, seq=9, text="late")), "the older attempt is fenced off"
    talk.mind_says("Two.", attempt=2, first=1)
    talk.voice_speaks(1, attempt=2)
    (done,) = terminals(talk.actions)
    assert isinstance(done, TurnDone)
    assert done.text == "One. Two."
    assert done.timeline.attempts == 2


def test_work_that_another_worker_got_again_is_begun_anew_by_the_gateway() -> None:
    talk = Dialogue()
    talk.ask()
    talk.put(Working(stage="llm", worker="a", turn=1, attempt=1))
    failed = Failed(stage="llm", worker="b", turn=1, attempt=1, code="redelivered", message="x")
    assert of(talk.put(failed), Think)[0].attempt == 2
    assert not talk.put(failed), "the same news of the older attempt is stale"


def test_a_mind_that_fails_every_time_ends_in_a_spoken_apology_and_an_error() -> None:
    talk = Dialogue()
    talk.ask(language="fr")
    for attempt in (1, 2, 3):
        happened = talk.put(
            Failed(stage="llm", worker="m", turn=1, attempt=attempt, code="engine_failed", message="no luck")
        )
    (speak,) = of(happened, Speak)
    assert "Pardon" in speak.text
    assert not terminals(talk.actions), "the person hears the apology first"
    happened = talk.voice_speaks(0, attempt=4)
    (error,) = terminals(happened)
    assert (error.code, error.turn_id) == ("llm_failed", "S-1")
    assert of(happened, TurnReport)[0].outcome == "failed"


def test_an_apology_that_cannot_be_spoken_ends_the_turn_all_the_same() -> None:
    talk = Dialogue()
    talk.ask()
    talk.put(talk.mind_done(0))
    happened = talk.wait(20)
    (error,) = terminals(happened)
    assert error.code == "empty_answer"


def test_a_turn_that_nobody_takes_up_ends_by_its_deadline() -> None:
    talk = Dialogue()
    talk.ask()
    talk.wait(60)
    (error,) = terminals(talk.actions)
    assert error.code == "llm_unavailable"
    assert talk.machine.state is State.IDLE


def test_a_mind_that_beats_but_never_answers_is_given_up() -> None:
    talk = Dialogue()
    talk.ask()
    for beat in range(100):
        talk.put(Working(stage="llm", worker="m", turn=1, attempt=1, beat=beat))
        talk.wait(0.5)
    (error,) = terminals(talk.actions)
    assert error.code == "turn_timeout"


def test_an_expired_turn_is_not_asked_again() -> None:
    talk = Dialogue()
    talk.ask(wants_audio=False)
    happened = talk.put(Failed(stage="llm", worker="m", turn=1, attempt=1, code="expired", message="late"))
    (error,) = terminals(happened)
    assert error.code == "turn_timeout"


def test_a_voice_that_falls_silent_is_asked_again_and_goes_on_where_it_broke_off() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One two three.")
    talk.put(Working(stage="tts", worker="v", turn=1, attempt=1, segment=0))
    talk.put(talk.chunk(0, 0))
    talk.put(talk.chunk(0, 1))
    (speak,) = of(talk.wait(2.1), Speak)
    assert (speak.segment, speak.take, speak.text, speak.voice) == (0, 2, "One two three.", "v")
    assert not talk.put(talk.chunk(0, 2)), "the older take is fenced off"
    played = of(talk.voice_speaks(0, 4, take=2), EmitAudio)
    assert [action.chunk.seq for action in played] == [2, 3]
    (done,) = terminals(talk.actions)
    assert isinstance(done, TurnDone)
    assert done.timeline.repeats == 1
    assert done.timeline.audio_ms == pytest.approx(400)


def test_a_lost_chunk_is_made_again_rather_than_skipped() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    talk.put(talk.chunk(0, 0))
    (speak,) = of(talk.put(talk.chunk(0, 2)), Speak)
    assert speak.take == 2
    talk.voice_speaks(0, 3, take=2)
    assert isinstance(terminals(talk.actions)[0], TurnDone)


def test_lost_last_chunks_are_made_again() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    talk.put(talk.chunk(0, 0))
    assert of(talk.put(talk.voice_done(0, 2)), Speak)[0].take == 2


def test_a_voice_that_fails_every_time_is_an_error_not_silence() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    for take in (1, 2, 3):
        talk.put(
            Failed(stage="tts", worker="v", turn=1, attempt=1, segment=0, take=take, code="x", message="m")
        )
    (error,) = terminals(talk.actions)
    assert error.code == "tts_failed"


def test_a_segment_that_no_voice_takes_up_is_an_error() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    talk.wait(6)
    (error,) = terminals(talk.actions)
    assert (error.code, error.text) == ("tts_unavailable", "One.")


def test_silence_is_never_reported_as_a_turn_done() -> None:
    talk = Dialogue()
    talk.ask()
    talk.mind_says("One.")
    talk.voice_speaks(0, level=0.0)
    (error,) = terminals(talk.actions)
    assert isinstance(error, ErrorEvent)
    assert error.code == "no_audio"


@pytest.mark.parametrize(("stage", "code"), [("llm", "broker_lost"), ("llm", "busy"), ("tts", "broker_lost")])
def test_work_that_the_broker_does_not_take_ends_the_turn_at_once(stage: str, code: str) -> None:
    talk = Dialogue()
    talk.ask()
    happened = talk.put(Undelivered(stage=stage, turn=1, code=code, message="gone"))  # type: ignore[arg-type]
    (error,) = terminals(happened)
    assert error.code == code


def test_a_given_text_is_spoken_without_the_mind_and_not_remembered() -> None:
    talk = Dialogue()
    happened = talk.put(Say(text="Read this.", speed=1.5))
    (speak,) = of(happened, Speak)
    assert (speak.text, speak.speed, speak.segment) == ("Read this.", 1.5, 0)
    assert not of(happened, Think)
    assert not talk.put(talk.segment(0, "Read this.")), "its own checkpoint is no news"
    (done,) = terminals(talk.voice_speaks(0))
    assert done.text == "Read this."
    assert not of(talk.actions, Remember)


def test_a_given_text_cannot_be_thought_about_again() -> None:
    talk = Dialogue()
    talk.put(Say(text="Read this."))
    happened = talk.put(Failed(stage="llm", worker="m", turn=1, attempt=1, code="odd", message="m"))
    assert events(happened, ErrorEvent) == []
    assert of(happened, Speak), "the failure is spoken"


def test_a_canary_is_not_remembered_and_makes_no_apology() -> None:
    talk = Dialogue()
    talk.ask(is_canary=True)
    happened = talk.put(talk.mind_done(0))
    assert terminals(happened)[0].code == "empty_answer"
    assert not of(talk.actions, Remember)
    assert of(happened, TurnReport)[0].is_canary


def test_messages_of_no_turn_or_another_turn_are_ignored() -> None:
    talk = Dialogue()
    assert not talk.put(TextDelta(turn=1, attempt=1, seq=0, text="x"))
    assert not talk.put(Tick())
    talk.ask()
    assert not talk.put(TextDelta(turn=7, attempt=1, seq=0, text="x"))
    assert not talk.put(talk.chunk(3, 0)), "a chunk of a segment that nobody asked for"
    assert not talk.put(talk.voice_done(3, 1))
    assert not talk.put(Tick()), "nothing is overdue"
    assert not talk.put(Failed(stage="tts", worker="v", turn=1, attempt=1, segment=5, code="x", message="m"))
    assert not talk.put(Working(stage="stt", worker="e", turn=1, attempt=9))
    assert not talk.put(Working(stage="tts", worker="v", turn=1, attempt=1, segment=-1))
    assert not talk.put(talk.voice_done(-1, 1))
    assert not talk.put(Failed(stage="tts", worker="v", turn=1, attempt=1, segment=-1, code="x", message="m"))


def test_the_segment_event_tells_what_is_being_spoken() -> None:
    talk = Dialogue()
    talk.ask()
    happened = talk.mind_says("One.")
    assert events(happened, SegmentEvent) == [SegmentEvent(turn_id="S-1", segment=0, text="One.")]
    assert not talk.put(talk.segment(5, "out of order"))
