"""Voices, moods and phrases of a real worker process: which voice is heard is told with each segment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared import subjects
from shared.messages import AudioChunk, AudioFormat, SegmentDone, Synthesize, Timing
from shared.queues import TTS_WORK
from tests.conftest import NatsServer
from tests.tts.test_tts_process import Gateway, gateway, tts_process

pytestmark = pytest.mark.process
ENGLISH, FRENCH = "en_US-tiny-low", "fr_FR-tiny-low"
SENTENCE = "I do not know where the station is."
PHRASE = "Je ne sais pas où est la gare."


class Caller:
    """Asks one worker and waits for each segment's end."""

    def __init__(self, desk: Gateway) -> None:
        self.desk, self.turn = desk, 0

    async def ask(self, text: str, **wishes: Any) -> tuple[SegmentDone, list[AudioChunk], list[Timing]]:
        self.turn += 1
        turn = self.turn
        usual: dict[str, Any] = {
            "language": "en",
            "audio": AudioFormat(rate_hz=22050),
            "remaining_ms": 60_000,
        }
        item = Synthesize(gw="gw", sid="sid", turn=turn, attempt=1, segment=0, text=text, **(usual | wishes))
        self.desk.heard.clear()
        await self.desk.bus.enqueue(subjects.work("tts", "gw", "sid"), item, message_id=f"sid:{turn}")
        await self.desk.until(lambda: turn in self.desk.done_turns())
        own = [message for message in self.desk.heard if getattr(message, "turn", None) == turn]
        (done,) = (message for message in own if isinstance(message, SegmentDone))
        return (
            done,
            [message for message in own if isinstance(message, AudioChunk)],
            [message for message in own if isinstance(message, Timing)],
        )


async def test_the_voice_follows_its_name_and_without_one_the_language_of_the_text(
    nats_server: NatsServer, tiny_voices: Path
) -> None:
    async with gateway(nats_server) as desk, tts_process(nats_server, tiny_voices):
        await desk.until(lambda: desk.facts and desk.facts[-1].state == "ready")
        await desk.bus.declare(TTS_WORK)
        caller = Caller(desk)
        for text, wishes, voice in (
            (SENTENCE, {}, ENGLISH),
            (PHRASE, {}, FRENCH),
            (PHRASE, {"language": ""}, FRENCH),
            ("Bonjour !", {}, ENGLISH),
            (SENTENCE, {"language": "fr"}, ENGLISH),
            (SENTENCE, {"voice": FRENCH}, FRENCH),
            (PHRASE, {"voice": ENGLISH}, ENGLISH),
            (SENTENCE, {"voice": "eva-fr"}, FRENCH),
            (PHRASE, {"voice": "eva"}, FRENCH),
            (SENTENCE, {"voice": "nobody", "language": "en"}, ENGLISH),
            (SENTENCE, {"voice": "en-us+f3"}, "en-us+f3"),
        ):
            done, chunks, _ = await caller.ask(text, **wishes)
            assert done.model == voice, (text, wishes)
            assert chunks
            assert done.is_degraded is (voice == "en-us+f3")


async def test_a_mood_of_the_configuration_is_heard(nats_server: NatsServer, tiny_voices: Path) -> None:
    moods = '{"sleepy": {"length": 1.35}}'
    async with gateway(nats_server) as desk, tts_process(nats_server, tiny_voices, EVA_TTS_MOODS=moods):
        await desk.until(lambda: desk.facts and desk.facts[-1].state == "ready")
        await desk.bus.declare(TTS_WORK)
        caller = Caller(desk)
        neutral, sleepy, unknown = [
            (await caller.ask(SENTENCE, mood=mood))[0].samples for mood in ("", "sleepy", "ennui")
        ]
    assert sleepy > 1.15 * neutral
    assert unknown == pytest.approx(neutral, rel=0.02)


async def test_a_phrase_of_evas_own_is_made_once_and_is_told_to_be_kept(
    nats_server: NatsServer, tiny_voices: Path
) -> None:
    async with gateway(nats_server) as desk, tts_process(nats_server, tiny_voices):
        await desk.until(lambda: desk.facts and desk.facts[-1].state == "ready")
        await desk.bus.declare(TTS_WORK)
        caller = Caller(desk)
        made, again = [await caller.ask("One moment.", reuse="will") for _ in range(2)]
        assert (made[0].is_cached, again[0].is_cached) == (False, True)
        assert [chunk.data for chunk in made[1]] == [chunk.data for chunk in again[1]]
        assert [timing.words for timing in made[2]] == [timing.words for timing in again[2]]
        assert (again[0].engine, again[0].model) == (made[0].engine, made[0].model)
        anew = await caller.ask("One moment.", reuse="never")
        assert not anew[0].is_cached
        glad = await caller.ask("One moment.", reuse="will", mood="joy")
        assert not glad[0].is_cached
        await desk.until(lambda: desk.facts[-1].numbers.get("phrases") == 2)
        assert desk.facts[-1].numbers["phrase_hits"] == 1
        assert desk.facts[-1].numbers["phrase_bytes"] > 0
