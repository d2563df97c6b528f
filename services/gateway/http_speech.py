"""``POST /tts``: a given text as sound, sent while it is being made."""

from __future__ import annotations

import math

import msgspec
from fastapi import APIRouter, Request, Response

from services.gateway.chat_protocol import MAX_TEXT_CHARS, AudioOut, Format, OutputRate, Start, TurnDone
from services.gateway.containers import mime_of, rate_of
from services.gateway.door import Door
from services.gateway.http_body import read_body
from services.gateway.http_stream import Streamed, Write
from services.gateway.http_turn import Consume, Ending, Wanted, next_of_turn, take_turn
from services.gateway.outbox import Outbox
from services.gateway.problems import TurnFailed
from services.gateway.session import Session
from shared.errors import BadInput


class SpeechRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /tts``."""

    text: str
    voice: str = ""
    language: str = ""
    format: Format = "mp3"
    speed: float = 1.0
    """0.25 to 4."""
    mood: str = ""
    """``joy``, ``sadness``, …; one that EVA does not know is neutral."""
    sample_rate_hz: OutputRate = 24000
    """Ignored for ``opus`` and ``opus_packets`` (48000)."""


def routes(door: Door) -> APIRouter:
    """Returns the endpoint."""
    router = APIRouter()

    @router.post("/tts", summary="Speak a text")
    async def tts(request: Request) -> Response:
        return Speech(door, _checked(await read_body(request, SpeechRequest)))

    return router


def _checked(asked: SpeechRequest) -> SpeechRequest:
    if not asked.text.strip():
        raise BadInput("the text is empty", param="text")
    if len(asked.text) > MAX_TEXT_CHARS:
        raise BadInput(f"a text may have {MAX_TEXT_CHARS} characters", param="text")
    if not (math.isfinite(asked.speed) and 0.25 <= asked.speed <= 4):
        raise BadInput("the speed is 0.25 to 4", param="speed")
    return asked


class Speech(Streamed):
    """A given text as sound, piece by piece."""

    def __init__(self, door: Door, asked: SpeechRequest) -> None:
        async def produce(request: Request, write: Write) -> None:
            async def stream(outbox: Outbox) -> Ending:
                while True:
                    ending, piece = await next_of_turn(outbox)
                    if ending is not None:
                        return ending
                    await write(piece)

            await speak(request, door, wanted(asked, stream), asked.text, param="text")

        super().__init__(
            produce,
            media_type=mime_of(asked.format, rate_of(asked.format, asked.sample_rate_hz)),
            late_headers=lambda: made_by(door),
        )


def wanted(asked: SpeechRequest, consume: Consume) -> Wanted:
    """Returns the turn that speaks a text."""
    audio_out = AudioOut(format=asked.format, rate_hz=asked.sample_rate_hz)
    start = Start(voice=asked.voice, language=asked.language, audio_out=audio_out)

    def begin(session: Session) -> None:
        session.say(asked.text, speed=asked.speed, voice=asked.voice, mood=asked.mood)

    return Wanted(start=start, begin=begin, consume=consume, remember=False)


async def speak(request: Request, door: Door, turn: Wanted, text: str, *, param: str) -> TurnDone:
    """Has the turn that speaks ``text``, which came as ``param``; raises as ``take_turn``."""
    try:
        return await take_turn(request, door, turn)
    except TurnFailed as failed:
        if failed.event.code == "no_audio" and not any(map(str.isalnum, text)):
            raise BadInput("there is nothing in it that can be spoken", param=param) from failed
        raise


def made_by(door: Door) -> dict[str, str]:
    """Returns headers that name the engine that speaks now."""
    voice = door.watch.health().stages["tts"]
    return {"x-eva-engine": voice.engine, "x-eva-device": voice.device}
