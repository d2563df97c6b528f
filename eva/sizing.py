"""How much of everything so many people need: arithmetic over measured figures (``eva.sizing_figures``).

Capacity is reckoned by what was carried when measured, at seven tenths of it: the rest is for peaks and for
whoever just died. One EVA (one broker, its queues) is a cell; more people than it holds are several cells
side by side, which share nothing: a person's conversations lie in one of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from eva.sizing_figures import (
    BROKER_CORE_S,
    EARS,
    GATEWAY_CORE,
    MEMORY_MIB,
    MIND_CORE_S,
    VOICE,
)
from shared.queues import LLM_WORK, TTS_WORK

FULL = 0.7
"""Of what was carried when measured."""
WORKER_CORES = 2
"""Of ears and of a voice, as they were measured."""
SLOTS = 16
"""Of a mind (EVA_LLM_SLOTS)."""
SESSIONS = 200
"""Of a gateway process at most (EVA_GATEWAY_MAX_SESSIONS)."""
FRAMES_S, FRAME_BYTES = 50, 640
"""Of a microphone: 20 ms at 16 kHz."""
SOUND_BYTES_S = 44_100
"""Of an answer: 22.05 kHz."""
CHUNKS_S = 1000 / 60
ROUTED = 2 / 3
"""Of the messages in a cluster of three: whose sender and hearer are at different nodes."""
BROKER_CORES = 4
"""That a node of the broker is given; it uses all of them."""
NODES = 3
LEAST = 2
"""Of each, so that one may go at any time."""


@dataclass(frozen=True, kw_only=True)
class Habits:
    """Who talks, and how. The defaults are an assumption: a lively conversation without a pause."""

    people: int
    """At the same time, each in a conversation."""
    turns_per_min: float = 4.0
    speech_s: float = 3.0
    """Of a person in a turn."""
    answer_s: float = 6.0
    """Of sound in an answer."""
    mind_s: float = 1.5
    """That a model takes for a whole answer."""
    is_open: bool = True
    """The microphone sends all the time; False: while somebody speaks."""
    ears: str = "whisper-tiny"
    """A name of ``EARS``."""
    tokens: int = 700
    """Of a turn, read and written."""

    @property
    def turns_per_s(self) -> float:
        """Of each person."""
        return self.turns_per_min / 60

    @property
    def speaking(self) -> float:
        """Share of the time in which a person speaks."""
        return min(1.0, self.turns_per_s * self.speech_s)

    @property
    def listening(self) -> float:
        """Share of the time in which a person hears EVA."""
        return min(1.0, self.turns_per_s * self.answer_s)


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one part needs in each cell."""

    part: str
    copies: int
    """Processes, pods."""
    cores: float
    memory_gib: float
    because: str
    """The arithmetic, readable."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What bounds one cell."""

    people: int
    because: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The answer."""

    habits: Habits
    cells: int
    people: int
    """In each cell."""
    bounds: list[Bound]
    """Of a cell, the narrowest first."""
    needs: list[Need]
    provider: str
    """What is asked of those who run the language model."""
    network: str

    @property
    def cores(self) -> float:
        """Of all cells."""
        return self.cells * sum(need.cores for need in self.needs)

    @property
    def memory_gib(self) -> float:
        """Of all cells."""
        return self.cells * sum(need.memory_gib for need in self.needs)


def plan(habits: Habits) -> Plan:
    """Returns what so many people need."""
    bounds = sorted(_bounds(habits), key=lambda bound: bound.people)
    cells = math.ceil(habits.people / bounds[0].people)
    people = math.ceil(habits.people / cells)
    needs = [_gateway(people), _ears(people, habits), _mind(people, habits), _voice(people, habits)]
    return Plan(
        habits=habits,
        cells=cells,
        people=people,
        bounds=bounds,
        needs=[*needs, _broker(people, habits, needs)],
        provider=_provider(habits),
        network=_network(habits),
    )


def _provider(habits: Habits) -> str:
    answers = habits.people * habits.turns_per_min
    return (
        f"{answers:.0f} answers and {answers * habits.tokens / 1e6:.1f} million tokens a minute "
        f"({habits.people} people × {habits.turns_per_min:g} turns × {habits.tokens} tokens)"
    )


def _network(habits: Habits) -> str:
    each = _frames_s(habits) * FRAME_BYTES + habits.listening * SOUND_BYTES_S
    return (
        f"{habits.people * each * 8 / 1e9:.2f} Gbit/s of sound between people and gateways, as much again "
        f"between gateways, broker and workers ({habits.people} people × {each / 1000:.1f} kB/s)"
    )


def _bounds(habits: Habits) -> list[Bound]:
    """Returns what one broker and its queues hold."""
    in_mind = habits.turns_per_s * habits.mind_s
    cores, core_s = NODES * BROKER_CORES, _broker_core_s(_frames_s(habits) + habits.listening * CHUNKS_S)
    return [
        Bound(
            people=_whole(FULL * LLM_WORK.capacity / in_mind),
            because=f"the queue of the mind holds {LLM_WORK.capacity} turns, waiting or in hand: {FULL} × "
            f"{LLM_WORK.capacity} / ({habits.turns_per_s:.3f} turns/s × {habits.mind_s:g} s)",
        ),
        Bound(
            people=_whole(FULL * TTS_WORK.capacity / habits.listening),
            because=f"the queue of the voice holds {TTS_WORK.capacity} segments, one in hand for each answer "
            f"that is heard: {FULL} × {TTS_WORK.capacity} / {habits.listening:.2f}",
        ),
        Bound(
            people=_whole(FULL * cores / core_s),
            because=f"{NODES} nodes of {BROKER_CORES} cores pass the sound on: {FULL} × {cores} cores / "
            f"{core_s:.5f}",
        ),
    ]


def _gateway(people: int) -> Need:
    each = min(SESSIONS, math.floor(FULL / GATEWAY_CORE.value))
    copies = _copies(people / each)
    return Need(
        part="gateway",
        copies=copies,
        cores=copies,
        memory_gib=_gib("gateway", copies),
        because=f"one core each: {FULL} / {GATEWAY_CORE.value:g} cores = {each} conversations ({SESSIONS} at "
        f"most); {people} / {each}",
    )


def _ears(people: int, habits: Habits) -> Need:
    carried = EARS[habits.ears].value
    copies = _copies(people / (FULL * carried))
    return Need(
        part="stt",
        copies=copies,
        cores=copies * WORKER_CORES,
        memory_gib=_gib("stt", copies),
        because=f"{WORKER_CORES} cores each: {FULL} × {carried:g} conversations ({habits.ears}); "
        f"{people} / {FULL * carried:.1f}",
    )


def _mind(people: int, habits: Habits) -> Need:
    rate = people * habits.turns_per_s
    in_hand = rate * habits.mind_s
    copies = _copies(in_hand / (FULL * SLOTS))
    return Need(
        part="llm",
        copies=copies,
        cores=math.ceil(10 * rate * MIND_CORE_S.value / FULL) / 10,
        memory_gib=_gib("llm", copies),
        because=f"{rate:.0f} turns/s × {habits.mind_s:g} s = {in_hand:.0f} in hand / ({FULL} × {SLOTS} "
        f"slots); processor: {rate:.0f} × {1000 * MIND_CORE_S.value:.1f} ms / {FULL}",
    )


def _voice(people: int, habits: Habits) -> Need:
    answers = people * habits.listening
    copies = _copies(answers / (FULL * VOICE.value))
    return Need(
        part="tts",
        copies=copies,
        cores=copies * WORKER_CORES,
        memory_gib=_gib("tts", copies),
        because=f"{WORKER_CORES} cores each: {FULL} × {VOICE.value:g} answers at a time; {people} × "
        f"{habits.listening:.2f} listening = {answers:.0f} / {FULL * VOICE.value:.1f}",
    )


def _broker(people: int, habits: Habits, needs: list[Need]) -> Need:
    gateways, workers = needs[0].copies, sum(need.copies for need in needs[1:])
    sound = people * (_frames_s(habits) + habits.listening * CHUNKS_S)
    facts = gateways * workers  # each worker tells each gateway, each second
    cores = _broker_core_s(sound + facts) / FULL
    return Need(
        part="nats",
        copies=NODES,
        cores=max(float(NODES), math.ceil(10 * cores) / 10),
        memory_gib=float(NODES),
        because=f"({sound:.0f} of sound + {gateways} × {workers} of facts) messages/s × "
        f"{1e6 * BROKER_CORE_S.value:.1f} µs, {ROUTED:.0%} of them by a second node, / {FULL}; a core and "
        "1 GiB a node at least",
    )


def _frames_s(habits: Habits) -> float:
    """Returns frames a second of a person's microphone."""
    return FRAMES_S * (1.0 if habits.is_open else habits.speaking)


def _broker_core_s(messages: float) -> float:
    """Returns cores of the broker for so many messages a second, of which some go by two nodes."""
    return messages * BROKER_CORE_S.value * (1 + ROUTED)


def _gib(part: str, copies: int) -> float:
    return math.ceil(10 * copies * MEMORY_MIB[part].value / 1024) / 10


def _copies(number: float) -> int:
    return max(LEAST, math.ceil(number))


def _whole(number: float) -> int:
    return max(1, math.floor(number))
