"""All of the HTTP interface that serves conversations: EVA's own, and the one that OpenAI's clients speak."""

from __future__ import annotations

from fastapi import APIRouter

from services.gateway import (
    http_chat,
    http_speech,
    http_transcribe,
    openai_chat,
    openai_models,
    openai_speech,
    openai_transcribe,
)
from services.gateway.door import Door
from services.gateway.http_body import Room

RECORDINGS_AT_ONCE = 8
"""In the gateway's memory, wherever they were sent to."""


def routes(door: Door) -> APIRouter:
    """Returns the endpoints."""
    router, room = APIRouter(), Room(RECORDINGS_AT_ONCE)
    for part in (http_chat, http_speech, openai_speech, openai_models):
        router.include_router(part.routes(door))
    for hearing in (http_transcribe, openai_transcribe, openai_chat):
        router.include_router(hearing.routes(door, room))
    return router
