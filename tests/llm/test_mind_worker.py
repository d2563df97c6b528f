"""The worker on a bus: what it tells the gateway and hands to the voice."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from services.llm.companion_mind import CompanionMind
from services.llm.engine import Usage
from shared.messages import ChatMessage, MindDone, Synthesize, TextDelta, Working
from tests.fakes.mind_stage import generate, stage
from tests.fakes.minds import ScriptedMind
from tests.fakes.virtual_time import virtual_time

NOW = datetime(2026, 11, 21, 9, 5)  # noqa: DTZ001 - local time


@virtual_time
async def test_a_turn_becomes_captions_segments_and_a_report() -> None:
    mind = ScriptedMind("Hello", " there", ".", " How", " are you?", Usage(input_tokens=5, output_tokens=6))
    async with stage(mind) as at:
        await at.ask(generate(voice="amy", speed=1.5))
        await at.until(MindDone)
    assert at.text == "Hello there. How are you?"
    assert at.segments == ["Hello there.", "How are you?"]
    items = [message for message in at.of(Synthesize) if isinstance(message, Synthesize)]
    assert [item.segment for item in items] == [0, 1]
    assert {(item.turn, item.attempt, item.take, item.voice, item.speed) for item in items} == {
        (1, 1, 1, "amy", 1.5)
    }
    assert all(0 < item.remaining_ms <= 30_000 for item in items)
    deltas = [message for message in at.of(TextDelta) if isinstance(message, TextDelta)]
    assert [delta.seq for delta in deltas] == list(range(len(deltas)))
    assert (at.done.deltas, at.done.segments) == (len(deltas), 2)
    assert (at.done.engine, at.done.model, at.done.is_degraded) == ("scripted", "scripted-model", False)
    assert (at.done.input_tokens, at.done.output_tokens) == (5, 6)
    assert isinstance(at.seen[0][1], Working)
    assert at.worker.facts().done == 1
    assert at.worker.facts().detail == "last answer by scripted"


@virtual_time
async def test_a_segment_goes_before_the_caption_that_completed_it() -> None:
    async with stage(ScriptedMind("Hello there. How", " are you?")) as at:
        await at.ask(generate())
        await at.until(MindDone)
    kinds = [type(message) for _, message in at.seen if isinstance(message, Synthesize | TextDelta)]
    assert kinds[0] is Synthesize


@virtual_time
async def test_the_first_caption_goes_at_once_and_later_ones_are_gathered() -> None:
    words = [f"word{number} " for number in range(50)]
    steps = [step for word in words for step in (word, 0.01)]
    async with stage(ScriptedMind(*steps)) as at:
        await at.ask(generate(audio=None))
        await at.until(MindDone)
    assert at.when(TextDelta) < 0.02
    assert 9 <= len(at.of(TextDelta)) <= 16
    assert at.text == "".join(words)
    assert at.segments == []


@virtual_time
async def test_signs_of_life_come_at_once_and_each_quarter_of_a_second() -> None:
    async with stage(ScriptedMind(0.85, "Yes.")) as at:
        await at.ask(generate())
        await at.until(MindDone)
        await asyncio.sleep(3)
    beats = [message.beat for message in at.of(Working) if isinstance(message, Working)]
    assert beats == [0, 1, 2, 3]
    assert at.when(Working) < 0.1


@virtual_time
async def test_a_mind_that_pauses_in_mid_sentence_does_not_hold_up_the_voice() -> None:
    async with stage(ScriptedMind("Paris lies on the Seine riv", 1.5, "er bank.")) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.segments == ["Paris lies on the Seine", "river bank."]
    assert at.when(Synthesize) == pytest.approx(0.3, abs=0.02)


@virtual_time
async def test_a_whole_sentence_does_not_wait_for_what_follows() -> None:
    async with stage(ScriptedMind("I am here.", 1.0, " And you?")) as at:
        await at.ask(generate())
        await at.until(MindDone)
    assert at.when(Synthesize) < 0.1


@virtual_time
async def test_the_next_attempt_goes_on_behind_what_was_spoken() -> None:
    mind = ScriptedMind("And then we left.")
    async with stage(mind) as at:
        await at.ask(generate(attempt=2, spoken="Well, I think so.", first_segment=1))
        await at.until(MindDone)
    assert mind.asked[0][-1] == ChatMessage(role="assistant", content="Well, I think so.")
    (item,) = at.of(Synthesize)
    assert isinstance(item, Synthesize)
    assert (item.segment, item.attempt, item.text) == (1, 2, "And then we left.")
    assert at.done.segments == 2


@virtual_time
async def test_a_mind_that_begins_again_is_not_heard_twice() -> None:
    mind = ScriptedMind("Well, ", "I think so.", " And then", " we left.")
    async with stage(mind) as at:
        await at.ask(generate(attempt=2, spoken="Well, I think so.", first_segment=1))
        await at.until(MindDone)
    assert at.segments == ["And then we left."]


@virtual_time
async def test_the_companion_goes_on_behind_its_own_words() -> None:
    async with stage(CompanionMind(lambda: NOW)) as at:
        await at.ask(generate("hello"))
        await at.until(MindDone)
        whole = at.segments
        at.seen.clear()
        await at.ask(generate("hello", attempt=2, spoken=" ".join(whole[:2]), first_segment=2))
        await at.until(MindDone)
        assert " ".join(whole[:2] + at.segments) == " ".join(whole)
        assert at.done.segments == 2 + len(at.segments)


@virtual_time
async def test_an_answer_with_nothing_to_say_is_still_spoken() -> None:
    async with stage(ScriptedMind("👍")) as at:
        await at.ask(generate(language="fr"))
        await at.until(MindDone)
    assert at.text == "👍"
    assert at.segments == ["D'accord."]


@virtual_time
@pytest.mark.parametrize(
    ("said", "language", "voice"),
    [
        ("Quelle heure est-il ?", "", "fr"),
        ("What time is it?", "", "en"),
        ("Hm", "", ""),
        ("Hello", "fr", "fr"),
    ],
)
async def test_the_voice_is_told_the_language_of_the_person(said: str, language: str, voice: str) -> None:
    async with stage(ScriptedMind("Yes.")) as at:
        await at.ask(generate(said, language=language))
        await at.until(MindDone)
    (item,) = at.of(Synthesize)
    assert isinstance(item, Synthesize)
    assert item.language == voice


@virtual_time
async def test_what_looked_like_a_repetition_and_was_none_is_said_at_the_end() -> None:
    async with stage(ScriptedMind("Well, I")) as at:
        await at.ask(generate(attempt=2, spoken="Well, I think so.", first_segment=1))
        await at.until(MindDone)
    assert at.segments == ["Well, I"]
