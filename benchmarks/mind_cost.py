"""What the machinery of a turn costs: the chain and its adapter beside the bare SDK, and the worker's cut.

Both ask the same loopback provider, which has its first token ready, turn about in one process. Its own
work is in both figures alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import groq

from benchmarks.mind_provider import ANSWER
from benchmarks.workplace import workplace
from services.llm.__main__ import minds
from services.llm.chain import Chain
from services.llm.engine import Question
from services.llm.settings import LlmSettings
from shared import subjects
from shared.bus import Job
from shared.messages import AnyMessage, AudioFormat, ChatMessage, Generate, Synthesize
from shared.queues import LLM_WORK, TTS_WORK
from tests.fakes.provider import FakeProvider, Reply, Request

MODEL = "llama-3.3-70b-versatile"
WARM_TURNS = 20
SEGMENT_S = 10.0
BETWEEN_S = 0.03
MESSAGES = [
    ChatMessage(role="system", content="You are EVA, a voice companion. Answer in one or two sentences."),
    ChatMessage(role="user", content="Question 1."),
]
_PAST = (
    ChatMessage(role="user", content="And what did you find out about it?"),
    ChatMessage(role="assistant", content="I have looked it up. It is quite simple."),
)
_GW, _SID = "bench", "bench"


@dataclass
class Cost:
    """Of both ways, one sample a turn."""

    bare_ms: list[float] = field(default_factory=list)
    """To the first token."""
    eva_ms: list[float] = field(default_factory=list)
    bare_cpu_ms: list[float] = field(default_factory=list)
    """Of the whole process and the whole answer; the provider's is in it."""
    eva_cpu_ms: list[float] = field(default_factory=list)

    @property
    def added_ms(self) -> float:
        """Of the medians."""
        return statistics.median(self.eva_ms) - statistics.median(self.bare_ms)

    @property
    def added_cpu_ms(self) -> float:
        """Of the means."""
        return statistics.mean(self.eva_cpu_ms) - statistics.mean(self.bare_cpu_ms)


async def added_cost(turns: int, *, exchanges: int = 0) -> Cost:
    """Returns what ``turns`` of each took, asked in turn, behind so many exchanges of the conversation."""
    cost = Cost()
    system, last = MESSAGES
    asked = [system, *_PAST * exchanges, last]
    async with FakeProvider(Reply(tokens=ANSWER)) as first, FakeProvider(Reply(tokens=ANSWER)) as second:
        sdk = groq.AsyncGroq(api_key="k", base_url=first.root, max_retries=0)
        chain = Chain(minds(_settings(first, second)))
        await chain.prove()

        async def bare() -> AsyncIterator[str]:
            messages = [{"role": message.role, "content": message.content} for message in asked]
            stream = await sdk.chat.completions.create(
                messages=cast("Any", messages), model=MODEL, stream=True
            )
            async for chunk in stream:
                if text := chunk.choices[0].delta.content:
                    yield text

        async def eva() -> AsyncIterator[str]:
            async with chain.answer(Question(messages=asked)) as answer:
                async for piece in answer.pieces:
                    if isinstance(piece, str):
                        yield piece

        ways = ((bare, cost.bare_ms, cost.bare_cpu_ms), (eva, cost.eva_ms, cost.eva_cpu_ms))
        for turn in range(-WARM_TURNS, turns):
            for way, times_ms, cpu_ms in ways if turn % 2 else reversed(ways):
                took = await _timed(way)
                if turn >= 0:
                    times_ms.append(took[0])
                    cpu_ms.append(took[1])
        await sdk.close()
        await chain.close()
    return cost


async def _timed(way: Callable[[], AsyncIterator[str]]) -> tuple[float, float]:
    """Returns how long the first token took, and the processor time of the whole answer, ms."""
    began_s, used_s, first_s = time.perf_counter(), time.process_time(), 0.0
    async for _ in way():
        first_s = first_s or time.perf_counter()
    return 1000 * (first_s - began_s), 1000 * (time.process_time() - used_s)


def _settings(first: FakeProvider, second: FakeProvider) -> LlmSettings:
    return LlmSettings.model_validate(
        {
            "groq_api_key": "k",
            "llm_groq_base_url": first.root,
            "llm_routes": f"groq:{MODEL} openai:{second.base_url}:test-model companion",
        }
    )


class _Stamping(FakeProvider):
    """Begins a sentence, waits, and notes when it hands out the rest, which completes a segment."""

    handed_s = 0.0

    async def _completion(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request
    ) -> bool:
        del reader, request
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        writer.write(_chunked("I have looked", None))
        await asyncio.sleep(BETWEEN_S)
        self.handed_s = time.perf_counter()
        writer.write(_chunked(" it up. It is quite simple.", "stop"))
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()
        return True


def _chunked(text: str, finish: str | None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    event = b"data: " + json.dumps(data).encode() + b"\n\n"
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


async def cut_to_published(turns: int) -> list[float]:
    """Returns, for each turn, how long its first segment took, ms.

    From the provider's handing out of the token that completes it to its arrival at a subscriber: SDK,
    worker, broker and two sockets are in it.
    """
    async with _Stamping() as provider:
        environment = {
            "GROQ_API_KEY": "k",
            "EVA_LLM_GROQ_BASE_URL": provider.root,
            "EVA_LLM_ROUTES": f"groq:{MODEL}",
            "EVA_LLM_DISCOVER": "off",
        }
        async with workplace(["services.llm"], environment) as place:
            await place.ready()
            arrived: asyncio.Queue[float] = asyncio.Queue()

            def see(_subject: str, message: AnyMessage) -> None:
                if isinstance(message, Synthesize) and message.segment == 0:
                    arrived.put_nowait(time.perf_counter())

            async def drop(_job: Job) -> None:
                """Nobody speaks here."""

            await place.bus.declare(LLM_WORK)
            await place.bus.declare(TTS_WORK)
            await place.bus.subscribe(subjects.work_of_gateway("tts", _GW), see)
            dropping = asyncio.create_task(place.bus.consumer(TTS_WORK, slots=8, handler=drop).run())
            taken: list[float] = []
            try:
                for turn in range(1, turns + WARM_TURNS + 1):
                    await _enqueue(place.bus.enqueue, turn)
                    async with asyncio.timeout(SEGMENT_S):
                        taken.append(1000 * (await arrived.get() - provider.handed_s))
            finally:
                dropping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await dropping
            return taken[WARM_TURNS:]


async def _enqueue(enqueue: Callable[..., Awaitable[None]], turn: int) -> None:
    work = Generate(
        gw=_GW, sid=_SID, turn=turn, attempt=1, messages=list(_asked()), remaining_ms=30_000,
        language="en", audio=AudioFormat(),
    )  # fmt: skip
    await enqueue(subjects.work("llm", _GW, _SID), work, message_id=f"{_SID}:{turn}:1:llm")


def _asked() -> Sequence[ChatMessage]:
    return MESSAGES[1:]
