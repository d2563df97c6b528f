"""What people say stays out of the logs: a canary phrase goes through every part and is found in none."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.gateway.chat_protocol import AudioIn, FinalEvent
from tests.e2e.house import UNPACED, House, house
from tests.e2e.talker import talker
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import speech
from tests.models.tiny_whisper import PHRASES

pytestmark = pytest.mark.process
TYPED = "xylophone marmalade"
ANSWERED = "quixotic zeppelin"
SPOKEN = PHRASES[0]


def told(home: House) -> dict[str, str]:
    """The log of each process, and the broker's own."""
    logs = {name: service.said() for name, service in home.services.items()}
    return logs | {file.name: file.read_text() for file in (home.folder / "broker").glob("nats.*")}


async def test_no_word_of_a_person_or_of_an_answer_is_in_any_log(tmp_path: Path) -> None:
    reply = Reply(tokens=("The ", ANSWERED, " said: ", TYPED, "."))
    async with (
        FakeProvider(reply) as provider,
        house(tmp_path, EVA_LLM_BASE_URL=provider.base_url, **UNPACED) as home,
    ):
        async with talker(home.url, audio_in=AudioIn()) as person:
            assert ANSWERED in (await person.ask(f"My name is {TYPED}.")).text
            await person.say(speech(SPOKEN))
            final = await person.hears(FinalEvent)
            assert final.text == SPOKEN
            assert final.turn_id is not None
            await person.done(final.turn_id)
            await home["tts"].kill()  # what fails must not tell either
            await person.type(f"And {TYPED} again.")
            await home["tts"].start()
            await home["llm"].kill()
            await person.type(f"Once more, {TYPED}.")
            await home["llm"].start()
            await person.end_of(await person.type(f"The last {TYPED}."))
        await home.http.post(f"{home.url}/tts", json={"text": TYPED, "speed": "fast"})
        await home.http.post(f"{home.url}/chat", json={"message": TYPED, "session_id": "a b"})
        metrics = (await home.http.get(f"{home.url}/metrics")).text
        logs = told(home) | {"metrics": metrics, "health": str(await home.health())}
    assert "worker.ready" in logs["llm"]
    for words in (SPOKEN, *TYPED.split(), *ANSWERED.split()):
        assert [name for name, text in logs.items() if words in text] == []


async def test_whoever_asks_for_the_words_finds_them_at_debug(tmp_path: Path) -> None:
    async with house(tmp_path, EVA_LOG_LEVEL="DEBUG", **UNPACED) as home:
        async with talker(home.url) as person:
            await person.ask(f"My name is {TYPED}.")
        await home["gateway"].stop()
        assert TYPED in home["gateway"].said()
