"""The effective session: how it begins, what a client changes in it, how it is told. Pure.

``session.update`` merges: what is absent stays, null is the default again, and of the input's
``transcription``, ``noise_reduction`` and ``turn_detection`` null means off. A ``turn_detection`` of another
type begins from that type's defaults. What is unknown is ignored, as are ``include`` and ``prompt``, which
EVA has nothing for; names of the beta are refused, because they would be ignored without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from services.gateway.realtime.checks import check
from services.gateway.realtime.client_events import ResponseParams
from services.gateway.realtime.errors import RealtimeError
from services.gateway.realtime.parsing import of_reason
from services.gateway.realtime.session_types import Audio, AudioOutput, SessionConfig

MAX_DEPTH = 64
"""Of objects and arrays within each other, in a patch."""
BETA_FIELDS = {
    "modalities": "output_modalities",
    "voice": "audio.output.voice",
    "input_audio_format": 'audio.input.format {"type": "audio/pcm", "rate": 24000}',
    "output_audio_format": 'audio.output.format {"type": "audio/pcm", "rate": 24000}',
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
    "max_response_output_tokens": "max_output_tokens",
    "speed": "audio.output.speed",
    "temperature": "nothing: it is no part of the protocol any more",
}
"""Of the flat session that the beta had, and what is to be sent in its place."""
_FIXED = ("id", "object", "expires_at")
_KEPT = (*_FIXED, "type", "model")
"""Null leaves them as they are."""


def initial(
    session_id: str,
    *,
    model: str,
    expires_at: int,
    voice: str = "",
    kind: Literal["realtime", "transcription"] = "realtime",
) -> SessionConfig:
    """Returns the session as it is before the client has said anything.

    ``expires_at``: seconds since 1970. ``voice``: its name as it is told, ``""``: EVA's own.
    """
    audio = Audio(output=AudioOutput(voice=voice or "eva"))
    return SessionConfig(id=session_id, type=kind, model=model, expires_at=expires_at, audio=audio)


def update(config: SessionConfig, patch: Mapping[str, Any], *, has_spoken: bool = False) -> SessionConfig:
    """Returns the session with a client's changes; ``has_spoken``: EVA's voice was heard in it.

    Raises:
        RealtimeError: a value of a wrong type or out of its range, a name of the beta, or another voice
            where one was heard already; nothing is changed then. ``param`` is the path from ``session`` on.
    """
    _refuse_depth(patch, "session")
    _refuse_beta(patch)
    changed = _convert(_merged(msgspec.to_builtins(config), patch), "session")
    check(changed, "session")
    if has_spoken and changed.audio.output.voice != config.audio.output.voice:
        raise RealtimeError(
            "Cannot update a conversation's voice if assistant audio is present.", code="cannot_update_voice"
        )
    return changed


def overridden(config: SessionConfig, response: ResponseParams | None) -> SessionConfig:
    """Returns the session as one response has it, by the parameters of its ``response.create``.

    Raises:
        RealtimeError: as ``update``; ``param`` is the path from ``response`` on.
    """
    if response is None:
        return config
    wanted = {
        "output_modalities": response.output_modalities,
        "instructions": response.instructions,
        "tools": response.tools,
        "tool_choice": response.tool_choice,
        "max_output_tokens": response.max_output_tokens,
    }
    patch: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
    if response.audio is not None and response.audio.output is not None:
        patch["audio"] = {"output": msgspec.to_builtins(response.audio.output)}
    _refuse_depth(patch, "response")
    base = msgspec.to_builtins(config)
    if response.tools is not None and response.tool_choice is None and isinstance(base["tool_choice"], dict):
        del base["tool_choice"]  # it may name a function that this response has not
    changed = _convert(_merged(base, patch), "response")
    check(changed, "response")
    return changed


def as_wire(config: SessionConfig) -> dict[str, Any]:
    """Returns the whole session as events tell it."""
    audio: dict[str, Any] = {}
    for side, settings in msgspec.to_builtins(config.audio).items():
        audio[side] = {key: _bare(value) for key, value in settings.items() if value is not None}
    wire = {"object": "realtime.session", **_bare(msgspec.to_builtins(config)), "audio": audio}
    if config.type == "realtime":
        return wire
    return {
        "object": "realtime.transcription_session",
        "id": config.id,
        "type": config.type,
        "expires_at": config.expires_at,
        "audio": {"input": audio["input"]},
    }


def _bare(value: Any) -> Any:
    """Returns an object without its nulls; anything else as it is."""
    return {key: inner for key, inner in value.items() if inner is not None} if type(value) is dict else value


def _convert(merged: dict[str, Any], within: str) -> SessionConfig:
    try:
        return msgspec.convert(merged, SessionConfig)
    except msgspec.ValidationError as error:
        raise of_reason(str(error), within=within) from error


def _merged(base: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings with the changes in them, not checked; null members are left out."""
    merged = dict(base)
    for key, value in patch.items():
        if key in _FIXED or key == "audio" or (value is None and key in _KEPT):
            continue
        _put(merged, key, value)
    if isinstance(tools := merged.get("tools"), list | tuple):
        merged["tools"] = [_bare(tool) for tool in tools]
    audio = patch.get("audio")
    if not isinstance(audio, dict):
        return merged if audio is None else {**merged, "audio": audio}
    merged["audio"] = sides = dict(base["audio"])
    for side in ("input", "output"):
        given = audio.get(side)
        if isinstance(given, dict):
            sides[side] = _merged_side(sides[side], given)
        elif given is not None:
            sides[side] = given
    return merged


def _merged_side(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in given.items():
        match key, value:
            case (("transcription" | "noise_reduction" | "turn_detection"), None):
                merged[key] = None
            case (("transcription" | "noise_reduction" | "turn_detection"), dict()):
                merged[key] = _merged_switch(base.get(key), value)
            case "voice", {"id": voice}:
                merged[key] = voice
            case "format", {**wanted}:
                merged[key] = {"type": "audio/pcm", **_bare(wanted)} if wanted.get("rate") else _bare(wanted)
            case _:
                _put(merged, key, value)
    return merged


def _merged_switch(base: dict[str, Any] | None, given: dict[str, Any]) -> dict[str, Any]:
    """Returns what is on, changed; of another type than before it begins anew."""
    kind = given.get("type")
    is_same = base is not None and (kind is None or kind == base.get("type"))
    merged = dict(base) if base is not None and is_same else {}
    for key, value in given.items():
        _put(merged, key, value)
    if base is not None and is_same and "type" in base:
        merged["type"] = base["type"]
    return merged


def _put(settings: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        settings.pop(key, None)
    else:
        settings[key] = value


def _refuse_beta(patch: Mapping[str, Any]) -> None:
    for name, instead in BETA_FIELDS.items():
        if patch.get(name) is not None:
            message = f"Unknown parameter: 'session.{name}' is of the beta; send {instead}."
            raise RealtimeError(message, code="unknown_parameter", param=f"session.{name}")


def _refuse_depth(patch: Any, within: str) -> None:
    """What is nested deeper than anything that makes sense would exhaust the stack of whoever reads it."""
    level = [patch]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    message = f"At most {MAX_DEPTH} objects and arrays may stand within each other."
    raise RealtimeError(message, code="invalid_value", param=within)


def _inside(value: Any) -> list[Any]:
    members = (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    )
    return [member for member in members if isinstance(member, Mapping | list | tuple)]
