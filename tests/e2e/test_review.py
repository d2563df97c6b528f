"""``eva review`` of a whole EVA, well and broken. Machines may be slow: no test needs a good latency."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eva.chat_client import NotRunning
from eva.review import ReviewOptions, review
from eva.review_break import NotOurs
from eva.review_judge import is_beginning
from eva.review_limits import parse_limit
from eva.review_probes import NAMES, interruption
from eva.wav import Sound
from tests.e2e.house import UNPACED, House, house
from tests.fakes.provider import FakeProvider, Reply
from tests.fakes.speech import speech
from tests.models.tiny_whisper import PHRASES

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
WELL = Reply(tokens=("You", " must", " be", *(f" {name}," for name in NAMES), " I", " think."))
"""The provider reads nothing: it names everybody whom a review may be, and so seems to remember."""
FORGETFUL = Reply(tokens=("I", " am", " very", " well,", " thank", " you."))
STORY = Reply(tokens=tuple(f" number {count} is a very nice one, I think." for count in range(1, 40)))
LATE = Reply(tokens=WELL.tokens, first_delay_s=3.0)
"""More than twice the objective on any machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(is_steady=True) as provider:
        provider.replies = [WELL]
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("home")
    variables = {"EVA_LLM_BASE_URL": provider.base_url, "EVA_TURN_S": "20"}
    async with house(folder, **variables, **UNPACED) as home:
        yield home


async def reviewed(folder: Path, url: str, **wishes: Any) -> tuple[int, dict[str, Any]]:
    """The exit code of a short review, and what it wrote into its history."""
    code = await review(ReviewOptions(url=url, folder=folder, data_dir=folder, turns=2, **wishes))
    newest = max(name for name in files(folder) if name.endswith(".json"))
    made: dict[str, Any] = json.loads((folder / newest).read_bytes())
    assert (code == 1) == bool(made["blockers"] or made["limits_broken"])
    return code, made


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def points(made: dict[str, Any]) -> dict[str, float]:
    return {row["name"]: row["points"] for row in made["rows"]}


@contextlib.asynccontextmanager
async def claiming(url: str, health: bytes) -> AsyncIterator[str]:
    """A front before an EVA: answers each ``GET /health`` with what it was told, and passes on the rest."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

    serving: set[asyncio.Task[None]] = set()

    async def back(answer: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(client):
            while data := await answer.read(65_536):
                client.write(data)
                await client.drain()

    async def serve(request: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())  # type: ignore[arg-type]  # there is one
        with contextlib.suppress(ConnectionError), contextlib.closing(client):
            answer, eva = await asyncio.open_connection(host, int(port))
            passing = asyncio.create_task(back(answer, client))
            serving.add(passing)
            with contextlib.closing(eva):
                while data := await request.read(65_536):
                    is_asked = data.startswith(b"GET /health ")
                    (client if is_asked else eva).write(head % len(health) + health if is_asked else data)
                    await (client if is_asked else eva).drain()
            await passing

    server = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def test_an_eva_that_is_well_has_its_points_and_a_second_review_tells_what_a_slow_mind_changed(
    home: House, provider: FakeProvider, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.replies = [WELL]
    code, made = await reviewed(tmp_path, home.url)
    had = points(made)
    assert (had["health"], had["audible"]) == (10, 10), made["rows"]
    assert not {"health", "audible", "gpu", "fallback", "memory"} & set(made["blockers"]), made["rows"]
    assert had["memory"] == 5
    assert (made["since"], len(made["turns"]), made["engines"]["tts"].split()[0]) == ("", 2, "piper")
    shown = capsys.readouterr().out
    assert "Audio really audible" in shown
    assert made["verdict"].upper() in shown

    provider.replies = [LATE]
    code, slow = await reviewed(tmp_path, home.url, limits=(parse_limit("llm_p50>2s"),))
    assert code == 1
    assert {"llm", "first_token", "typed_response"} <= set(slow["blockers"])
    assert "audible" not in slow["blockers"]
    assert slow["since"] == made["at"]
    assert {"llm", "first_token"} - set(made["blockers"]) <= set(slow["regressions"])
    assert len(slow["limits_broken"]) == 1
    shown = capsys.readouterr().out
    assert [name for name in slow["regressions"] if f"regression: {name} " not in shown] == []
    assert len(files(tmp_path)) == 4


async def test_somebody_who_speaks_into_a_long_answer_is_seen_to_stop_it(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [STORY, FORGETFUL]
    saw = await interruption(home.url, Sound(rate_hz=16000, pcm=speech(PHRASES[0]).tobytes()))
    assert saw.error == ""
    assert saw.stopped_ms is not None
    assert saw.ended_ms is not None
    assert 0 <= saw.stopped_ms <= saw.ended_ms
    assert is_beginning(saw.kept, saw.text)


async def test_what_is_not_this_machines_eva_is_not_broken(home: House, tmp_path: Path) -> None:
    with pytest.raises(NotOurs):
        await review(ReviewOptions(url=home.url, folder=tmp_path, data_dir=tmp_path, breaks=True))


async def test_where_nobody_answers_there_is_no_review(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        await review(ReviewOptions(url="http://127.0.0.1:9", folder=tmp_path, data_dir=tmp_path))
    assert files(tmp_path) == []


async def test_a_mute_and_forgetful_eva_that_claims_health_is_blocked_and_named_a_liar(
    home: House, provider: FakeProvider, tmp_path: Path
) -> None:
    """The last one: the voice is gone for good."""
    provider.replies = [FORGETFUL]
    healthy = json.dumps(await home.health_when(lambda health: health["status"] == "healthy")).encode()
    await home["tts"].kill()
    await home.health_when(lambda health: health["status"] == "unhealthy")
    async with claiming(home.url, healthy) as url:
        code, made = await reviewed(tmp_path, url)
    assert code == 1
    assert {"audible", "health", "interruption", "memory"} <= set(made["blockers"])
    (lie,) = [row["why"] for row in made["rows"] if row["name"] == "health"]
    assert "healthy, but 2 of 2 turns were not heard" in lie
