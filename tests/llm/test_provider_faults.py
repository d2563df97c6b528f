"""All that a provider can do wrong, against both SDKs on real sockets: one kind of failure, in time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from services.llm.completions import Patience
from services.llm.engine import Fault, Mind, MindFailed, Question
from services.llm.groq import GroqMind
from services.llm.openai_compatible import OpenAiCompatible
from shared.messages import ChatMessage
from tests.fakes.provider import FAULTS, STALL_S, Call, FakeProvider, Reply

ASK = [ChatMessage(role="user", content="Hello?")]
PATIENT = Patience(connect_s=20.0, first_token_s=20.0, between_tokens_s=20.0)
IMPATIENT = {
    "no answer at all": Patience(connect_s=20.0, first_token_s=0.3),
    "200, then silence": Patience(connect_s=20.0, first_token_s=0.3),
    "stall in mid-answer": Patience(connect_s=20.0, first_token_s=20.0, between_tokens_s=2.5),
}
"""The deadline that is meant, and no other: a crowded machine must not meet one before it."""
NET_S = 60.0
"""Never: whatever hangs hangs for an hour."""
Make = Callable[[str, Patience], Mind]


def groq(root: str, patience: Patience) -> Mind:
    return GroqMind(api_key="gsk_test", base_url=root, model="m", max_tokens=50, patience=patience)


def compatible(root: str, patience: Patience) -> Mind:
    return OpenAiCompatible(
        base_url=f"{root}/v1", ports=(), api_key="", model="m", max_tokens=50, patience=patience
    )


BOTH = pytest.mark.parametrize("make", [groq, compatible])


@contextlib.asynccontextmanager
async def talking(reply: Reply, make: Make, patience: Patience) -> AsyncIterator[tuple[FakeProvider, Mind]]:
    async with FakeProvider(reply) as provider:
        mind = make(provider.root, patience)
        try:
            yield provider, mind
        finally:
            await mind.close()
        async with asyncio.timeout(NET_S):
            await provider.deserted()


async def ended(mind: Mind, question: Question | None = None) -> tuple[str, MindFailed | None]:
    """Returns the text that came, and how it failed if it did."""
    text = ""
    try:
        async with asyncio.timeout(NET_S):
            async with contextlib.aclosing(mind.stream(question or Question(messages=ASK))) as pieces:
                async for piece in pieces:
                    text += piece if isinstance(piece, str) else ""
    except MindFailed as failed:
        return text, failed
    return text, None


ENDS: dict[str, tuple[str, Fault | None]] = {
    "429, come back in 1 s": ("", "rate_limited"),
    "429, come back in 10 min": ("", "rate_limited"),
    "500": ("", "status"),
    "503": ("", "status"),
    "no answer at all": ("", "timeout"),
    "200, then silence": ("", "timeout"),
    "stall in mid-answer": ("Hello there. How", "timeout"),
    "connection cut in mid-answer": ("Hello there. How", "broken"),
    "error in mid-answer": ("Hello there. How", "broken"),
    "Groq's error in mid-answer": ("Hello there. How", "broken"),
    "garbage": ("", "garbage"),
    "no UTF-8": ("", "garbage"),
    "characters in halves": ("Où ça ? 你好 😊", None),
    "no [DONE]": ("Hello there. How are you?", None),
    "no end of the stream": ("Hello there. How are you?", None),
    "a line of 10 MB": ("", "garbage"),
    "empty answer": ("", None),
}


def test_no_fault_is_left_out() -> None:
    assert {*ENDS, "endless repetition"} == {*FAULTS}


@BOTH
@pytest.mark.parametrize("name", ENDS)
async def test_every_fault_ends_in_time_under_its_name(make: Make, name: str) -> None:
    async with talking(FAULTS[name], make, IMPATIENT.get(name, PATIENT)) as (provider, mind):
        text, failed = await ended(mind)
        assert (text, failed and failed.fault) == ENDS[name], failed
        assert len(provider.requests) <= 1, "the SDK must not try again by itself"
        if failed is not None:
            assert failed.status == (
                FAULTS[name].status if name[0].isdigit() and "silence" not in name else 0
            )


@BOTH
async def test_a_line_without_end_is_not_waited_for(make: Make) -> None:
    async with talking(FAULTS["a line of 10 MB"], make, PATIENT) as (_, mind):
        _, failed = await ended(mind)
        assert failed is not None
        assert failed.reason == "sent more than an answer can hold"


@BOTH
async def test_an_endless_answer_is_cut_at_the_end_of_the_turn(make: Make) -> None:
    async with talking(FAULTS["endless repetition"], make, PATIENT) as (provider, mind):
        text, failed = await ended(mind, Question(messages=ASK, remaining_s=4.0))
        assert text.startswith("Again and again. Again")
        assert failed is not None
        assert (failed.fault, failed.reason) == ("timeout", "the answer was not whole within 4.0 s")
        async with asyncio.timeout(NET_S):
            await provider.requests[0].is_gone.wait()


@BOTH
async def test_the_first_token_may_be_asked_for_earlier_than_the_mind_is_patient(make: Make) -> None:
    async with talking(Reply(first_delay_s=STALL_S), make, PATIENT) as (_, mind):
        _, failed = await ended(mind, Question(messages=ASK, first_token_s=0.1))
        assert failed is not None
        assert (failed.fault, failed.reason) == ("timeout", "no first token within 0.1 s")


@BOTH
async def test_chunks_without_a_word_do_not_put_off_the_deadline(make: Make) -> None:
    empty = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'
    reply = Reply(raw=empty * 20_000, slice_bytes=len(empty))
    async with talking(reply, make, PATIENT) as (_, mind):
        text, failed = await ended(mind, Question(messages=ASK, first_token_s=0.05))
        assert text == ""
        assert failed is not None
        assert failed.reason == "no first token within 0.1 s"


@BOTH
async def test_a_call_that_breaks_off_is_not_made(make: Make) -> None:
    half = b'{"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "x"}}]}}]}'
    async with talking(Reply(raw=b"data: " + half + b"\n\n"), make, PATIENT) as (_, mind):
        _, failed = await ended(mind)
        assert failed is not None
        assert (failed.fault, failed.reason) == ("broken", "hung up in mid-answer")


@BOTH
async def test_text_that_ends_without_an_end_was_broken_off(make: Make) -> None:
    async with talking(Reply(has_done=False, has_finish=False), make, PATIENT) as (_, mind):
        text, failed = await ended(mind)
        assert text == "Hello there. How are you?"
        assert failed is not None
        assert failed.reason == "hung up in mid-answer"
    async with talking(Reply(has_finish=False), make, PATIENT) as (_, mind):
        assert await ended(mind) == ("Hello there. How are you?", None)


@BOTH
async def test_a_provider_that_hangs_up_before_it_answers_is_as_one_that_is_not_there(make: Make) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    mind = make(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", PATIENT)
    _, failed = await ended(mind)
    assert failed is not None
    assert failed.fault == "connect"
    await mind.close()
    server.close()


@BOTH
@pytest.mark.parametrize("headers", [(("content-encoding", "gzip"),), (("content-encoding", "br"),)])
async def test_a_packed_stream_is_refused(make: Make, headers: tuple[tuple[str, str], ...]) -> None:
    async with talking(Reply(headers=headers), make, PATIENT) as (provider, mind):
        _, failed = await ended(mind)
        assert failed is not None
        assert failed.fault == "garbage"
        assert provider.requests[0].headers["accept-encoding"] == "identity"


@BOTH
async def test_a_rate_limit_in_mid_answer_is_one(make: Make) -> None:
    raw = b'data: {"error": {"message": "later", "type": "tokens", "code": "rate_limit_exceeded"}}\n\n'
    async with talking(Reply(raw=raw), make, PATIENT) as (_, mind):
        _, failed = await ended(mind)
        assert failed is not None
        assert failed.fault == "rate_limited"


@BOTH
@pytest.mark.parametrize(
    "raw",
    [
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"choices": [{"delta": {"content": 7, "tool_calls": {"a": 1}}}]}\n\n',
        b'data: {"choices": [null, 3, "x"], "usage": {"prompt_tokens": "many"}}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [null, {"index": "x"}]}, "finish_reason": "s"}]}\n\n',
        b'data: {"x_groq": "yes", "usage": [1]}\n\n',
        b'data: "text"\n\ndata: null\n\ndata: 1e999\n\n',
        b"event: thread.error\ndata: {}\n\nevent: error\ndata: []\n\n",
    ],
)
async def test_nothing_that_a_stream_may_hold_raises_anything_else(make: Make, raw: bytes) -> None:
    async with talking(Reply(raw=raw), make, PATIENT) as (_, mind):
        text, _ = await ended(mind)
        assert text == ""


@BOTH
async def test_a_call_of_nothing_is_garbage(make: Make) -> None:
    async with talking(Reply(tokens=(), calls=(Call(name=""),)), make, PATIENT) as (_, mind):
        _, failed = await ended(mind)
        assert failed is not None
        assert failed.fault == "garbage"
