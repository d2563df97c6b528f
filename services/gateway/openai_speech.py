"""``POST /v1/audio/speech``: a given text as sound, for OpenAI's clients."""

from __future__ import annotations

import base64
import math
from typing import Final, Literal

import msgspec
from fastapi import APIRouter, Request, Response

from services.gateway.chat_protocol import MAX_TEXT_CHARS, AudioEvent
from services.gateway.containers import mime_of
from services.gateway.door import Door
from services.gateway.http_body import read_body
from services.gateway.http_speech import SpeechRequest, made_by, speak, wanted
from services.gateway.http_stream import EVENTS_MIME, Streamed, Write, server_event
from services.gateway.http_turn import Ending, ending_of
from services.gateway.openai_chat_body import VoiceId
from services.gateway.openai_moods import mood_of
from services.gateway.outbox import Outbox
from services.gateway.realtime.names import Names
from shared.errors import BadInput

RATE_HZ: Final = 24_000
MAX_INSTRUCTIONS_CHARS = 4096
CHARS_PER_TOKEN, SOUND_MS_PER_TOKEN = 4, 50
"""OpenAI counts a token for 50 ms of sound that is made; four letters a token is an estimate."""


class SpeechWish(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/audio/speech``."""

    input: str
    """1 to 4096 characters."""
    model: str
    """Any name: the voice decides."""
    voice: str | VoiceId
    """OpenAI's names mean EVA's default voice, unless the configuration says otherwise."""
    instructions: str | None = None
    """A word in it may set the mood: ``cheerful``, ``sad``, ``angry``, ``calm``, ``warm``…"""
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    """``pcm``: signed 16-bit little-endian mono samples, 24 kHz."""
    speed: float = 1.0
    """0.25 to 4."""
    stream_format: Literal["audio", "sse"] = "audio"
    language: str = ""
    """EVA's own: ISO 639-1 code of the text, where the voice does not say it."""


class SpeechDelta(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="speech.audio.delta"):
    """More of the sound."""

    audio: str
    """Base64."""


class SpeechUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What it took; an estimate."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="speech.audio.done"):
    """All of the sound was sent."""

    usage: SpeechUsage


def routes(door: Door) -> APIRouter:
    """Returns the endpoint."""
    router = APIRouter()
    names = names_of(door)

    @router.post("/v1/audio/speech", summary="Speak a text (OpenAI's interface)")
    async def speech(request: Request) -> Response:
        return Speech(door, _checked(await read_body(request, SpeechWish)), names)

    return router


def names_of(door: Door) -> Names:
    """Returns the configuration's tables of names."""
    return Names(voices=door.settings.realtime_voices, models=door.settings.realtime_models)


class Speech(Streamed):
    """The sound as it is made: bytes, or events that hold them."""

    def __init__(self, door: Door, asked: SpeechWish, names: Names) -> None:
        is_sse = asked.stream_format == "sse"
        said = _said(asked, names)

        async def produce(request: Request, write: Write) -> None:
            async def stream(outbox: Outbox) -> Ending:
                while True:
                    item = await outbox.get()
                    if (ending := ending_of(item, outbox)) is not None:
                        return ending
                    if item is not None and isinstance(item.event, AudioEvent):
                        await write(_delta(item.payload) if is_sse else item.payload)

            done = await speak(request, door, wanted(said, stream), asked.input, param="input")
            if is_sse:
                await write(server_event(_done(asked.input, done.timeline.audio_ms)))

        super().__init__(
            produce,
            media_type=EVENTS_MIME if is_sse else mime_of(asked.response_format, RATE_HZ),
            late_headers=lambda: made_by(door),
        )


def _said(asked: SpeechWish, names: Names) -> SpeechRequest:
    voice = asked.voice if isinstance(asked.voice, str) else asked.voice.id
    return SpeechRequest(
        text=asked.input,
        voice=names.voice(voice),
        language=asked.language,
        format=asked.response_format,
        speed=asked.speed,
        mood=mood_of(asked.instructions or ""),
        sample_rate_hz=RATE_HZ,
    )


def _checked(asked: SpeechWish) -> SpeechWish:
    if not asked.input.strip():
        raise BadInput("the input is empty", param="input")
    if len(asked.input) > MAX_TEXT_CHARS:
        raise BadInput(f"an input may have {MAX_TEXT_CHARS} characters", param="input")
    if not asked.model.strip():
        raise BadInput("name a model; any name will do", param="model")
    if len(asked.instructions or "") > MAX_INSTRUCTIONS_CHARS:
        raise BadInput(f"instructions may have {MAX_INSTRUCTIONS_CHARS} characters", param="instructions")
    if not (math.isfinite(asked.speed) and 0.25 <= asked.speed <= 4):
        raise BadInput("the speed is 0.25 to 4", param="speed")
    return asked


def _delta(piece: bytes) -> bytes:
    return server_event(SpeechDelta(audio=base64.b64encode(piece).decode()))


def _done(text: str, audio_ms: float) -> SpeechDone:
    read, made = math.ceil(len(text) / CHARS_PER_TOKEN), math.ceil(audio_ms / SOUND_MS_PER_TOKEN)
    usage = SpeechUsage(input_tokens=read, output_tokens=made, total_tokens=read + made)
    return SpeechDone(usage=usage)
