"""A person behind the stock ``openai`` client at ``WS /v1/realtime``; every frame is judged as it comes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosed

from shared.audio import from_pcm16
from tests.fakes.speech import Pcm, resampled
from tests.gateway.realtime.strict import judged

WAIT_S = 120.0
FRAME_S = 0.02
RATE_HZ = 24000
Event = dict[str, Any]


@dataclass
class Recorder:
    """Keeps every frame of one socket, each judged strictly, with the time of its coming."""

    events: list[Event] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    is_closed: bool = False
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, frame: str) -> None:
        """Takes one frame."""
        async with self._news:
            try:
                self.events.append(judged(frame))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it is the test's finding
                self.broken.append(f"{frame[:400]}: {error}")
            self.at_s.append(time.monotonic())
            self._news.notify_all()

    async def close(self) -> None:
        """There are no more."""
        async with self._news:
            self.is_closed = True
            self._news.notify_all()

    def of(self, *types: str) -> list[Event]:
        """The events of these types so far."""
        return [event for event in self.events if event["type"] in types]

    async def hears(
        self, kind: str, *, count: int = 1, where: Callable[[Event], object] = lambda _: True
    ) -> Event:
        """Returns the ``count``-th event of a type; waits for it."""
        try:
            async with self._news, asyncio.timeout(WAIT_S):
                while len(found := [event for event in self.of(kind) if where(event)]) < count:
                    assert not self.broken, self.broken
                    assert not self.is_closed, f"the socket was closed; heard: {self.story()}"
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind}; heard: {self.story()}") from None
        return found[count - 1]

    async def hears_sound(self, response_id: str, seconds: float) -> None:
        """Waits until so much of a response's sound is there: a voice may be kept waiting."""
        least = int(2 * RATE_HZ * seconds)
        await self.hears("response.output_audio.delta", where=lambda _: len(self.sound(response_id)) >= least)

    def of_response(self, response_id: str) -> list[Event]:
        """The events of one response so far, its items' in the conversation included."""
        items = {
            event["item"]["id"]
            for event in self.of("response.output_item.added")
            if event["response_id"] == response_id
        }
        return [
            event
            for event in self.events
            if response_id in {event.get("response_id"), event.get("response", {}).get("id")}
            or (event["type"].startswith("conversation.item.") and event.get("item", {}).get("id") in items)
        ]

    def said(self, response_id: str) -> str:
        """The transcript of a response, from its deltas."""
        return "".join(
            event["delta"]
            for event in self.of("response.output_audio_transcript.delta", "response.output_text.delta")
            if event["response_id"] == response_id
        )

    def sound(self, response_id: str) -> bytes:
        """The bytes of a response's sound."""
        return b"".join(
            base64.b64decode(event["delta"])
            for event in self.of("response.output_audio.delta")
            if event["response_id"] == response_id
        )

    def story(self) -> list[str]:
        """What came, in short, the sound left out."""
        return [str(event)[:200] for event in self.events if event["type"] != "response.output_audio.delta"]

    def order(self, response_id: str) -> list[str]:
        """The types of a response's events; of those that repeat side by side one."""
        types = [event["type"] for event in self.of_response(response_id)]
        return [kind for at, kind in enumerate(types) if at == 0 or types[at - 1] != kind]


@dataclass
class Person(Recorder):
    """Somebody who talks by the stock client."""

    connection: AsyncRealtimeConnection = field(kw_only=True)

    async def listen(self) -> None:
        """Records until the socket is closed."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame = await self.connection.recv_bytes()
                self.connection.parse_event(frame)
                await self.take(frame.decode())
        await self.close()

    async def configure(self, **session: Any) -> Event:
        """Updates the session; returns what is in force then."""
        count = len(self.of("session.updated"))
        await self.connection.session.update(session={"type": "realtime", **session})  # type: ignore[arg-type] # as tests write it
        updated = await self.hears("session.updated", count=count + 1)
        effective: Event = updated["session"]
        return effective

    async def write(self, text: str) -> str:
        """Puts a typed message into the conversation; returns its id."""
        count = len(self.of("conversation.item.done"))
        await self.connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        )
        done = await self.hears("conversation.item.done", count=count + 1)
        item_id: str = done["item"]["id"]
        return item_id

    async def ask(self, text: str, **response: Any) -> Event:
        """A typed turn to its end; returns the response."""
        await self.write(text)
        return await self.respond(**response)

    async def respond(self, **response: Any) -> Event:
        """Asks for a response, and waits for its end."""
        count = len(self.of("response.done"))
        await self.connection.response.create(response=response)  # type: ignore[arg-type]
        return await self.done(count + 1)

    async def done(self, count: int = 1) -> Event:
        """Returns the ``count``-th response to end."""
        done: Event = (await self.hears("response.done", count=count))["response"]
        return done

    async def say(
        self, pcm: Pcm, *, silence_s: float = 1.5, encode: Callable[[Pcm], bytes] | None = None
    ) -> None:
        """Speaks (16 kHz) in frames of 20 ms as time goes, then is silent."""
        rate_hz = RATE_HZ if encode is None else 8000
        sound = resampled(pcm, 16000, rate_hz)
        sound = np.concatenate([sound, np.zeros(int(silence_s * rate_hz), np.int16)])
        due_s, size = time.monotonic(), int(rate_hz * FRAME_S)
        for start in range(0, len(sound), size):
            frame = sound[start : start + size]
            data = frame.tobytes() if encode is None else encode(frame)
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(data).decode())
            due_s += FRAME_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    def pcm(self, response_id: str) -> npt.NDArray[np.float32]:
        """The samples of a response, 24 kHz."""
        return from_pcm16(self.sound(response_id))


@contextlib.asynccontextmanager
async def person(url: str, *, model: str = "gpt-realtime", **query: str) -> AsyncIterator[Person]:
    """Connects as a user of the package would; at the end every frame must have been a good one."""
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="unused")
    async with client.realtime.connect(model=model, extra_query=dict(query)) as connection:
        somebody = Person(connection=connection)
        listening = asyncio.create_task(somebody.listen())
        try:
            yield somebody
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    assert not somebody.broken, somebody.broken
