"""What broke real clients at other servers, on one recorded exchange; and EVA's own ways at the socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from shared.subjects import SESSIONS_BUCKET
from tests.e2e.house import UNPACED, House, house
from tests.e2e.realtime_talker import FRAME_S, RATE_HZ, Event, Recorder
from tests.fakes.provider import Call, FakeProvider, Reply
from tests.fakes.speech import resampled, silence, speech
from tests.gateway.realtime.strict import TYPES
from tests.models.tiny_whisper import PHRASES

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SHORT = Reply(tokens=("All", " right", ".", " It", " is", " noon", "."))
ON_WEBRTC_ONLY = {"conversation.item.created", "output_audio_buffer.started", "output_audio_buffer.stopped"}


@dataclass
class Plain(Recorder):
    """A client that knows nothing but WebSockets."""

    socket: ClientConnection | None = None

    async def listen(self) -> None:
        """Records until the socket is closed."""
        assert self.socket is not None
        with contextlib.suppress(ConnectionClosed):
            async for frame in self.socket:
                assert isinstance(frame, str)
                await self.take(frame)
        await self.close()

    async def send(self, **event: Any) -> None:
        """Sends an event."""
        assert self.socket is not None
        await self.socket.send(json.dumps(event))

    async def ask(self, text: str, count: int = 1) -> Event:
        """A typed turn; returns its response."""
        content = [{"type": "input_text", "text": text}]
        await self.send(
            type="conversation.item.create", item={"type": "message", "role": "user", "content": content}
        )
        await self.send(type="response.create")
        response: Event = (await self.hears("response.done", count=count))["response"]
        return response


@contextlib.asynccontextmanager
async def plain(url: str, query: str = "model=any", **options: Any) -> AsyncIterator[Plain]:
    """Connects."""
    async with connect(f"{url.replace('http', 'ws')}/v1/realtime?{query}", **options) as socket:
        client = Plain(socket=socket)
        listening = asyncio.create_task(client.listen())
        try:
            yield client
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    assert not client.broken, client.broken


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(is_steady=True) as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    variables = {"EVA_LLM_BASE_URL": provider.base_url, **UNPACED}
    async with house(tmp_path_factory.mktemp("home"), **variables) as home:
        yield home


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(home: House, provider: FakeProvider) -> Plain:
    """A typed turn, a spoken one, and one with a function, as they came."""
    provider.replies = [SHORT, SHORT, Reply(tokens=("Wait", "."), calls=(Call(name="look"),))]
    async with plain(home.url) as client:
        detection = {"type": "semantic_vad"}
        heard = {"transcription": {"model": "w", "language": "en"}, "turn_detection": detection}
        tool = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
        await client.send(
            type="session.update", session={"type": "realtime", "audio": {"input": heard}, "tools": [tool]}
        )
        await client.ask("What time is it?")
        sound = resampled(np.concatenate([speech(PHRASES[0]), silence(1.5)]), 16000, RATE_HZ)
        size = int(RATE_HZ * FRAME_S)
        for start in range(0, len(sound), size):
            audio = base64.b64encode(sound[start : start + size].tobytes()).decode()
            await client.send(type="input_audio_buffer.append", audio=audio)
            await asyncio.sleep(FRAME_S)
        await client.hears("response.done", count=2)
        await client.ask("Look!", count=3)
        await client.hears("rate_limits.updated", count=3)
    return client


async def test_every_event_is_one_of_the_protocol_and_has_an_id_of_its_own(recorded: Plain) -> None:
    ids = [event["event_id"] for event in recorded.events]
    assert len(set(ids)) == len(ids) > 50
    assert {event["type"] for event in recorded.events} <= TYPES - ON_WEBRTC_ONLY


async def test_items_and_parts_are_announced_before_anything_of_them(recorded: Plain) -> None:
    seen: set[str] = set()
    parts: set[str] = set()
    for event in recorded.events:
        match event["type"]:
            case "response.output_item.added":
                seen.add(event["item"]["id"])
            case "response.content_part.added":
                assert event["item_id"] in seen
                assert event["part"]["type"] in {"audio", "text"}
                parts.add(event["item_id"])
            case "response.output_audio.delta" | "response.output_audio_transcript.delta":
                assert event["item_id"] in parts
            case "conversation.item.done":
                assert event["item"]["id"] in {
                    each["item"]["id"] for each in recorded.of("conversation.item.added")
                }


async def test_what_was_spoken_has_a_transcript_even_while_it_is_null(recorded: Plain) -> None:
    parts = [
        part
        for event in recorded.of("conversation.item.added", "conversation.item.done")
        for part in event["item"].get("content", [])
        if part["type"] == "input_audio"
    ]
    assert parts
    assert all(part == {"type": "input_audio", "transcript": None} for part in parts)


async def test_the_session_tells_what_clients_look_for_in_it(recorded: Plain) -> None:
    for event in recorded.of("session.created", "session.updated"):
        session = event["session"]
        assert (session["object"], session["type"]) == ("realtime.session", "realtime")
        assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
        assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
        assert session["audio"]["input"]["turn_detection"]["interrupt_response"] is True
    (updated,) = recorded.of("session.updated")
    assert updated["session"]["audio"]["input"]["transcription"] == {"model": "w", "language": "en"}


async def test_transcripts_say_which_part_they_are_of_and_what_they_cost(recorded: Plain) -> None:
    told = recorded.of(
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
    )
    assert len(told) >= 2
    assert all(event["content_index"] == 0 for event in told)
    assert told[-1]["usage"]["type"] == "duration"


async def test_functions_have_a_name_and_are_completed_before_the_response_ends(recorded: Plain) -> None:
    (ready,) = recorded.of("response.function_call_arguments.done")
    assert ready["name"] == "look"
    kinds = [
        (event["type"], event["item"]["status"])
        for event in recorded.events
        if event.get("item", {}).get("type") == "function_call"
    ]
    assert kinds == [
        ("response.output_item.added", "in_progress"),
        ("conversation.item.added", "in_progress"),
        ("conversation.item.done", "completed"),
        ("response.output_item.done", "completed"),
    ]


async def test_no_frame_is_larger_than_a_tenth_of_a_second_of_sound_needs(recorded: Plain) -> None:
    assert max(len(json.dumps(event)) for event in recorded.events) < 8000
    assert not [event for event in recorded.events if '"audio": "' in json.dumps(event.get("item", {}))]


async def test_each_response_has_one_end_with_usage_and_limits_behind_it(recorded: Plain) -> None:
    types = [event["type"] for event in recorded.events]
    assert types.count("response.created") == types.count("response.done") == 3
    for at, kind in enumerate(types):
        if kind == "response.done":
            assert recorded.events[at]["response"]["usage"]["total_tokens"] > 0
            assert "rate_limits.updated" in types[at:]


async def test_the_subprotocol_is_selected_where_it_is_offered_and_no_key_is_ever_echoed(home: House) -> None:
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.secret")]
    async with plain(home.url, subprotocols=offered) as client:
        assert client.socket is not None
        assert client.socket.subprotocol == "realtime"
        await client.hears("session.created")
    async with plain(home.url) as client:
        assert client.socket is not None
        assert client.socket.subprotocol is None
    assert "secret" not in home["gateway"].said()


async def test_a_binary_message_is_a_mistake_that_costs_nothing_else(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SHORT]
    async with plain(home.url) as client:
        assert client.socket is not None
        await client.socket.send(b"\0\1")
        await client.socket.send("{")
        await client.hears("error", count=2)
        assert (await client.ask("What time is it?"))["status"] == "completed"


async def test_an_earlier_session_is_gone_on_with_and_lost_by_who_had_it(
    home: House, provider: FakeProvider
) -> None:
    provider.replies = [SHORT]
    async with plain(home.url) as first:
        session_id = (await first.hears("session.created"))["session"]["id"]
        await first.ask("I am Ada.")
        bare = session_id.removeprefix("sess_")

        async def is_kept() -> bool:
            async with home.bus() as bus:
                bucket = await bus.bucket(SESSIONS_BUCKET, ttl_s=60)
                return await bucket.get(bare) is not None

        async with asyncio.timeout(30):
            while not await is_kept():  # noqa: ASYNC110 - another process's store is polled
                await asyncio.sleep(0.05)
        async with plain(home.url, f"session_id={session_id}") as second:
            assert (await second.hears("session.created"))["session"]["id"] == session_id
            assert (await first.hears("error"))["error"]["code"] == "session_taken_over"
            await second.ask("Who am I?")
            asked = [each["content"] for each in provider.questions[-1].body["messages"]]
            assert asked[1:] == ["I am Ada.", "All right. It is noon.", "Who am I?"]
