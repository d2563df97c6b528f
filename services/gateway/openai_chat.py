"""``POST /v1/chat/completions``: one turn of a conversation that the request brings along."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from fastapi import APIRouter, Request, Response

from services.gateway.chat_protocol import (
    AudioEvent,
    AudioOut,
    Format,
    SegmentEvent,
    ServerEvent,
    Start,
    Timeline,
    Token,
    ToolCallEvent,
    TurnDone,
)
from services.gateway.containers import wav_file
from services.gateway.door import Door
from services.gateway.http_body import MAX_BODY_BYTES, Room, declared_bytes, read_body
from services.gateway.http_stream import EVENTS_MIME, Streamed, Write, server_event
from services.gateway.http_transcribe import admitted, hear
from services.gateway.http_turn import Ending, Wanted, ending_of, take_turn
from services.gateway.openai_chat_answer import (
    Chunks,
    Heading,
    Prose,
    Stops,
    completion,
    estimated,
    finish_of,
    usage_of,
)
from services.gateway.openai_chat_body import ChatWish
from services.gateway.openai_chat_request import (
    GivenDialogue,
    Talk,
    checked,
    recordings,
    talk_of,
    wish_of,
)
from services.gateway.openai_speech import RATE_HZ, names_of
from services.gateway.outbox import Outbox
from services.gateway.problems import json_response
from services.gateway.recordings import Recording
from services.gateway.session import Session
from services.gateway.turn_io import Wish
from shared.subjects import new_token

WORDS_BYTES = 8 * MAX_BODY_BYTES
"""A body that says it is longer holds recordings."""
SOUND_BYTES = 26 * 1024 * 1024
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A request that was read and understood."""

    wish: ChatWish
    talk: Talk
    how: Wish
    voice: str

    @property
    def form(self) -> Format | None:
        """Of the sound; None: text only."""
        if not self.wish.is_spoken or self.wish.audio is None:
            return None
        return "pcm" if self.wish.audio.format == "pcm16" else self.wish.audio.format


def routes(door: Door, room: Room) -> APIRouter:
    """Returns the endpoint. ``room``: for recordings, wherever they are sent to."""
    router = APIRouter()

    @router.post("/v1/chat/completions", summary="Answer a conversation (OpenAI's interface)")
    async def completions(request: Request) -> Response:
        question = await _read(request, door, room)
        head = Heading(new_token(), question.wish.model, int(time.time()))
        if question.wish.stream:
            return Stream(door, question, head)
        return await _whole(request, door, question, head)

    return router


async def _read(request: Request, door: Door, room: Room) -> Question:
    """Reads the request and has its recordings transcribed; raises as ``read_body`` and ``hear``."""
    if declared_bytes(request) > WORDS_BYTES:
        async with admitted(request, door, room) as outbox:
            wish = checked(await read_body(request, ChatWish, most=SOUND_BYTES))
            return await _understood(request, door, wish, outbox)
    wish = checked(await read_body(request, ChatWish, most=WORDS_BYTES))
    if not recordings(wish):
        return await _understood(request, door, wish, None)
    async with admitted(request, door, room) as outbox:
        return await _understood(request, door, wish, outbox)


async def _understood(request: Request, door: Door, wish: ChatWish, outbox: Outbox | None) -> Question:
    found, now_s = recordings(wish), time.time()
    talk = talk_of(wish, [""] * len(found), now_s)  # nothing is heard in vain
    names = names_of(door)
    how = replace(wish_of(wish, talk), model=names.model(wish.model))
    if found and outbox is not None:
        heard = [(await hear(request, door, outbox, Recording(data=data))).text for data in found]
        talk = talk_of(wish, heard, now_s)
    voice = wish.audio.voice if wish.audio is not None else ""
    name = voice if isinstance(voice, str) else voice.id
    return Question(wish=wish, talk=talk, how=how, voice=names.voice(name))


async def _whole(request: Request, door: Door, question: Question, head: Heading) -> Response:
    answer = Gathered(question)
    done = await take_turn(request, door, _wanted(question, answer))
    calls = _calls(question, done, answer.calls)
    sound: bytes | None = bytes(answer.sound)
    if sound and question.form == "wav":  # a file has a true length: it is put together here
        sound = wav_file(sound, RATE_HZ)
    read_bytes = question.talk.size_bytes
    return json_response(completion(head, done, calls, audio=sound or None, read_bytes=read_bytes))


class Gathered:
    """A whole answer, as it comes together."""

    def __init__(self, question: Question) -> None:
        self.sound = bytearray()
        self.calls: list[ToolCallEvent] = []
        self._question = question
        self._text = ""

    async def take(self, event: ServerEvent, payload: bytes) -> TurnDone | None:
        """Takes what is told of the turn; returns its end where a stop sequence makes it."""
        match event:
            case Token(at=at, text=more, turn_id=turn_id):
                self._text = self._text[:at] + more
                stops = Stops(self._question.wish.stops)
                kept = stops.feed(self._text)
                return _stopped(turn_id, kept, self._question) if stops.is_reached else None
            case ToolCallEvent(by="client"):
                self.calls.append(event)
            case AudioEvent():
                self.sound.extend(payload)
            case _:
                pass
        return None


class Stream(Streamed):
    """The answer in chunks, each an event, with ``[DONE]`` behind the last one."""

    def __init__(self, door: Door, question: Question, head: Heading) -> None:
        options = question.wish.stream_options
        has_usage = options is not None and bool(options.include_usage)

        async def produce(request: Request, write: Write) -> None:
            chunks = Chunks(head, has_usage=has_usage)
            told = Telling(question, chunks, write)
            done = await take_turn(request, door, _wanted(question, told))
            await told.rest()
            calls = _calls(question, done, told.calls)
            if calls:
                await write(server_event(chunks.calls(calls)))
            for chunk in chunks.end(finish_of(done, calls)):
                await write(server_event(chunk))
            if has_usage:
                await write(server_event(chunks.usage(usage_of(done, question.talk.size_bytes))))
            await write(DONE)

        super().__init__(produce, media_type=EVENTS_MIME)


class Telling:
    """Passes a turn on, event by event."""

    def __init__(self, question: Question, chunks: Chunks, write: Write) -> None:
        self.calls: list[ToolCallEvent] = []
        self._question, self._chunks, self._write = question, chunks, write
        self._prose, self._stops = Prose(), Stops(question.wish.stops)
        self._kept = ""
        self._segments = 0

    async def take(self, event: ServerEvent, payload: bytes) -> TurnDone | None:
        """Sends what is told of the turn; returns its end where a stop sequence makes it."""
        match event:
            case Token(at=at, text=more, turn_id=turn_id) if self._question.form is None:
                await self._text(self._stops.feed(self._prose.put(at, more)))
                return _stopped(turn_id, self._kept, self._question) if self._stops.is_reached else None
            case ToolCallEvent(by="client"):
                self.calls.append(event)
            case SegmentEvent(segment=number, text=text) if number >= self._segments:
                said = f" {text}" if self._segments else text
                self._segments = number + 1
                await self._write(server_event(self._chunks.transcript(said)))
            case AudioEvent():
                await self._write(server_event(self._chunks.sound(payload)))
            case _:
                pass
        return None

    async def rest(self) -> None:
        """Sends what was held back until the end."""
        await self._text(self._stops.rest())

    async def _text(self, delta: str) -> None:
        self._kept += delta
        if delta:
            await self._write(server_event(self._chunks.text(delta)))


def _wanted(question: Question, listener: Gathered | Telling) -> Wanted:
    form = question.form
    audio_out = AudioOut(format="pcm" if form == "wav" else form, rate_hz=RATE_HZ) if form else None
    talk = question.talk

    def begin(session: Session) -> None:
        session.respond(text=talk.question, wish=question.how)

    async def consume(outbox: Outbox) -> Ending:
        while True:
            item = await outbox.get()
            ending = ending_of(item, outbox)
            if item is not None and ending is None:
                ending = await listener.take(item.event, item.payload)
            if ending is not None:
                return ending

    return Wanted(
        start=Start(voice=question.voice, audio_out=audio_out),
        begin=begin,
        consume=consume,
        remember=False,
        conversation=GivenDialogue(talk.before),
    )


def _calls(question: Question, done: TurnDone, told: list[ToolCallEvent]) -> list[ToolCallEvent]:
    """Returns the calls that the answer hands over: those of its last try."""
    handed = told[len(told) - done.calls :] if done.calls else []
    return handed[:1] if question.wish.parallel_tool_calls is False else handed


def _stopped(turn_id: str, text: str, question: Question) -> TurnDone:
    """The end that a stop sequence makes; leaving the session cancels what is still being made."""
    usage = estimated(question.talk.size_bytes, text)
    return TurnDone(turn_id=turn_id, text=text, has_audio=False, timeline=Timeline(), engines={}, usage=usage)
