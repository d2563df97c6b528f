"""What a Realtime session's settings are in EVA's own terms. Pure."""

from __future__ import annotations

import re
from typing import Literal

from services.gateway.chat_protocol import AudioIn, AudioOut, BargeIn, Start, Tool, TurnTaking
from services.gateway.realtime.names import Names
from services.gateway.realtime.session_types import (
    AudioFormat,
    NamedFunction,
    Pcm,
    Pcma,
    Pcmu,
    SemanticVad,
    ServerVad,
    SessionConfig,
)
from services.gateway.turn_io import Wish

LONGEST_MS = {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}
"""Of a pause in a turn that is not over by its words, by eagerness: OpenAI's. EVA's ears wait 5 s at most."""
SHORTEST_MS = {"low": 500, "medium": 300, "auto": 300, "high": 200}
"""Behind words that are plainly a whole turn."""
LEAST_SILENCE_MS, MOST_SILENCE_MS = 100, 5000
LEAST_THRESHOLD, MOST_THRESHOLD = 0.05, 0.95
"""EVA's own bounds; what is beyond them is taken as the bound."""
G711_HZ: Literal[8000] = 8000

_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:[-_].*)?")


def to_start(config: SessionConfig, names: Names) -> Start:
    """Returns how EVA's session listens and speaks.

    Instructions and functions are no part of it: they are each answer's (``to_wish``). Where the output is
    text only, or there is none, no sound is asked for.
    """
    has_sound = config.type == "realtime" and "audio" in config.output_modalities
    return Start(
        voice=names.voice(config.audio.output.voice),
        language=_language(config),
        audio_in=AudioIn(rate_hz=24000 if isinstance(config.audio.input.format, Pcm) else G711_HZ),
        audio_out=_audio_out(config.audio.output.format) if has_sound else None,
        end_silence_ms=_end_silence_ms(config),
        turn_taking=_turn_taking(config),
        barge_in=_barge_in(config),
    )


def to_wish(config: SessionConfig, names: Names) -> Wish:
    """Returns how an answer is to be made; of one response by its ``overridden`` settings."""
    choice = config.tool_choice
    tools = tuple(
        Tool(name=tool.name, description=tool.description, parameters=tool.parameters)
        for tool in config.tools
    )
    return Wish(
        persona=config.instructions or None,
        tools=tools,
        tool_choice=choice.name if isinstance(choice, NamedFunction) else choice,
        max_tokens=0 if config.max_output_tokens == "inf" else config.max_output_tokens,
        model=names.model(config.model),
        speed=config.audio.output.speed,
        hands_over=True,
    )


def answers_by_itself(config: SessionConfig) -> bool:
    """Whether the end of what the person says begins a response."""
    detection = config.audio.input.turn_detection
    return config.type == "realtime" and detection is not None and detection.create_response


def _language(config: SessionConfig) -> str:
    transcription = config.audio.input.transcription
    found = _LANGUAGE.fullmatch((transcription and transcription.language) or "")
    return found[1].lower() if found else ""


def _audio_out(wanted: AudioFormat) -> AudioOut:
    match wanted:
        case Pcmu():
            return AudioOut(format="mulaw", rate_hz=G711_HZ)
        case Pcma():
            return AudioOut(format="alaw", rate_hz=G711_HZ)
        case _:
            return AudioOut(format="pcm", rate_hz=24000)


def _end_silence_ms(config: SessionConfig) -> int:
    detection = config.audio.input.turn_detection
    wanted = detection.silence_duration_ms if isinstance(detection, ServerVad) else 500
    return min(max(wanted, LEAST_SILENCE_MS), MOST_SILENCE_MS)


def _turn_taking(config: SessionConfig) -> TurnTaking:
    answers = answers_by_itself(config)
    match config.audio.input.turn_detection:
        case ServerVad(threshold=threshold):
            bounded = min(max(threshold, LEAST_THRESHOLD), MOST_THRESHOLD)
            return TurnTaking(mode="silence", threshold=bounded, answers=answers)
        case SemanticVad(eagerness=eagerness):
            longest_ms = min(LONGEST_MS[eagerness], MOST_SILENCE_MS)
            return TurnTaking(
                min_silence_ms=SHORTEST_MS[eagerness], max_silence_ms=longest_ms, answers=answers
            )
        case _:
            return TurnTaking(mode="manual", answers=answers)


def _barge_in(config: SessionConfig) -> BargeIn:
    """Server detection stops the answer at the first sound; the semantic one judges it first."""
    detection = config.audio.input.turn_detection
    if config.type != "realtime" or detection is None or not detection.interrupt_response:
        return BargeIn(mode="off")
    return BargeIn(mode="immediate" if isinstance(detection, ServerVad) else "judge")
