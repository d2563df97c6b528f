"""The rest of what a review does to a running EVA: it interrupts her, asks her memory, watches her GPUs."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from eva.chat_client import NotRunning, SocketLost, conversation
from eva.gateway_client import Gateway, GatewayRefused
from eva.review_facts import CardSeen, InterruptionSeen, MemorySeen
from eva.review_level import first_audible, stopped_s, voiced_from_s
from eva.review_scale import words_of
from eva.review_talk import PAUSE_S, TooLate, talking, type_in
from eva.wav import Sound
from services.gateway.chat_protocol import Flush, Interrupted, Start, Stop, UserText
from services.gateway.transcript import Transcription
from shared.errors import EvaError

SAMPLE_S = 0.5
INTO_S = 0.6
"""So much of an answer is heard before somebody speaks into it."""
DECIDED_S = 15.0
STORY = (
    "Please tell me a long story about a lighthouse, its keeper and his dog, the sea in winter,"
    " the ships going by at night, and the birds on the rocks, from the beginning to the very end."
)
NAMES = ("Victoria", "Daniel", "Margaret", "Oliver", "Charlotte", "Benjamin")
_GAUGES = {
    "eva_gpu_utilisation_ratio": "utilisation",
    "eva_gpu_memory_bytes": "memory_bytes",
    "eva_gpu_process_memory_bytes": "process_bytes",
}


async def connects(url: str, count: int) -> tuple[list[float], int]:
    """Opens and closes conversations; returns what each took up to ``ready`` in ms, and how many failed."""
    took, failed = [], 0
    for _ in range(count):
        began_s = time.monotonic()
        try:
            async with conversation(url, Start(audio_out=None)) as socket:
                took.append(round(1000 * (time.monotonic() - began_s), 2))
                await socket.send(Stop())
        except (NotRunning, SocketLost):
            failed += 1
    return took, failed


async def interruption(url: str, sound: Sound) -> InterruptionSeen:
    """Speaks into a long answer."""
    try:
        async with talking(url, has_microphone=True) as (talked, ear):
            await asyncio.sleep(PAUSE_S)  # a microphone is open before anybody types
            await talked.socket.send(UserText(text=STORY))

            def heard_s() -> float | None:
                turns = talked.dialogue.turns
                return (
                    first_audible(ear.pieces.get(turns[0].turn_id, []), turns[0].rate_hz) if turns else None
                )

            await ear.until(
                lambda: heard_s() is not None or (talked.dialogue.turns and talked.dialogue.is_settled),
                what="no long answer to interrupt",
            )
            if heard_s() is None:
                return InterruptionSeen(error="the long answer to interrupt could not be heard")
            await asyncio.sleep(INTO_S)  # a person hears a little of it
            since_s = time.monotonic() + voiced_from_s(sound)
            talked.speak(sound)
            first = talked.dialogue.turns[0]
            with contextlib.suppress(TooLate):
                await ear.until(
                    lambda: ear.at_s(Flush, Interrupted, since_s=since_s) is not None, within_s=DECIDED_S
                )
            quiet_s, ended_s = stopped_s((at, event) for at, event in ear.events if at >= since_s)
            if first.outcome == "open":  # its end is on the way, with what is remembered as heard
                await ear.until(lambda: first.outcome != "open")
            return InterruptionSeen(
                stopped_ms=None if quiet_s is None else round(1000 * (quiet_s - since_s), 1),
                ended_ms=None if ended_s is None else round(1000 * (ended_s - since_s), 1),
                is_kept_told=first.kept is not None,
                kept=first.kept or "",
                text=first.text,
            )
    except EvaError as error:
        return InterruptionSeen(error=str(error))


async def memory(url: str) -> MemorySeen:
    """Tells a name, asks it back, and asks again on a new socket."""
    name = secrets.choice(NAMES)
    saw = MemorySeen()
    try:
        async with talking(url, has_microphone=False, has_voice=False) as (talked, ear):
            session_id = talked.socket.ready.session_id
            await type_in(talked, ear, f"My name is {name}.", include_audio=False)
            answer = await type_in(talked, ear, "What is my name?", include_audio=False)
        saw = MemorySeen(is_known=_names(answer.text, name))
        async with talking(url, has_microphone=False, has_voice=False, session_id=session_id) as (
            talked,
            ear,
        ):
            is_resumed = talked.socket.ready.is_resumed
            answer = await type_in(talked, ear, "What is my name?", include_audio=False)
        return msgspec.structs.replace(saw, is_resumed=is_resumed, is_known_after=_names(answer.text, name))
    except EvaError as error:
        return msgspec.structs.replace(saw, error=str(error))


def _names(text: str, name: str) -> bool:
    return any(word.startswith(name.casefold()) for word in words_of(text))


async def read_back(gateway: Gateway, wav: bytes) -> str:
    """Returns what EVA's ears read in a recording; empty where they read nothing or refuse."""
    wish = {"response_format": "json", "language": "en"}
    try:
        answer = await gateway.transcribe(wav, wish, lambda _sent, _total: None)
        return msgspec.json.decode(answer, type=Transcription).text
    except (NotRunning, GatewayRefused, msgspec.DecodeError):
        return ""


@dataclass
class Cards:
    """The GPUs' figures, sampled while turns run."""

    seen: dict[tuple[str, str], CardSeen] = field(default_factory=dict)
    has_metrics: bool = True

    def take(self, text: str) -> None:
        """Takes one answer of ``/metrics``; keeps the most of each figure."""
        told: dict[tuple[str, str], dict[str, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples if family.name in _GAUGES else ():
                key = (sample.labels.get("stage", ""), sample.labels.get("device", ""))
                told.setdefault(key, {})[_GAUGES[family.name]] = sample.value
        for key, figures in told.items():
            last = self.seen.get(key, CardSeen(stage=key[0], device=key[1]))
            most = {name: max(value, getattr(last, name) or 0.0) for name, value in figures.items()}
            self.seen[key] = msgspec.structs.replace(last, samples=last.samples + 1, **most)

    async def watch(self, gateway: Gateway) -> None:
        """Samples until cancelled, or until the metrics cannot be read."""
        while True:
            try:
                self.take(await gateway.metrics())
            except GatewayRefused:
                self.has_metrics = False
                return
            except NotRunning:
                pass  # it may come back; the turns tell that it was gone
            await asyncio.sleep(SAMPLE_S)


@contextlib.asynccontextmanager
async def sampled(gateway: Gateway) -> AsyncIterator[Cards]:
    """Samples the GPUs as long as the caller stays inside."""
    cards = Cards()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(cards.watch(gateway), name="cards")
        yield cards
        watching.cancel()
