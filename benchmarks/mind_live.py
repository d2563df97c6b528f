"""The same trace in real time: real processes, broker, sockets, SDKs; a voice that costs nothing."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from benchmarks.house import house
from benchmarks.mind_trace import MODEL, OTHER_MODEL, providers
from benchmarks.talker import talker

ZERO = {name: ["eva.stand_ins", name] for name in ("stt", "tts")}
PAUSES_S = (0.3, 1.2)
"""Between two turns: shorter than people's, so that the sample does not take an hour."""


@dataclass
class Live:
    """One value a turn, milliseconds."""

    token_ms: list[float] = field(default_factory=list)
    sound_ms: list[float] = field(default_factory=list)
    """The first of any kind."""
    alone_ms: list[float] = field(default_factory=list)
    """What the first route would have taken to the first token in these turns."""
    fillers: int = 0
    hedges: int = 0
    wins: int = 0
    requests: int = 0
    failed: int = 0


async def live(turns: int, *, people: int, seed: int) -> Live:
    """Returns what so many people met who type at the same time."""
    found = Live()
    numbers = iter(range(turns))
    async with providers(seed) as (first, second):
        environment = {
            "GROQ_API_KEY": "k",
            "EVA_LLM_GROQ_BASE_URL": first.root,
            "EVA_LLM_ROUTES": f"groq:{MODEL} openai:{second.base_url}:{OTHER_MODEL} companion",
            "EVA_LLM_DISCOVER": "off",
            "EVA_GATEWAY_SPECULATION": "off",
        }
        async with house({**ZERO, "llm": ["services.llm"]}, environment) as built:

            async def one(person: int) -> None:
                chance = random.Random(f"{seed}:{person}")
                async with talker(built.socket_url, {"language": "en"}) as client:
                    await client.typed("Question 0.")
                    for number in numbers:
                        await asyncio.sleep(chance.uniform(*PAUSES_S))
                        try:
                            turn = await client.typed(f"Question {number}.")
                        except RuntimeError:  # an error event
                            found.failed += 1
                            continue
                        found.alone_ms.append(1000 * first.trace.first_token_s(number))
                        _count(found, turn.first_audio_ms, turn.done)

            async with asyncio.TaskGroup() as tasks:
                for person in range(people):
                    tasks.create_task(one(person))
        found.requests = len(first.requests) + len(second.requests) - people
    return found


def _count(found: Live, sound_ms: float, done: dict[str, Any]) -> None:
    timeline, route = done["timeline"], done.get("route") or {}
    found.token_ms.append(timeline["first_token_ms"])
    found.sound_ms.append(sound_ms)
    found.fillers += timeline.get("fillers", 0)
    found.hedges += bool(route.get("is_hedged"))
    found.wins += bool(route.get("has_hedge_won"))
