"""``POST /tts``: a given text as sound, sent while it is being made."""

from __future__ import annotations

import math

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from services.gateway.chat_protocol import MAX_TEXT_CHARS, AudioOut, Format, OutputRate, Start
from services.gateway.containers import MIME
from services.gateway.door import Door
from services.gateway.http_turn import Ending, Wanted, next_of_turn, read_body, take_turn
from services.gateway.outbox import Outbox
from services.gateway.problems import ClientGone, TurnFailed
from services.gateway.session import Session
from shared.errors import BadInput
from shared.observe import Log

log = Log("eva.gateway")


class SpeechRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /tts``."""

    text: str
    voice: str = ""
    language: str = ""
    format: Format = "mp3"
    speed: float = 1.0
    """0.25 to 4."""
    sample_rate_hz: OutputRate = 24000
    """Ignored for ``opus`` (48000)."""


def routes(door: Door) -> APIRouter:
    """Returns the endpoint."""
    router = APIRouter()

    @router.post("/tts", summary="Speak a text")
    async def speak(request: Request) -> Response:
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


class Speech(Response):
    """Sound whose status is known with its first byte: an error before it is an ordinary error."""

    def __init__(self, door: Door, asked: SpeechRequest) -> None:
        super().__init__(media_type=MIME[asked.format])
        del self.headers["content-length"]
        self._door, self._asked = door, asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Has the text spoken and sends the sound as it comes."""
        asked = self._asked
        audio_out = AudioOut(format=asked.format, rate_hz=asked.sample_rate_hz)
        start = Start(voice=asked.voice, language=asked.language, audio_out=audio_out)
        is_started = False

        def begin(session: Session) -> None:
            session.say(asked.text, speed=asked.speed, voice=asked.voice)

        async def stream(outbox: Outbox) -> Ending:
            nonlocal is_started
            while True:
                ending, piece = await next_of_turn(outbox)
                if ending is not None:
                    return ending
                if not is_started:
                    await send(self._head())
                    is_started = True
                await send({"type": "http.response.body", "body": piece, "more_body": True})

        try:
            wanted = Wanted(start=start, begin=begin, consume=stream, remember=False)
            await take_turn(Request(scope, receive), self._door, wanted)
        except TurnFailed as failed:
            if not is_started:
                raise
            # Leaving without the last chunk ends the connection: the client sees that something is missing.
            log.warning("speech.broken_off", code=failed.event.code)
        except ClientGone:
            log.info("speech.client_gone")
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _head(self) -> dict[str, object]:
        voice = self._door.watch.health().stages["tts"]
        self.headers["x-eva-engine"] = voice.engine
        self.headers["x-eva-device"] = voice.device
        return {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
