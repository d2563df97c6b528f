"""Speaking while EVA speaks: how soon she pauses, how soon she decides, and how often she is wrong.

The whole house as processes: a real socket, gateway, broker, the ears with their real detector, and a voice
that speaks a tone in real time for as long as a session lasts. A person with an open microphone says
"mm-hm", coughs, or really interrupts; what the socket tells then is what is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.listener import FRAME, FRAME_S
from benchmarks.speech import (
    LEAD_S,
    RATE_HZ,
    TAIL_S,
    Utterance,
    cough,
    floor,
    over_noise,
    prepare,
    utterance,
)

Kind = Literal["backchannel", "cough", "interruption"]
Verdict = Literal["stopped", "went on", "not paused"]

SPEAKS_S = 25.0
"""So long is one answer of the voice."""
SETTLE_S = 1.6
"""After the last sound this is waited for what comes of it."""
BEFORE_S = 0.7
"""EVA speaks for so long, undisturbed, before anybody says anything."""

BACKCHANNELS = {
    "en": ("mm-hm", "uh-huh", "yeah", "okay", "right", "i see", "yeah yeah", "oh okay"),
    "fr": ("oui", "d'accord", "ouais", "je vois", "hum", "oui oui", "ah d'accord"),
}
INTERRUPTIONS = {
    "en": (
        "stop",
        "wait a second",
        "no that is not what i meant",
        "stop please i have another question",
        "what do you mean by that",
        "yeah but what about tomorrow",
    ),
    "fr": ("attends", "arrête s'il te plaît", "non ce n'est pas ça", "oui mais je voulais autre chose"),
}
VOICES = {"en": ("en-us", "en-us+f3", "en", "en-us+m3"), "fr": ("fr", "fr+f3", "fr-be")}
SPEEDS = (0.9, 1.1, 1.3)
COUGHS_S = (0.12, 0.2, 0.3, 0.4)


@dataclass(frozen=True, slots=True)
class Stimulus:
    """Something that a person does while EVA speaks."""

    kind: Kind
    language: str
    sound: Utterance


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it; times in milliseconds."""

    stimulus: Stimulus
    verdict: Verdict
    pause_ms: float | None
    """The frame with the first sound was sent → ``pause`` was there."""
    decision_ms: float | None
    """``pause`` → ``resume`` or ``flush``."""
    stopped_ms: float | None
    """First sound → ``flush``."""


def stimuli(language: str, *, count: int, seed: int) -> list[Stimulus]:
    """Returns ``count`` of them, well mixed: three backchannels to one cough and two interruptions."""
    generator = np.random.default_rng(seed)
    phrases = (*BACKCHANNELS[language], *INTERRUPTIONS[language])
    prepare(itertools.product(phrases, VOICES[language], SPEEDS))

    def said(kind: Kind, phrases: Sequence[str], number: int) -> Stimulus:
        voice = VOICES[language][number % len(VOICES[language])]
        speed = SPEEDS[int(generator.integers(len(SPEEDS)))]
        phrase = phrases[number % len(phrases)]
        sound = utterance([phrase], voice=voice, speed=speed, seed=10_000 * seed + 97 * number + len(kind))
        return Stimulus(kind, language, sound)

    made: list[Stimulus] = []
    for number in range(count):
        if number % 6 == 1:
            made.append(coughed(COUGHS_S[number // 6 % len(COUGHS_S)], language, seed=seed + number))
        elif number % 2:
            made.append(said("interruption", INTERRUPTIONS[language], seed + number // 2))
        else:
            made.append(said("backchannel", BACKCHANNELS[language], seed + number // 2))
    return [made[index] for index in generator.permutation(count)]


def coughed(seconds: float, language: str, *, seed: int) -> Stimulus:
    """Returns a cough, in which there are no words."""
    burst = cough(seconds, seed)
    lead, tail = np.zeros(int(LEAD_S * RATE_HZ), np.int16), np.zeros(int(TAIL_S * RATE_HZ), np.int16)
    pcm = over_noise(np.concatenate([lead, burst, tail]), seed)
    return Stimulus("cough", language, Utterance("", pcm, (), len(lead), len(lead) + len(burst)))


@dataclass
class Person:
    """One session with an open microphone."""

    socket: ClientConnection
    sent: list[float] = field(default_factory=list)
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    heard_at: float = 0.0
    """When the last piece of EVA's sound came."""
    waiting: deque[bytes] = field(default_factory=deque)

    async def microphone(self, seed: int) -> None:
        """Sends 20 ms each 20 ms."""
        quiet = floor(50 * FRAME, seed)
        silence = itertools.cycle(quiet[at : at + FRAME].tobytes() for at in range(0, len(quiet), FRAME))
        began = time.perf_counter()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, began + number * FRAME_S - time.perf_counter()))
            self.sent.append(time.perf_counter())
            await self.socket.send(self.waiting.popleft() if self.waiting else next(silence))

    async def listen(self) -> None:
        """Takes what EVA says and tells."""
        async for message in self.socket:
            if isinstance(message, bytes):
                self.heard_at = time.perf_counter()
                continue
            event = json.loads(message)
            if event["type"] != "audio":
                self.events.append((time.perf_counter(), event))

    async def until_spoken_to(self) -> None:
        """Waits until EVA has spoken for a moment; asks her to where she does not."""
        speaking_since = None
        asked_at = 0.0
        async with asyncio.timeout(30):
            while True:
                now = time.perf_counter()
                is_speaking = now - self.heard_at < 0.2
                speaking_since = (speaking_since or now) if is_speaking else None
                if speaking_since is not None and now - speaking_since >= BEFORE_S:
                    return
                if not is_speaking and now - max(self.heard_at, asked_at) > 2.0:
                    await self.socket.send(json.dumps({"type": "message", "text": "go on"}))
                    asked_at = now
                await asyncio.sleep(FRAME_S)

    async def do(self, stimulus: Stimulus) -> Trial:
        """Lets the person do it; returns what came of it."""
        await self.until_spoken_to()
        first, since = len(self.sent), len(self.events)
        sound = stimulus.sound
        raw = sound.pcm[: len(sound.pcm) // FRAME * FRAME].tobytes()
        self.waiting += [raw[at : at + 2 * FRAME] for at in range(0, len(raw), 2 * FRAME)]
        await asyncio.sleep(len(sound.pcm) / RATE_HZ + SETTLE_S)
        onset_at = self.sent[first + sound.start // FRAME]
        return judged(stimulus, onset_at, self.events[since:])


def judged(stimulus: Stimulus, onset_at: float, events: Sequence[tuple[float, dict[str, Any]]]) -> Trial:
    """Returns what the events say of one stimulus."""
    first: dict[str, float] = {}
    for at, event in events:
        first.setdefault(event["type"], at)
    pause_at, stop_at = first.get("pause"), first.get("flush", first.get("interrupted"))
    decided = [at for at in (first.get("resume"), stop_at) if at is not None]
    verdict: Verdict = "stopped" if stop_at is not None else "not paused" if pause_at is None else "went on"
    return Trial(
        stimulus=stimulus,
        verdict=verdict,
        pause_ms=1000 * (pause_at - onset_at) if pause_at is not None else None,
        decision_ms=1000 * (min(decided) - pause_at) if pause_at is not None and decided else None,
        stopped_ms=1000 * (stop_at - onset_at) if stop_at is not None else None,
    )


async def interrupt(url: str, shares: Sequence[Sequence[Stimulus]]) -> list[Trial]:
    """Lets several people do their stimuli, each in a session of their own."""
    trials: list[Trial] = []

    async def person(number: int, own: Sequence[Stimulus]) -> None:
        start = {
            "type": "start",
            "language": own[0].language,
            "audio_in": {"rate_hz": RATE_HZ},
            "audio_out": {"format": "pcm", "rate_hz": 24000},
        }
        await asyncio.sleep(0.37 * number)
        async with connect(url, compression=None, max_size=None, proxy=None) as socket:
            await socket.send(json.dumps(start))
            someone = Person(socket)
            tasks = [
                asyncio.create_task(someone.microphone(number)),
                asyncio.create_task(someone.listen()),
            ]
            try:
                trials.extend([await someone.do(stimulus) for stimulus in own])
            finally:
                for task in tasks:
                    task.cancel()

    async with asyncio.TaskGroup() as tasks:
        for number, own in enumerate(shares):
            tasks.create_task(person(number, own))
    return trials
