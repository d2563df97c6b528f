"""A conversation that has outgrown its context goes on with its beginning in short, also after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import POLL_S, UNPACED, house
from tests.e2e.talker import talker
from tests.fakes.provider import FakeProvider, Reply

pytestmark = pytest.mark.process

NOTES = "Ada likes trains."
LONG = "I will tell you more about the trains that I have seen on my way to the sea. " * 4


async def test_what_fell_off_comes_back_in_short(tmp_path: Path) -> None:
    async with FakeProvider(Reply(tokens=(NOTES,)), is_steady=True) as provider:

        def told() -> list[str]:
            """What the model was told in its last turn."""
            turns = [each for each in asked(provider) if "keep the notes" not in each[0]["content"]]
            return [message["content"] for message in turns[-1]]

        async with house(
            tmp_path,
            with_models=False,
            EVA_LLM_BASE_URL=provider.base_url,
            EVA_LLM_SUMMARY="true",
            EVA_LLM_CONTEXT_TOKENS="700",
            **UNPACED,
        ) as home:
            async with talker(home.url) as person:
                await person.ask("My name is Ada.")
                while not any("Ada" in each[1]["content"] for each in summaries(provider)):
                    await person.ask(LONG)
                    assert len(provider.requests) < 100
                    await asyncio.sleep(POLL_S)
                while NOTES not in told()[1]:
                    await person.ask("And now?")
                    assert len(provider.requests) < 100
                assert "My name is Ada." not in told()
                session_id = person.session_id
            await home["gateway"].stop()
            await home["gateway"].start()
            await home.until_ready()
            async with talker(home.url, session_id=session_id) as person:
                await person.ask("Where were we?")
                assert NOTES in told()[1]
                assert told()[-1].startswith("Where were we?")


def asked(provider: FakeProvider) -> list[Any]:
    """The messages of all chat completions that were streamed, each once: a turn may be begun again."""
    return [request.body["messages"] for request in provider.questions if request.body.get("stream")]


def summaries(provider: FakeProvider) -> list[Any]:
    """Those that ask for a summary."""
    return [each for each in asked(provider) if "keep the notes" in each[0]["content"]]
