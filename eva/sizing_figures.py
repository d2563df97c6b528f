"""The measured figures that ``eva sizing`` reckons with, and where each was measured: change them here alone.

They are of two cores that clients and broker shared, so they are rather too high than too low.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure."""

    value: float
    unit: str
    what: str
    source: str
    """Section and row of docs/benchmarks.md, or what measured it."""


GATEWAY_CORE = Figure(
    value=0.0079,
    unit="cores",
    what="the gateway for each conversation, 50 frames a second both ways",
    source="Turns (e): gateway",
)
EARS = {
    "whisper-tiny": Figure(
        value=24,
        unit="conversations",
        what="Whisper tiny on 2 cores, text ready at the end of a turn",
        source="Ears (e): Whisper tiny, batched by 4 (slots 27), 24 sessions",
    ),
    "pocketsphinx": Figure(
        value=2,
        unit="conversations",
        what="PocketSphinx on 2 cores, text ready at the end of a turn",
        source="Ears (e): pocketsphinx (slots 3), 2 sessions",
    ),
}
VOICE = Figure(
    value=12,
    unit="answers",
    what="Piper medium on 2 cores, without a break in any",
    source="Voice (c): 12",
)
MIND_CORE_S = Figure(
    value=0.00616,
    unit="core-seconds",
    what="the mind for each answer, the provider's client included",
    source="Mind (c): EVA's chain and adapter: processor time",
)
MEMORY_MIB = {
    "gateway": Figure(value=56, unit="MiB", what="a gateway", source="Turns (d): gateway"),
    "stt": Figure(value=223, unit="MiB", what="ears", source="Turns (d): stt"),
    "llm": Figure(value=41, unit="MiB", what="a mind", source="Turns (d): llm"),
    "tts": Figure(value=77, unit="MiB", what="a voice", source="Turns (d): tts"),
}
BROKER_CORE_S = Figure(
    value=0.00002,
    unit="core-seconds",
    what="the broker for each frame, of a gateway with 100 microphones (of 1000 a fifth of it)",
    source="python -m benchmarks.broker: 100 microphones",
)
