"""``POST /v1/audio/transcriptions``: a recording as text, for OpenAI's clients.

The same workers as ``/stt``. Accepted and without effect: ``model``, ``prompt``, ``keywords``, ``languages``
but for a single one, ``temperature``, ``include[]``, ``chunking_strategy`` and ``known_speaker_…[]``.
``/v1/audio/translations`` says that EVA does not translate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from fastapi import APIRouter, Request, Response

from services.gateway.door import Door
from services.gateway.http_body import Room, read_parts
from services.gateway.http_stream import EVENTS_MIME, Streamed, Write, server_event
from services.gateway.http_transcribe import (
    FORM_BYTES,
    LANGUAGE,
    MAX_BYTES,
    NO,
    YES,
    admitted,
    hear,
    read_form,
)
from services.gateway.openai_transcript import Granularity, body_of, delta_of, done_of
from services.gateway.problems import Unsupported, UnsupportedMedia
from services.gateway.recordings import Recording, Tell
from services.gateway.transcript import ResponseFormat, Told
from shared.errors import BadInput
from shared.messages import FileSegment

MAX_MODEL_CHARS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """How a transcript is wanted."""

    recording: Recording
    form: ResponseFormat = "json"
    granularities: frozenset[Granularity] = frozenset()
    is_streamed: bool = False


def routes(door: Door, room: Room) -> APIRouter:
    """Returns the endpoints. ``room``: for recordings, wherever they are sent to."""
    router = APIRouter()

    @router.post("/v1/audio/transcriptions", summary="Transcribe a recording (OpenAI's interface)")
    async def transcriptions(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "multipart/form-data":
            raise UnsupportedMedia("a recording comes as the file of a form, multipart/form-data")
        return Answer(door, room)

    @router.post("/v1/audio/translations", summary="Says that EVA does not translate")
    async def translations(request: Request) -> Response:
        async for _ in read_parts(request, MAX_BYTES + FORM_BYTES):
            pass  # a client that is still sending would not read the answer
        raise Unsupported(
            "EVA does not translate; /v1/audio/transcriptions writes down what is said in its own language"
        )

    return router


class Answer(Streamed):
    """The transcript, as it comes or as a whole."""

    def __init__(self, door: Door, room: Room) -> None:
        super().__init__(self._write, media_type="application/json")
        self._door, self._room = door, room

    async def _write(self, request: Request, write: Write) -> None:
        async with admitted(request, self._door, self._room) as outbox:
            asked = _asked(*await read_form(request))
            if asked.is_streamed:
                self.use(EVENTS_MIME)
                await _stream(write, lambda tell: hear(request, self._door, outbox, asked.recording, tell))
                return
            told = await hear(request, self._door, outbox, asked.recording)
            body, mime = body_of(told, asked.form, asked.granularities)
            self.use(mime)
            self.headers["content-length"] = str(len(body))
            await write(body)


async def _stream(write: Write, hear_it: Callable[[Tell], Coroutine[Any, Any, Told]]) -> None:
    """Writes a delta for each segment as it comes, and the whole text."""
    news: asyncio.Queue[FileSegment | None] = asyncio.Queue()
    listening = asyncio.create_task(hear_it(news.put_nowait), name="transcription")
    listening.add_done_callback(lambda _: news.put_nowait(None))
    try:
        while (segment := await news.get()) is not None:
            await write(server_event(delta_of(segment)))
        await write(server_event(done_of(await listening)))
    finally:
        listening.cancel()
        await asyncio.wait({listening})


def _asked(data: bytes, fields: Sequence[tuple[str, str]]) -> Asked:
    """Returns what is wanted. Raises ``BadInput`` naming the field."""
    if not data:
        raise BadInput("there is no recording in the file", param="file")
    one = dict(fields)
    model = one.get("model", "").strip()
    if not 0 < len(model) <= MAX_MODEL_CHARS:
        raise BadInput("name a model; any name will do", param="model")
    asked = Asked(
        recording=Recording(data=data, language=_language(one, fields)),
        form=_form(one.get("response_format", "") or "json"),
        granularities=_granularities(fields),
        is_streamed=_flag(one.get("stream", ""), "stream"),
    )
    _check_temperature(one.get("temperature", ""))
    if asked.granularities and asked.form != "verbose_json":
        message = "times are told with response_format=verbose_json only"
        raise BadInput(message, param="timestamp_granularities[]")
    # Subtitles are cut by words.
    has_words = "word" in asked.granularities or asked.form in {"srt", "vtt"}
    return replace(asked, recording=replace(asked.recording, has_words=has_words))


def _language(one: dict[str, str], fields: Sequence[tuple[str, str]]) -> str | None:
    listed = [value.strip() for key, value in fields if key == "languages[]"]
    language = one.get("language", "").strip() or (listed[0] if len(listed) == 1 else "")
    if language and not LANGUAGE.fullmatch(language):
        raise BadInput("a language is a code such as en or fr-CA", param="language")
    return language.lower() or None


def _form(wanted: str) -> ResponseFormat:
    if wanted == "diarized_json":
        raise Unsupported("EVA does not tell speakers apart", param="response_format")
    if wanted not in get_args(ResponseFormat):
        raise BadInput(f"the formats are {', '.join(get_args(ResponseFormat))}", param="response_format")
    return cast(ResponseFormat, wanted)


def _granularities(fields: Sequence[tuple[str, str]]) -> frozenset[Granularity]:
    wanted = {
        value for key, value in fields if key in {"timestamp_granularities[]", "timestamp_granularities"}
    }
    if not wanted <= set(get_args(Granularity)):
        raise BadInput("times are those of each word or segment", param="timestamp_granularities[]")
    return frozenset(cast(set[Granularity], wanted))


def _flag(value: str, param: str) -> bool:
    if value.strip().lower() not in YES | NO:
        raise BadInput(f"{param} is true or false", param=param)
    return value.strip().lower() in YES


def _check_temperature(value: str) -> None:
    try:
        is_good = not value.strip() or 0 <= float(value) <= 1
    except ValueError:
        is_good = False
    if not is_good:
        raise BadInput("a temperature is 0 to 1", param="temperature")
