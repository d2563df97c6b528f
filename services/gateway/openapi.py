"""The description of the HTTP interface, made from the same structs that read and write it."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from fastapi import FastAPI

from services.gateway.client_secrets import PATH as SECRETS
from services.gateway.client_secrets import SecretMade, SecretWish
from services.gateway.health import Health
from services.gateway.http_chat import ChatReply, ChatRequest
from services.gateway.http_speech import SpeechRequest
from services.gateway.http_transcribe import LANGUAGE, MAX_BYTES
from services.gateway.openai_chat_answer import ChatCompletion
from services.gateway.openai_chat_body import ChatWish
from services.gateway.openai_models import Model, Models
from services.gateway.openai_speech import SpeechWish
from services.gateway.openai_transcript import Granularity, Transcript, VerboseTranscript
from services.gateway.probes import Liveness, Readiness
from services.gateway.problems import Body
from services.gateway.transcript import MIME, ResponseFormat, Transcription, VerboseTranscription

_STRUCTS = (
    *(ChatRequest, ChatReply, SpeechRequest, Transcription, VerboseTranscription),
    *(SpeechWish, Transcript, VerboseTranscript, ChatWish, ChatCompletion, Model, Models),
    *(SecretWish, SecretMade, Health, Readiness, Liveness, Body),
)
_REQUESTS: dict[tuple[str, str], type] = {
    ("/chat", "post"): ChatRequest,
    ("/tts", "post"): SpeechRequest,
    ("/v1/audio/speech", "post"): SpeechWish,
    ("/v1/chat/completions", "post"): ChatWish,
    (SECRETS, "post"): SecretWish,
}
_REPLIES: dict[tuple[str, str, str], type] = {
    ("/chat", "post", "200"): ChatReply,
    ("/health", "get", "200"): Health,
    ("/health", "get", "503"): Health,
    ("/livez", "get", "200"): Liveness,
    ("/readyz", "get", "200"): Readiness,
    ("/readyz", "get", "503"): Readiness,
    ("/v1/models", "get", "200"): Models,
    ("/v1/models/{model}", "get", "200"): Model,
    ("/v1/chat/completions", "post", "200"): ChatCompletion,
    (SECRETS, "post", "200"): SecretMade,
}
_SOUND = ("audio/mpeg", "audio/ogg", "audio/wav", "audio/pcm", "audio/aac", "audio/flac")
_TELEPHONE = ("audio/PCMU", "audio/PCMA", "application/octet-stream")
_EVENTS: dict[str, Any] = {
    "text/event-stream": {
        "schema": {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
    }
}
"""Server-sent events: JSON in ``data``; behind the last chunk of a chat ``[DONE]``."""
_RECORDING: dict[str, Any] = {"type": "string", "format": "binary", "maxLength": MAX_BYTES}
_WISHES: dict[str, tuple[str, dict[str, Any]]] = {
    "language": (
        "ISO 639-1 code of what is spoken; without it, it is detected.",
        {"type": "string", "pattern": f"^{LANGUAGE.pattern}$"},
    ),
    "words": ("Whether the times of words are wanted.", {"type": "boolean", "default": False}),
    "response_format": (
        "What the answer looks like.",
        {"type": "string", "enum": list(get_args(ResponseFormat)), "default": "json"},
    ),
}
"""Of ``POST /stt``: in the query or in the form, which goes first."""
_TRANSCRIPTION_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file", "model"],
    "properties": {
        "file": _RECORDING,
        "model": {"type": "string", "minLength": 1, "description": "Any name: the configuration decides."},
        "language": _WISHES["language"][1],
        "response_format": _WISHES["response_format"][1],
        "timestamp_granularities[]": {
            "type": "array",
            "items": {"type": "string", "enum": list(get_args(Granularity))},
            "description": "Which times are told; with `verbose_json` only.",
        },
        "stream": {
            "type": "boolean",
            "default": False,
            "description": "Events: a delta for each stretch of speech as it is understood, then all of it.",
        },
        "temperature": {"type": "number", "minimum": 0, "maximum": 1, "description": "Without effect."},
        "prompt": {"type": "string", "description": "Without effect."},
    },
}


def describe(app: FastAPI) -> None:
    """Fills in bodies and replies in what the framework knows of the application."""
    document: dict[str, Any] = app.openapi()
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template="#/components/schemas/{name}")
    components = document.setdefault("components", {})
    components["schemas"] = schemas
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"key": []}, {}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _describe_operation(operation, path, method)
    paths = document["paths"]
    paths["/tts"]["post"]["responses"]["200"] = {
        "description": "The sound, sent while it is being made.",
        "content": {mime: {} for mime in (*_SOUND, *_TELEPHONE)},
    }
    paths["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    erased = paths["/sessions/{session_id}"]["delete"]["responses"]
    del erased["200"]
    erased["204"] = {"description": "Nothing is remembered of it any more."}
    _describe_recordings(paths["/stt"]["post"])
    _describe_openai(paths)


def _describe_operation(operation: dict[str, Any], path: str, method: str) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for (at, by, status), reply in _REPLIES.items():
        if (at, by) == (path, method):
            responses[status] = {"description": _summary(reply), "content": _json(reply)}
    responses["default"] = {"description": "What went wrong.", "content": _json(Body)}
    if (path, method) in _REQUESTS:
        body = _REQUESTS[path, method]
        operation["requestBody"] = {"required": True, "content": _json(body)}


def _describe_openai(paths: dict[str, Any]) -> None:
    paths["/v1/audio/speech"]["post"]["responses"]["200"] = {
        "description": "The sound, sent while it is being made; or events that hold it.",
        "content": {**{mime: {} for mime in _SOUND}, **_EVENTS},
    }
    paths["/v1/chat/completions"]["post"]["responses"]["200"]["content"].update(_EVENTS)
    form = {"multipart/form-data": {"schema": _TRANSCRIPTION_FORM}}
    transcriptions = paths["/v1/audio/transcriptions"]["post"]
    transcriptions["requestBody"] = {"required": True, "content": form}
    answers = [_ref(kind) for kind in (Transcript, VerboseTranscript)]
    transcriptions["responses"]["200"] = {
        "description": _summary(Transcript),
        "content": {"application/json": {"schema": {"anyOf": answers}}, **_plain(), **_EVENTS},
    }
    translations = paths["/v1/audio/translations"]["post"]
    translations["requestBody"] = {"required": True, "content": form}
    del translations["responses"]["200"]


def _describe_recordings(operation: dict[str, Any]) -> None:
    operation["description"] = (
        "wav, mp3, aac or m4a, flac, Opus or Vorbis in ogg or webm, and what else the worker can read: up to "
        "25 MiB and two hours. What it is, its content tells. Silence is an empty text."
    )
    operation["parameters"] = [
        {"name": name, "in": "query", "description": text, "schema": schema}
        for name, (text, schema) in _WISHES.items()
    ]
    fields = {name: {"description": text, **schema} for name, (text, schema) in _WISHES.items()}
    form = {"type": "object", "required": ["file"], "properties": {"file": _RECORDING, **fields}}
    operation["requestBody"] = {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form},
            **{kind: {"schema": _RECORDING} for kind in ("audio/*", "video/*", "application/octet-stream")},
        },
    }
    answers = [_ref(kind) for kind in (Transcription, VerboseTranscription)]
    operation["responses"]["200"] = {
        "description": _summary(Transcription),
        "content": {
            "application/json": {"schema": {"oneOf": answers}},
            **_plain(),
        },
        "headers": {
            "server-timing": {
                "description": "Milliseconds of decode, transcribe and total.",
                "schema": {"type": "string"},
            }
        },
    }


def _plain() -> dict[str, Any]:
    """The formats of a transcript that are no JSON."""
    return {mime.partition(";")[0]: {} for mime in MIME.values() if mime != "application/json"}


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _json(kind: type) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(kind)}}


def _summary(kind: type) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]
