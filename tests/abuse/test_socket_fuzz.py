"""Whatever a client sends is answered by typed errors and documented close codes, and nobody else notices."""

import asyncio
import contextlib
import gc
import json
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.fakes.gateway import RunningGateway, running_gateway

T = TypeVar("T")
CODES = {1000, 1002, 1007, 1008, 1009, 1013}
PATHS = ["/ws/chat", "/v1/realtime?model=gpt-realtime"]
WAIT_S = 60.0
TONE = "AAABAAIA"


class Stage:
    """A gateway on a loop of its own, for tests that are called many times and are not async."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._stack = contextlib.AsyncExitStack()
        self.gateway: RunningGateway

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def open(self) -> None:
        self._thread.start()
        self.gateway = self.run(self._stack.enter_async_context(running_gateway()))

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    gc.collect()  # what tests before have left behind is not to be told of here
    place = Stage()
    place.open()
    yield place
    place.close()


words = st.sampled_from(["", "Hi", "a.b", "é\u0000", "\ud83d\ude00", "x" * 300, "null", "../..", "call_1"])
numbers = st.one_of(
    st.integers(-5, 5), st.sampled_from([16000, 24000, 1e308, -1e308, 2**63, 2**200, 0.5]), st.booleans()
)
leaves = st.one_of(st.none(), words, numbers)
values = st.recursive(
    leaves, lambda some: st.lists(some, max_size=3) | st.dictionaries(words, some, max_size=3)
)

CHAT: list[dict[str, Any]] = [
    {"type": "start", "audio_in": {"rate_hz": 16000}, "audio_out": {"format": "pcm", "rate_hz": 16000}},
    {"type": "start", "audio_out": None, "session_id": "kitchen", "language": "fr", "persona": "You are"},
    {"type": "message", "text": "Hi", "include_audio": False},
    {"type": "message", "text": "Hi"},
    {"type": "end_of_speech"},
    {"type": "interrupt", "played_ms": 10},
    {"type": "played", "turn_id": "s-1", "ms": 20},
    {"type": "tool_result", "call_id": "call_1", "output": "{}"},
    {"type": "ping", "id": 1},
]
REALTIME: list[dict[str, Any]] = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}},
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "audio": {"input": {"turn_detection": None}, "output": {"voice": "x"}},
        },
    },
    {"type": "input_audio_buffer.append", "audio": TONE * 100},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    },
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 10},
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {"type": "response.create"},
    {"type": "response.create", "response": {"conversation": "none", "output_modalities": ["text"]}},
    {"type": "response.cancel"},
    {"type": "output_audio_buffer.clear"},
]


@st.composite
def mutated(draw: st.DrawFn, good: list[dict[str, Any]]) -> str:
    """A good message of which one field, at any depth, is something else, is missing or is new."""
    message: Any = json.loads(json.dumps(draw(st.sampled_from(good))))
    place = message
    while isinstance(place, dict) and place:
        key = draw(st.sampled_from([*sorted(place), "other"]))
        if isinstance(place.get(key), dict) and draw(st.booleans()):
            place = place[key]
            continue
        if draw(st.integers(0, 3)) == 0:
            place.pop(key, None)
        else:
            place[key] = draw(values)
        break
    return json.dumps(message)


@st.composite
def broken(draw: st.DrawFn, good: list[dict[str, Any]]) -> str:
    """A good message with a piece of its text cut out, doubled or replaced."""
    text = json.dumps(draw(st.sampled_from(good)))
    begin = draw(st.integers(0, len(text)))
    end = draw(st.integers(begin, len(text)))
    return (
        text[:begin]
        + draw(st.sampled_from(["", text[begin:end] * 2, '"', "[[[", "1e999", "NaN"]))
        + text[end:]
    )


def sequences(good: list[dict[str, Any]]) -> st.SearchStrategy[list[str | bytes]]:
    """What one client sends."""
    one: st.SearchStrategy[str | bytes] = st.one_of(
        st.sampled_from(good).map(json.dumps),
        mutated(good),
        broken(good),
        st.binary(max_size=700),
        st.sampled_from([b"", bytes(640), b"\xff\xfe", bytes(300_000), "", "[" * 5000, "{}"]),
    )
    return st.lists(one, min_size=1, max_size=12)


async def hurt(gateway: RunningGateway, path: str, messages: list[str | bytes]) -> None:
    """Sends all of it; what comes back is JSON with a type, errors have a code, and the end is documented."""
    url = f"ws://{gateway.address}{path}"
    async with connect(url, proxy=None, compression=None, max_size=None) as socket:
        reading = asyncio.create_task(read(socket))
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                is_text = isinstance(message, str) or message == b"\xff\xfe"
                raw = message.encode(errors="surrogatepass") if isinstance(message, str) else message
                await socket.send(raw, text=is_text)
        await socket.close()
        await reading
        assert socket.close_code in CODES, (socket.close_code, messages)


async def read(socket: Any) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            raw = await socket.recv()
            if isinstance(raw, bytes):
                continue
            event = msgspec.json.decode(raw)
            assert isinstance(event["type"], str)
            if event["type"] == "error":
                error = event.get("error", event)
                assert error["code"] != "internal", event
                assert error["message"], event


async def is_well(gateway: RunningGateway) -> None:
    """A good turn is answered, and nobody is left inside."""
    async with gateway.client() as client:
        await client.send(type="start")
        await client.send(type="message", text="Hi")
        done = await client.expect("turn_done")
        assert done["has_audio"]
    await gateway.until(lambda: gateway.door.sessions == 0)


fuzzing = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def check(stage: Stage, path: str, messages: list[str | bytes], caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    stage.run(hurt(stage.gateway, path, messages))
    stage.run(is_well(stage.gateway))
    told = [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]
    assert not told, [(record.message, messages) for record in told]


@fuzzing
@given(messages=sequences(CHAT))
def test_nothing_that_is_said_to_the_chat_socket_hurts(
    stage: Stage, caplog: pytest.LogCaptureFixture, messages: list[str | bytes]
) -> None:
    check(stage, PATHS[0], messages, caplog)


@fuzzing
@given(messages=sequences(REALTIME))
def test_nothing_that_is_said_to_the_realtime_socket_hurts(
    stage: Stage, caplog: pytest.LogCaptureFixture, messages: list[str | bytes]
) -> None:
    check(stage, PATHS[1], messages, caplog)
