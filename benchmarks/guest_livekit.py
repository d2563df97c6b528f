"""One scenario by ``livekit-plugins-openai``, in its own environment: ``python guest_livekit.py FEATURE``.

Prints one JSON object of what it got; ``benchmarks.compatibility_frameworks`` judges it. The address, the key
and the question's WAV come from OPENAI_BASE_URL, OPENAI_API_KEY and QUESTION.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import wave
from typing import Any

import aiohttp  # type: ignore[import-not-found] # of the other environment
from livekit import rtc
from livekit.agents import APIConnectOptions, llm
from livekit.plugins import openai

FRAME = 480
"""Samples of 20 ms at 24 kHz."""


@llm.function_tool  # type: ignore[untyped-decorator] # as above
async def sky(place: str) -> str:
    """Says what colour the sky over a place is."""
    return f"blue over {place}"


class Guest:
    """A session of the plugin, and what it told."""

    def __init__(self, http: aiohttp.ClientSession, feature: str) -> None:
        url, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
        options: dict[str, Any] = {"modalities": ["text"]} if feature == "text only" else {}
        self.model = openai.realtime.RealtimeModel(
            base_url=url,
            api_key=key,
            http_session=http,
            conn_options=APIConnectOptions(timeout=60),
            **options,
        )
        self.session = self.model.session()
        self.said: list[str] = []
        self.heard: list[str] = []
        self.errors: list[str] = []
        self.samples = 0
        self.calls: list[Any] = []
        self.news, self.was_heard = asyncio.Event(), asyncio.Event()
        self.generations: asyncio.Queue[Any] = asyncio.Queue()
        self.ids: list[str] = []
        self.is_interrupted = False
        self.session.on("generation_created", self.generations.put_nowait)
        self.session.on("input_audio_transcription_completed", self._transcribed)
        self.session.on("input_speech_started", self._interrupted)
        self.session.on("error", lambda event: self.errors.append(str(event.error)))

    def _transcribed(self, event: Any) -> None:
        if event.is_final:
            self.heard.append(event.transcript)
            self.was_heard.set()

    def _interrupted(self, _: Any) -> None:
        self.is_interrupted = True
        self.news.set()

    async def take(self) -> None:
        """Reads the next generation to its end."""
        generation = await self.generations.get()
        async for message in generation.message_stream:
            self.ids.append(message.message_id)
            await asyncio.gather(self._words(message), self._sound(message))
        async for call in generation.function_stream:
            self.calls.append(call)

    async def _words(self, message: Any) -> None:
        words = [str(piece) async for piece in message.text_stream]
        self.said.append("".join(words))

    async def _sound(self, message: Any) -> None:
        async for frame in message.audio_stream:
            self.samples += frame.samples_per_channel
            self.news.set()

    async def ask(self, text: str) -> None:
        """Types something, and asks for an answer."""
        context = self.session.chat_ctx.copy()
        context.add_message(role="user", content=text)
        await self.session.update_chat_ctx(context)
        self.session.generate_reply()

    async def say(self) -> None:
        """Speaks the question as time goes, and is then silent, as a microphone is."""
        with wave.open(os.environ["QUESTION"], "rb") as file:
            pcm = file.readframes(file.getnframes())
        for start in itertools.count(0, 2 * FRAME):
            frame = pcm[start : start + 2 * FRAME].ljust(2 * FRAME, b"\0")
            self.session.push_audio(rtc.AudioFrame(frame, 24000, 1, FRAME))
            await asyncio.sleep(0.02)


async def typed(guest: Guest) -> None:
    """One typed turn."""
    await guest.ask("What time is it?")
    await guest.take()


async def spoken(guest: Guest) -> None:
    """One spoken turn."""
    saying = asyncio.create_task(guest.say())
    await guest.take()
    await guest.was_heard.wait()
    saying.cancel()


async def streaming(guest: Guest) -> None:
    """Sound of an answer that is never made to its end."""
    await guest.ask("Tell me a story.")
    taking = asyncio.create_task(guest.take())
    await guest.news.wait()
    taking.cancel()


async def tools(guest: Guest) -> None:
    """A call, its result, and the answer."""
    await guest.session.update_tools([sky])
    await guest.ask("What colour is the sky?")
    await guest.take()
    (call,) = guest.calls
    context = guest.session.chat_ctx.copy()
    context.items.append(llm.FunctionCallOutput(
        call_id=call.call_id, name=call.name, output=await sky(**json.loads(call.arguments)), is_error=False,
    ))  # fmt: skip
    await guest.session.update_chat_ctx(context)
    guest.session.generate_reply()
    await guest.take()


async def interrupting(guest: Guest) -> None:
    """Speaks into an answer, says how much of it was played, and hears the next one."""
    await guest.ask("Tell me a long story.")
    taking = asyncio.create_task(guest.take())
    await guest.news.wait()
    guest.news.clear()
    await asyncio.sleep(1.5)
    saying = asyncio.create_task(guest.say())
    while not guest.is_interrupted:
        await guest.news.wait()
        guest.news.clear()
    guest.session.truncate(
        message_id=guest.ids[0], modalities=["audio", "text"], audio_end_ms=1000, audio_transcript=""
    )
    await taking
    await guest.take()
    saying.cancel()


async def mistaken(guest: Guest) -> None:
    """A mistake, and then a turn."""
    guest.session.send_event({"type": "conversation.item.retrieve", "item_id": "none", "event_id": "bad"})
    await typed(guest)


async def returning(guest: Guest) -> None:
    """Two turns, with a cut between them that the parent makes when told so."""
    await guest.ask("I like tea.")
    await guest.take()
    reconnected = asyncio.Event()
    guest.session.on("session_reconnected", lambda _: reconnected.set())
    sys.stdout.write("cut\n")
    sys.stdout.flush()
    await reconnected.wait()
    while len(guest.session.chat_ctx.items) < 2:  # noqa: ASYNC110 - no event tells that its replay is there
        await asyncio.sleep(0.05)
    await guest.ask("Do you?")
    await guest.take()


SCENARIOS = {
    "typed turn": typed, "text only": typed, "spoken turn": spoken, "streaming sound": streaming,
    "tools": tools, "barge-in": interrupting, "errors": mistaken, "reconnect": returning,
}  # fmt: skip


async def main(feature: str) -> None:
    """Runs it, and says what came of it."""
    async with aiohttp.ClientSession() as http:
        guest = Guest(http, feature)
        async with asyncio.timeout(90):
            await SCENARIOS[feature](guest)
        told = {"said": guest.said, "heard": guest.heard, "errors": guest.errors, "samples": guest.samples}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        os._exit(0)  # how the framework ends its own tasks is not the subject


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
