"""``python -m services.llm`` as a process of its own, on a real broker, with a real provider's socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared import subjects
from shared.messages import (
    AnyMessage,
    AudioFormat,
    ChatMessage,
    Facts,
    Failed,
    Generate,
    MindDone,
    Synthesize,
)
from shared.queues import LLM_WORK, TTS_WORK
from tests.fakes.provider import FakeProvider, Reply

if TYPE_CHECKING:
    from tests.conftest import NatsServer

ROOT = Path(__file__).resolve().parents[2]
GW, SID = "G1", "S1"


@contextlib.asynccontextmanager
async def service(server: NatsServer, cwd: Path, **environment: str) -> AsyncIterator[Process]:
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.llm",
        cwd=cwd,
        env={**kept, **server.environment, "PYTHONPATH": str(ROOT), "EVA_LLM_DISCOVER": "off", **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def generate(turn: int) -> Generate:
    return Generate(
        gw=GW,
        sid=SID,
        turn=turn,
        attempt=1,
        messages=[ChatMessage(role="user", content="Hello?")],
        remaining_ms=60_000,
        audio=AudioFormat(),
    )


@pytest.mark.process
async def test_a_turn_through_a_real_broker_and_a_real_provider_and_its_fall(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    messages: asyncio.Queue[AnyMessage] = asyncio.Queue()
    ready = asyncio.Event()

    def on_fact(_subject: str, fact: AnyMessage) -> None:
        if isinstance(fact, Facts) and fact.state in {"ready", "degraded"}:
            ready.set()

    async def turn(number: int) -> tuple[list[str], MindDone]:
        """Returns the segments and the end.

        Two subscriptions, so either may be read first; a segment whose queue does not confirm it in time is
        published again, and read along twice.
        """
        work = generate(number)
        await bus.enqueue(subjects.work("llm", GW, SID), work, message_id=f"{SID}:{number}:1:llm")
        segments: dict[int, str] = {}
        done: MindDone | None = None
        async with asyncio.timeout(60):
            while done is None or len(segments) < done.segments:
                message = await messages.get()
                assert not isinstance(message, Failed), message.message
                if isinstance(message, Synthesize) and message.turn == number:
                    segments[message.segment] = message.text
                if isinstance(message, MindDone) and message.turn == number:
                    done = message
        return [segments[at] for at in sorted(segments)], done

    async with FakeProvider(Reply(), Reply(status=503)) as provider:
        bus = await nats_server.connect()
        for queue in (LLM_WORK, TTS_WORK):
            await bus.declare(queue)
        await bus.subscribe(subjects.FACTS_ALL, on_fact)
        await bus.subscribe(subjects.events_of_gateway(GW), lambda _, message: messages.put_nowait(message))
        await bus.subscribe(
            subjects.work_of_gateway("tts", GW), lambda _, message: messages.put_nowait(message)
        )
        keys = {
            "GROQ_API_KEY": "gsk_test",
            "EVA_LLM_GROQ_BASE_URL": provider.root,
            "EVA_LLM_CONNECT_S": "20",
            "EVA_LLM_FIRST_TOKEN_S": "20",
            "EVA_LLM_BETWEEN_TOKENS_S": "20",
        }
        async with service(nats_server, tmp_path, **keys) as process:
            async with asyncio.timeout(60):
                await ready.wait()
            segments, done = await turn(1)
            assert segments == ["Hello there.", "How are you?"]
            assert (done.engine, done.output_tokens) == ("groq", 7)

            segments, done = await turn(2)
            assert done.engine == "companion"
            assert segments[0] == "Hello!"

            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                assert await process.wait() == 0
        await bus.close()


@pytest.mark.process
async def test_settings_that_cannot_work_end_the_process_with_2(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with service(nats_server, tmp_path, EVA_LLM_SLOTS="none") as process, asyncio.timeout(60):
        assert await process.wait() == 2
