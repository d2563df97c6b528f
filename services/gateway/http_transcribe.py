"""``POST /stt``: a recording as text. It comes as a file of a form or as the body itself, in any container.

The gateway looks at no byte of it: what it is, the worker finds out. A body is read only while somebody is
there who could listen, in memory, with bounds on its size, on how long it may take and on how many come at a
time.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import get_args

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from services.gateway.door import Door, Draining
from services.gateway.guests import guest_of
from services.gateway.http_body import PATIENCE, Patience, Room, read_parts
from services.gateway.http_turn import spend, until_gone
from services.gateway.outbox import Outbox
from services.gateway.problems import (
    ClientGone,
    RecordingFailed,
    TooLarge,
    UnsupportedMedia,
)
from services.gateway.recordings import NoEars, Recording, Tell, transcribe
from services.gateway.transcript import MIME, ResponseFormat, Told, render
from shared.errors import BadInput, EvaError

MAX_BYTES = 25 * 1024 * 1024
FORM_BYTES = 64 * 1024
"""What a form may have around the file."""
LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
RAW = re.compile(r"(audio|video)/.+|application/(octet-stream|ogg)")
YES, NO = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off", ""})


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A recording and how its transcript is wanted."""

    data: bytes
    language: str | None
    has_words: bool
    form: ResponseFormat


def routes(door: Door, room: Room) -> APIRouter:
    """Returns the endpoint. ``room``: for recordings, wherever they are sent to."""
    router = APIRouter()

    @router.post("/stt", summary="Transcribe a recording")
    async def recognise(request: Request) -> Response:
        async with admitted(request, door, room) as outbox:
            asked = await read(request)
            # Subtitles are cut by words.
            has_words = asked.has_words or asked.form in {"srt", "vtt"}
            recording = Recording(data=asked.data, language=asked.language, has_words=has_words)
            return _response(await hear(request, door, outbox, recording), asked)

    return router


@contextlib.asynccontextmanager
async def admitted(request: Request, door: Door, room: Room) -> AsyncGenerator[Outbox, None]:
    """Lets a request with a recording in, before any of it is read; what goes wrong inside is counted.

    Raises:
        NoEars, Busy, Draining, BusDown, LimitReached: it must not come in now.
    """
    guest_of(request.scope).check()
    try:
        with room.place():
            door.require_core()
            if not door.watch.is_up("stt"):
                raise NoEars("nobody can listen right now")
            outbox = Outbox(door.metrics.error)
            with door.seat(outbox, guest_of(request.scope)):
                yield outbox
    except ClientGone:
        raise
    except EvaError as error:
        door.metrics.error(error.event.code if isinstance(error, RecordingFailed) else error.code)
        raise


async def hear(
    request: Request, door: Door, outbox: Outbox, recording: Recording, tell: Tell | None = None
) -> Told:
    """Has a recording transcribed, as long as the client waits and the gateway does not stop.

    Raises:
        NoEars, RecordingFailed, BusDown: as ``recordings.transcribe``.
        ClientGone, Draining: it was given up.
    """
    told: Told | None = None
    failed: EvaError | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            gone = tasks.create_task(until_gone(request), name="client-watch")
            told_off = tasks.create_task(_until_told_off(outbox), name="drain-watch")
            told = await transcribe(door.require_core().hub.around, recording, tell)
            gone.cancel()
            told_off.cancel()
    except* EvaError as group:
        failed = _first(group)
    if failed is not None:
        raise failed
    assert told is not None
    spend(guest_of(request.scope), audio_s=told.done.duration_ms / 1000)
    return told


def _response(told: Told, asked: Asked) -> Response:
    done = told.done
    took = (("decode", done.decode_ms), ("transcribe", done.transcribe_ms), ("total", told.total_ms))
    return Response(
        render(told, asked.form, has_words=asked.has_words),
        media_type=MIME[asked.form],
        headers={
            "x-eva-engine": done.engine,
            "x-eva-device": done.device,
            "server-timing": ", ".join(f"{name};dur={value:.1f}" for name, value in took),
        },
    )


async def _until_told_off(outbox: Outbox) -> None:
    """Raises ``Draining`` when the gateway says good-bye."""
    while await outbox.get() is not None:
        pass
    raise Draining("this gateway is about to stop")


def _first(group: BaseExceptionGroup[EvaError]) -> EvaError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def read(request: Request, patience: Patience = PATIENCE) -> Asked:
    """Reads the recording and the wishes for its transcript.

    Raises:
        BadInput: a field is missing or has a value that is unknown; names it.
        UnsupportedMedia: the body says of itself that it is no recording.
        TooLarge, Stalled, ClientGone: the body is too long, does not come, or nobody sends it any more.
    """
    kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    fields: dict[str, str] = dict(request.query_params)
    if kind == "multipart/form-data":
        data, form = await read_form(request, patience)
        fields |= dict(form)
    elif RAW.fullmatch(kind):
        data = b"".join([part async for part in read_parts(request, MAX_BYTES, patience, what="a recording")])
    else:
        raise UnsupportedMedia(
            f"a recording is audio/…, a form's file or application/octet-stream, not {kind}"
        )
    if not data:
        raise BadInput("there is no recording in the body", param="file")
    return _asked(data, fields)


def _asked(data: bytes, fields: Mapping[str, str]) -> Asked:
    language = fields.get("language", "").strip()
    if language and not LANGUAGE.fullmatch(language):
        raise BadInput("a language is a code such as en or fr-CA", param="language")
    form = fields.get("response_format", "") or "json"
    if form not in get_args(ResponseFormat):
        raise BadInput(f"the formats are {', '.join(get_args(ResponseFormat))}", param="response_format")
    words = fields.get("words", "").strip().lower()
    if words not in YES | NO:
        raise BadInput("words are true or false", param="words")
    has_words = words in YES or fields.get("timestamp_granularities[]") == "word"
    return Asked(data=data, language=language.lower() or None, has_words=has_words, form=form)  # type: ignore[arg-type]


async def read_form(request: Request, patience: Patience = PATIENCE) -> tuple[bytes, list[tuple[str, str]]]:
    """Reads a form: its ``file``, and its other fields in their order. Raises as ``read``."""
    parser = MultiPartParser(
        request.headers,
        read_parts(request, MAX_BYTES + FORM_BYTES, patience, what="a recording"),
        max_files=1,
        max_fields=20,
    )
    parser.spool_max_size = MAX_BYTES + FORM_BYTES  # what people say is not written to a disk
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeError, ValueError) as error:
        raise BadInput(f"not a form: {error}", param="file") from error
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise BadInput("the form has no file of this name", param="file")
        data = file.file.read()
    finally:
        await form.close()
    if len(data) > MAX_BYTES:
        raise TooLarge(f"a recording may have {MAX_BYTES} bytes")
    return data, [(key, value) for key, value in form.multi_items() if isinstance(value, str)]
