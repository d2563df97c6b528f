"""The real SDKs against a real socket: what a provider can do wrong becomes one kind of failure, in time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from services.llm.completions import Patience
from services.llm.engine import Mind, MindFailed, Question, Usage
from services.llm.groq import GroqMind
from services.llm.openai_compatible import OpenAiCompatible
from shared.messages import ChatMessage
from tests.fakes.provider import STALL_S, FakeProvider, Reply, black_hole, refusing_port

ASK = [ChatMessage(role="user", content="Hello?")]
PATIENT = Patience(connect_s=20.0, first_token_s=20.0, between_tokens_s=20.0, prove_s=20.0)
"""However slow the machine: a deadline is met only by whoever is asked for it."""
NO_CONNECTION = replace(PATIENT, connect_s=1.0, prove_s=1.0)
NO_FIRST_TOKEN = replace(PATIENT, first_token_s=1.5)
NO_NEXT_TOKEN = replace(PATIENT, between_tokens_s=2.5)
Make = Callable[..., Mind]


def groq(root: str, patience: Patience = PATIENT, key: str = "gsk_test") -> Mind:
    return GroqMind(api_key=key, base_url=root, model="llama-test", max_tokens=50, patience=patience)


def compatible(root: str, patience: Patience = PATIENT, model: str = "m", key: str = "") -> Mind:
    return OpenAiCompatible(
        base_url=f"{root}/v1", ports=(), api_key=key, model=model, max_tokens=50, patience=patience
    )


BOTH = pytest.mark.parametrize("make", [groq, compatible])


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


async def failure(mind: Mind) -> tuple[MindFailed, str]:
    """Returns how it failed and what came before."""
    texts: list[str] = []

    async def read() -> None:
        async for piece in mind.stream(Question(messages=ASK)):
            texts.extend([piece] if isinstance(piece, str) else [])

    with pytest.raises(MindFailed) as caught:
        await read()
    return caught.value, "".join(texts)


@BOTH
async def test_an_answer_streams_with_what_it_cost(make: Make) -> None:
    async with FakeProvider() as provider, closing(make(provider.root)) as mind:
        assert await told(mind) == ("Hello there. How are you?", Usage(input_tokens=11, output_tokens=7))
        asked = provider.requests[0].body
        assert asked["stream"] is True
        assert asked["messages"] == [{"role": "user", "content": "Hello?"}]


async def test_each_sdk_uses_its_own_path() -> None:
    async with FakeProvider() as provider:
        for make in (groq, compatible):
            async with closing(make(provider.root)) as mind:
                await told(mind)
    assert [request.path for request in provider.requests] == [
        "/openai/v1/chat/completions",
        "/v1/chat/completions",
    ]


@BOTH
async def test_characters_that_arrive_in_halves_are_put_together(make: Make) -> None:
    reply = Reply(tokens=("Où ", "ça ? ", "你好", " 😊"), slice_bytes=3)
    async with FakeProvider(reply) as provider, closing(make(provider.root)) as mind:
        assert (await told(mind))[0] == "Où ça ? 你好 😊"


@BOTH
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=500), "answered 500"),
        (Reply(status=503), "answered 503"),
        (Reply(status=404), "answered 404"),
        (Reply(raw=b"data: {not json\n\n"), "no chat completion"),
        (Reply(raw=b"data: \xff\xfe\n\n"), "no chat completion"),
    ],
)
async def test_a_broken_answer_is_a_failure_with_a_reason(make: Make, reply: Reply, reason: str) -> None:
    async with FakeProvider(reply) as provider, closing(make(provider.root)) as mind:
        error, text = await failure(mind)
        assert reason in str(error)
        assert text == ""
        assert len(provider.requests) == 1, "the SDK must not try again by itself"


@BOTH
@pytest.mark.parametrize(
    "raw", [b"", b"data: 7\n\n", b'data: {"choices": null}\n\n', b"data: []\n\ndata: [DONE]\n\n"]
)
async def test_an_answer_without_text_is_no_text_and_no_crash(make: Make, raw: bytes) -> None:
    async with FakeProvider(Reply(raw=raw)) as provider, closing(make(provider.root)) as mind:
        text = ""
        with contextlib.suppress(MindFailed):
            text, _ = await told(mind)
        assert text == ""


@BOTH
async def test_a_refused_key_says_which_setting_to_mend(make: Make) -> None:
    async with (
        FakeProvider(Reply(status=401), models_status=401) as provider,
        closing(make(provider.root)) as mind,
    ):
        error, _ = await failure(mind)
        assert "was refused (401)" in error.reason
        assert ".env" in error.hint
        with pytest.raises(MindFailed, match=r"KEY was refused \(401\)"):
            await mind.prove()


@BOTH
async def test_too_many_requests_tells_when_to_come_back(make: Make) -> None:
    reply = Reply(status=429, headers=(("retry-after", "7"),))
    async with FakeProvider(reply) as provider, closing(make(provider.root)) as mind:
        assert (await failure(mind))[0].retry_after_s == 7.0


async def test_an_unreadable_retry_after_is_no_retry_after() -> None:
    reply = Reply(status=429, headers=(("retry-after", "soon"),))
    async with FakeProvider(reply) as provider, closing(groq(provider.root)) as mind:
        assert (await failure(mind))[0].retry_after_s is None


@BOTH
async def test_nobody_at_the_port_is_known_at_once(make: Make) -> None:
    async with closing(make(f"http://127.0.0.1:{refusing_port()}")) as mind:
        began = time.monotonic()
        error, _ = await failure(mind)
        assert "could not be reached" in str(error)
        assert time.monotonic() - began < 30.0


@BOTH
async def test_a_black_hole_costs_the_connect_deadline(make: Make) -> None:
    with black_hole() as port:
        async with closing(make(f"http://127.0.0.1:{port}", NO_CONNECTION)) as mind:
            began = time.monotonic()
            error, _ = await failure(mind)
            assert error.reason
            assert time.monotonic() - began < 30.0


@BOTH
async def test_silence_before_the_first_token_ends_at_the_deadline(make: Make) -> None:
    async with (
        FakeProvider(Reply(first_delay_s=STALL_S)) as provider,
        closing(make(provider.root, NO_FIRST_TOKEN)) as mind,
    ):
        began = time.monotonic()
        error, _ = await failure(mind)
        assert "no first token within 1.5 s" in str(error)
        assert time.monotonic() - began < 30.0
        async with asyncio.timeout(60):
            await provider.requests[0].is_gone.wait()


@BOTH
async def test_silence_in_mid_answer_ends_at_the_deadline(make: Make) -> None:
    async with (
        FakeProvider(Reply(stall_after=3)) as provider,
        closing(make(provider.root, NO_NEXT_TOKEN)) as mind,
    ):
        error, text = await failure(mind)
        assert "no next token within 2.5 s" in str(error)
        assert text == "Hello there."


@BOTH
async def test_a_connection_that_breaks_in_mid_answer_is_a_failure(make: Make) -> None:
    async with FakeProvider(Reply(cut_after=2)) as provider, closing(make(provider.root)) as mind:
        error, text = await failure(mind)
        assert error.reason
        assert text == "Hello there"


@BOTH
async def test_an_error_object_in_mid_answer_is_a_failure(make: Make) -> None:
    async with FakeProvider(Reply(error_after=2)) as provider, closing(make(provider.root)) as mind:
        _, text = await failure(mind)
        assert text == "Hello there"


async def test_groq_says_in_its_own_field_that_it_stopped_early() -> None:
    async with FakeProvider(Reply(groq_error_after=1)) as provider, closing(groq(provider.root)) as mind:
        error, text = await failure(mind)
        assert "over_capacity" in str(error)
        assert text == "Hello"


@BOTH
async def test_a_turn_with_little_time_left_waits_no_longer_than_that(make: Make) -> None:
    async with FakeProvider(Reply(first_delay_s=STALL_S)) as provider, closing(make(provider.root)) as mind:
        began = time.monotonic()
        with pytest.raises(MindFailed):
            await told(mind, remaining_s=0.05)
        assert time.monotonic() - began < 30.0


@BOTH
async def test_leaving_an_answer_ends_the_request(make: Make) -> None:
    reply = Reply(delay_s=0.02, tokens=("word ",) * 500)
    async with FakeProvider(reply) as provider, closing(make(provider.root)) as mind:
        async with contextlib.aclosing(mind.stream(Question(messages=ASK))) as pieces:
            await anext(pieces)
        async with asyncio.timeout(60):
            await provider.requests[0].is_gone.wait()


@BOTH
async def test_a_proof_lists_the_models_and_keeps_the_connection(make: Make) -> None:
    async with FakeProvider() as provider, closing(make(provider.root)) as mind:
        await mind.prove()
        assert provider.listings == 1
        await told(mind)


@BOTH
async def test_a_proof_against_a_black_hole_fails_in_time(make: Make) -> None:
    with black_hole() as port:
        async with closing(make(f"http://127.0.0.1:{port}", NO_CONNECTION)) as mind:
            with pytest.raises(MindFailed):
                async with asyncio.timeout(60):
                    await mind.prove()


async def test_a_proof_lets_a_server_load_its_model() -> None:
    patience = replace(PATIENT, prove_s=4.0)
    async with FakeProvider() as provider, closing(compatible(provider.root, patience)) as mind:
        await mind.prove()
        assert provider.warm_ups == 1
        provider.load_s = 600.0
        async with asyncio.timeout(60):
            await mind.prove()  # still loading is no failure


async def test_a_server_that_cannot_load_its_model_is_not_proven() -> None:
    async with FakeProvider(Reply(status=500)) as provider, closing(compatible(provider.root)) as mind:
        with pytest.raises(MindFailed, match="answered 500"):
            await mind.prove()


async def test_the_key_is_sent_and_the_model_asked_for() -> None:
    async with (
        FakeProvider() as provider,
        closing(compatible(provider.root, key="sk-1", model="big")) as mind,
    ):
        await told(mind)
        assert provider.requests[0].headers["authorization"] == "bearer sk-1"
        assert provider.requests[0].body["model"] == "big"


async def test_a_line_without_end_is_bounded_by_the_deadline() -> None:
    line = b'data: {"choices":[{"delta":{"content":"' + b"x" * 10_000_000
    async with (
        FakeProvider(Reply(raw=line, slice_bytes=65_536)) as provider,
        closing(groq(provider.root)) as mind,
    ):
        with contextlib.suppress(MindFailed):
            assert (await told(mind))[0] == ""
