"""What a conversation remembers outlives every process, until it is erased."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.house import STAGES, UNPACED, house
from tests.e2e.talker import talker

pytestmark = pytest.mark.process


async def test_a_name_is_known_after_everything_was_restarted_and_forgotten_once_erased(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, with_models=False, **UNPACED) as home:
        async with talker(home.url) as person:
            await person.ask("My name is Ada.")
            session_id = person.session_id
        by_request = await home.chat("My name is Grace.", include_audio=False)
        assert await home["gateway"].stop() == 0  # what it still had to store is stored

    async with house(tmp_path, with_models=False, **UNPACED) as home:
        async with talker(home.url, session_id=session_id) as person:
            assert (person.socket.ready.is_resumed, person.socket.ready.turns) == (True, 1)
            assert (await person.ask("What is my name?")).text == "You told me that you are Ada."
        said = await home.chat("What is my name?", session_id=by_request["session_id"], include_audio=False)
        assert said["response"] == "You told me that you are Grace."

        erased = await home.http.delete(f"{home.url}/sessions/{session_id}")
        assert erased.status_code == 204
        async with talker(home.url, session_id=session_id) as person:
            assert (person.socket.ready.is_resumed, person.socket.ready.turns) == (False, 0)
            assert "haven't told me your name" in (await person.ask("What is my name?")).text
        again = await home.http.delete(f"{home.url}/sessions/nobody-was-ever-here")
        assert again.status_code == 404


async def test_a_conversation_goes_on_through_a_restart_of_each_process_alone(tmp_path: Path) -> None:
    async with house(tmp_path, with_models=False, **UNPACED) as home:
        session_id = (await home.chat("My name is Ada.", include_audio=False))["session_id"]
        for name in STAGES:
            await home[name].stop()
            await home[name].start()
        await home.until_ready()
        said = await home.chat("What is my name?", session_id=session_id, include_audio=False)
        assert "Ada" in said["response"]
