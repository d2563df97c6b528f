"""Finding a server and its model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from services.llm import discover as discover_module
from services.llm.completions import Patience
from services.llm.discover import discover
from services.llm.engine import Mind, MindFailed, Question, Usage
from services.llm.openai_compatible import OpenAiCompatible
from shared.messages import ChatMessage
from tests.fakes.provider import FakeProvider, black_hole, refusing_port

ASK = [ChatMessage(role="user", content="Hello?")]
PATIENT = Patience(connect_s=20.0, first_token_s=20.0, between_tokens_s=20.0, prove_s=20.0)
Make = Callable[..., Mind]


def compatible(root: str, patience: Patience = PATIENT, model: str = "m", key: str = "") -> Mind:
    return OpenAiCompatible(
        base_url=f"{root}/v1", ports=(), api_key=key, model=model, max_tokens=50, patience=patience
    )


@contextlib.asynccontextmanager
async def closing(mind: Mind) -> AsyncIterator[Mind]:
    try:
        yield mind
    finally:
        await mind.close()


async def told(mind: Mind, remaining_s: float = 60.0) -> tuple[str, Usage | None]:
    text, usage = "", None
    async with contextlib.aclosing(
        mind.stream(Question(messages=ASK, language="en", remaining_s=remaining_s))
    ) as pieces:
        async for piece in pieces:
            if isinstance(piece, Usage):
                usage = piece
            elif isinstance(piece, str):
                text += piece
    return text, usage


async def test_without_a_model_the_first_that_can_talk_is_taken() -> None:
    models = ("nomic-embed-text", "llama3.2", "qwen3")
    async with FakeProvider(models=models) as provider, closing(compatible(provider.root, model="")) as mind:
        await told(mind)
        assert mind.model == "llama3.2"
        assert provider.requests[0].body["model"] == "llama3.2"


async def test_a_server_without_models_says_how_to_get_one() -> None:
    async with FakeProvider(models=()) as provider, closing(compatible(provider.root, model="")) as mind:
        with pytest.raises(MindFailed, match="no model") as caught:
            await mind.prove()
        assert "ollama pull" in caught.value.hint


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is there may take its time to say so."""
    monkeypatch.setattr(discover_module, "CONNECT_S", 20.0)
    monkeypatch.setattr(discover_module, "ANSWER_S", 20.0)


@pytest.mark.usefixtures("patient")
async def test_a_local_server_is_found_where_it_usually_listens() -> None:
    async with FakeProvider(models=()) as empty, FakeProvider() as provider:
        nobody = refusing_port()
        assert await discover([nobody, empty.port, provider.port]) == provider.base_url
        assert await discover([nobody, empty.port]) == ""


async def test_some_other_web_server_is_not_taken_for_a_model() -> None:
    async with FakeProvider(models_status=404) as other:
        assert await discover([other.port]) == ""
    assert await discover([]) == ""


async def test_a_black_hole_does_not_hold_up_the_search() -> None:
    with black_hole() as port:
        began = time.monotonic()
        assert await discover([port]) == ""
        assert time.monotonic() - began < 20.0


@pytest.mark.usefixtures("patient")
async def test_a_server_started_later_is_found_by_the_next_proof() -> None:
    provider = FakeProvider()
    provider.port = refusing_port()
    mind = OpenAiCompatible(
        base_url="", ports=(provider.port,), api_key="", model="", max_tokens=9, patience=PATIENT
    )
    async with closing(mind):
        with pytest.raises(MindFailed, match="no server found") as caught:
            await mind.prove()
        assert caught.value.is_absent
        assert "GROQ_API_KEY" in caught.value.hint
        async with provider:
            await mind.prove()
            assert (await told(mind))[0] == "Hello there. How are you?"
