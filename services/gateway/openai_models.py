"""``GET /v1/models``: the names of models that OpenAI's clients look for.

Any model's name is taken in requests; these are those that a client finds when it looks: EVA herself, the
names of the configuration's table, and OpenAI's own of what EVA does.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from fastapi import APIRouter, Response

from services.gateway.door import Door
from services.gateway.openai_speech import names_of
from services.gateway.problems import json_response, problem

KNOWN = (
    *("eva", "gpt-realtime", "gpt-realtime-mini"),
    *("gpt-4o-mini-tts", "tts-1", "tts-1-hd"),
    *("gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper-1"),
    *("gpt-4o-audio-preview", "gpt-audio"),
)
CREATED = 1_767_225_600
"""The first of January 2026: all gateways say the same."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A name that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int = CREATED
    owned_by: str = "eva"


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /v1/models``."""

    object: Literal["list"] = "list"
    data: list[Model]


def routes(door: Door) -> APIRouter:
    """Returns the endpoints."""
    router = APIRouter()

    def known() -> list[str]:
        return list(dict.fromkeys([*KNOWN, *names_of(door).models]))

    @router.get("/v1/models", summary="Names of models (OpenAI's interface)")
    async def models() -> Response:
        return json_response(Models(data=[Model(id=name) for name in known()]))

    @router.get("/v1/models/{model}", summary="One of them")
    async def model(model: str) -> Response:
        if model in known():
            return json_response(Model(id=model))
        return problem(404, "model_not_found", "nobody here has a model of this name", param="model")

    return router
