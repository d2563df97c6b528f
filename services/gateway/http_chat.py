"""``POST /chat``: text and sound of one turn in one request, and ``DELETE /sessions/{id}``."""

from __future__ import annotations

import base64
import time

import msgspec
from fastapi import APIRouter, Request, Response

from services.gateway.chat_protocol import (
    MAX_TEXT_CHARS,
    AudioOut,
    EngineReport,
    Format,
    OutputRate,
    Start,
    Timeline,
    UserText,
)
from services.gateway.containers import rate_of, wav_file
from services.gateway.door import Door
from services.gateway.guests import guest_of
from services.gateway.http_body import read_body
from services.gateway.http_turn import Ending, Wanted, next_of_turn, take_turn
from services.gateway.memory import check_session_id
from services.gateway.outbox import Outbox
from services.gateway.problems import json_response, problem
from services.gateway.session import Session
from shared.errors import BadInput


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /chat``."""

    message: str
    session_id: str | None = None
    """To go on with a conversation; None: a new one."""
    voice: str = ""
    language: str = ""
    include_audio: bool = True
    format: Format = "mp3"
    sample_rate_hz: OutputRate = 24000


class ChatReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``POST /chat``."""

    response: str
    audio_base64: str | None
    has_audio: bool
    audio_format: Format | None
    sample_rate_hz: int | None
    latency_ms: float
    """To the first audible sound; of a turn without sound, to its end."""
    total_request_ms: float
    timeline: Timeline
    session_id: str
    turn_id: str
    engines: dict[str, EngineReport]


def routes(door: Door) -> APIRouter:
    """Returns the endpoints."""
    router = APIRouter()

    @router.post("/chat", summary="One typed turn: the answer's text and its sound")
    async def chat(request: Request) -> Response:
        began = time.monotonic()
        asked = _checked(await read_body(request, ChatRequest))
        return json_response(await _answer(request, door, asked, began))

    @router.delete("/sessions/{session_id}", summary="Erase a conversation")
    async def erase(request: Request, session_id: str) -> Response:
        core, owner = door.require_core(), guest_of(request.scope).key_id
        if await core.hub.erase(check_session_id(session_id), owner=owner):
            return Response(status_code=204)
        return problem(404, "not_found", "nothing is remembered of this session")

    return router


def _checked(asked: ChatRequest) -> ChatRequest:
    if not asked.message.strip():
        raise BadInput("the message is empty", param="message")
    if len(asked.message) > MAX_TEXT_CHARS:
        raise BadInput(f"a message may have {MAX_TEXT_CHARS} characters", param="message")
    if asked.session_id is not None:
        check_session_id(asked.session_id)
    return asked


async def _answer(request: Request, door: Door, asked: ChatRequest, began: float) -> ChatReply:
    # A file has a true length: WAV is put together here, from the samples.
    form: Format = "pcm" if asked.format == "wav" else asked.format
    audio_out = AudioOut(format=form, rate_hz=asked.sample_rate_hz) if asked.include_audio else None
    start = Start(
        session_id=asked.session_id, voice=asked.voice, language=asked.language, audio_out=audio_out
    )
    sound = bytearray()
    sid = ""

    def begin(session: Session) -> None:
        nonlocal sid
        sid = session.sid
        session.handle(UserText(text=asked.message))

    async def collect(outbox: Outbox) -> Ending:
        while True:
            ending, piece = await next_of_turn(outbox)
            if ending is not None:
                return ending
            sound.extend(piece)

    wanted = Wanted(start=start, begin=begin, consume=collect, remember=True)
    done = await take_turn(request, door, wanted)
    rate_hz = rate_of(asked.format, asked.sample_rate_hz)
    audio = wav_file(bytes(sound), rate_hz) if asked.format == "wav" else bytes(sound)
    timeline = done.timeline
    return ChatReply(
        response=done.text,
        audio_base64=base64.b64encode(audio).decode() if done.has_audio else None,
        has_audio=done.has_audio,
        audio_format=asked.format if done.has_audio else None,
        sample_rate_hz=rate_hz if done.has_audio else None,
        latency_ms=timeline.response_ms if done.has_audio else timeline.total_ms,
        total_request_ms=round(1000 * (time.monotonic() - began), 3),
        timeline=timeline,
        session_id=sid,
        turn_id=done.turn_id,
        engines=done.engines,
    )
