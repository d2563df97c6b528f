"""Speech in, speech out: four processes, a real broker, real model runtimes with small models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import groupby

import pytest
import pytest_asyncio

from services.gateway.chat_protocol import (
    AudioIn,
    ErrorEvent,
    FinalEvent,
    Flush,
    Interrupted,
    SegmentEvent,
    SpeechStartedEvent,
    TurnDone,
    TurnStarted,
)
from services.tts import piper
from shared.audio import from_pcm16
from shared.messages import Final
from tests.e2e.house import RATE_HZ, UNPACED, House, house
from tests.e2e.spy import spying
from tests.e2e.talker import Talker, is_audible, talker
from tests.fakes.speech import resampled, speech
from tests.models import tiny_voice
from tests.models.tiny_whisper import PHRASES

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SAID = speech(PHRASES[0])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("home"), **UNPACED) as home:
        yield home


@pytest.fixture(scope="module")
def voice(home: House) -> piper.PiperVoice:
    model = home.models_dir / "tts" / "en_US-tiny-low" / "en_US-tiny-low.onnx"
    return piper.load_voice(model, device="cpu", threads=1)


def phonemes_of(voice: piper.PiperVoice, text: str) -> list[str]:
    """What ``decode`` has to hear in a text's audio."""
    return tiny_voice.sounding([one for sentence in voice.vits.phonemize(text) for one in sentence])


def segments_of(person: Talker, turn_id: str) -> list[str]:
    """The texts that went to the voice, in order."""
    segments = [event for event in person.of_turn(turn_id) if isinstance(event, SegmentEvent)]
    assert [segment.segment for segment in segments] == list(range(len(segments)))
    return [segment.text for segment in segments]


async def test_a_spoken_sentence_is_understood_and_its_answer_can_be_read_back_from_the_sound(
    home: House, voice: piper.PiperVoice
) -> None:
    async with talker(home.url, audio_in=AudioIn()) as person:
        assert person.socket.ready.ears == "whisper"
        await person.ask("My name is Ada.")  # the first answer says at length that no model is connected
        await person.say(SAID)
        final = await person.hears(FinalEvent)
        assert (final.text, final.language) == (PHRASES[0], "en")
        assert final.turn_id is not None
        done = await person.done(final.turn_id)
        assert done.text == "Hi there! Good to hear you."
        assert " ".join(segments_of(person, final.turn_id)) == done.text
        assert is_audible(person.pcm(final.turn_id))
        chunks = groupby(person.audio(final.turn_id), lambda chunk: chunk[0].segment)
        heard = [from_pcm16(b"".join(sound for _, sound in of_segment)) for _, of_segment in chunks]
        assert [tiny_voice.decode(audio, RATE_HZ) for audio in heard] == [
            phonemes_of(voice, text) for text in segments_of(person, final.turn_id)
        ]


async def test_a_spoken_turn_tells_its_story_in_order_with_one_end_and_a_timeline_that_adds_up(
    home: House,
) -> None:
    async with spying(home) as spy, talker(home.url, audio_in=AudioIn(rate_hz=24000)) as person:
        await person.say(resampled(SAID, 16000, 24000), rate_hz=24000)
        final = await person.hears(FinalEvent)
        assert final.turn_id is not None
        done = await person.done(final.turn_id)
        order = [type(event) for event in person.of(object)]
        marks = [order.index(kind) for kind in (SpeechStartedEvent, FinalEvent, TurnStarted, TurnDone)]
        assert marks == sorted(marks)
        (started,) = person.of(TurnStarted)
        assert started.is_spoken
        await person.play(done)
        await person.ask("Thank you.")
        ends = [event for event in person.of_turn(final.turn_id) if isinstance(event, TurnDone | Interrupted)]
        assert ends == [done]
        assert {error.code for error in person.of(ErrorEvent)} <= {"no_ears"}  # they may be slow to answer
        behind = person.of_turn(final.turn_id)
        behind = behind[behind.index(done) + 1 :]
        assert all(isinstance(event, Flush) for event in behind), "the next turn may come before the end"

        line = done.timeline
        parts = [line.endpoint_ms, line.stt_ms, line.llm_ms, line.tts_ms, line.send_ms]
        assert all(part >= 0 for part in parts), line
        assert sum(parts) == pytest.approx(line.response_ms, abs=0.01)
        heard = await spy.hears(Final, lambda told: told.text == final.text)
        assert heard.endpoint_ms > 300  # the silence that ends a turn, in a microphone's own time
        assert line.endpoint_ms <= heard.endpoint_ms + 0.01  # nobody waited for what came all at once
        # An answer that was begun ahead of the final may be there when it comes.
        assert line.is_speculative or line.llm_ms > 0
        assert line.audio_ms == pytest.approx(1000 * len(person.pcm(final.turn_id)) / RATE_HZ, abs=1)
        assert {stage: report.engine for stage, report in done.engines.items()} == {
            "stt": "whisper", "llm": "companion", "tts": "piper",
        }  # fmt: skip
        assert [stage for stage, report in done.engines.items() if report.is_degraded] == ["llm"]
        assert (done.engines["stt"].model, done.engines["tts"].model) == ("tiny-whisper", "en_US-tiny-low")
