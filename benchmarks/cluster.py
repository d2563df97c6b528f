"""What people notice when parts of a cluster die: three brokers, two gateways, two of each worker.

``python -m benchmarks.cluster [PEOPLE [FOLDER]]``: people with real sockets, some of them speaking, talk all
the time while every process is killed once (SIGKILL) and started again, then the leaders of both work queues,
then a whole "machine": a broker, a gateway and a worker of each stage at once. Prints what
docs/benchmarks.md shows.
Everything runs on one machine, so the network between machines is not measured. A process that ends though
nobody killed it is told on stderr; with a folder all logs are kept there.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import machine
from shared.queues import LLM_WORK, TTS_WORK
from tests.cluster.people import Person, Turn
from tests.cluster.town import STAGES, Town, town
from tests.fakes.provider import FakeProvider, Reply

PEOPLE, EVERY_SPEAKER = 8, 4
"""One of so many speaks; the others type."""
QUIET_S, WATCH_S = 20.0, 10.0
"""Before the first fault, and behind each one: longer than an election and everything that follows it."""
WORDS = ("I", " have", " looked", " it", " up", " for", " you", ",", " and", " it", " is", " simple", ".")
REPLY = Reply(tokens=WORDS, first_delay_s=0.05, delay_s=0.02)
LONG_S = 1.0
"""Silences beyond it are told one by one on stderr, by the time since the first fault."""
LAST_LINES = 20
_TITLE = """\
| fault | in flight | begun | answered | errors told | over at return | lost | typed (s) | spoken (s) |
|---|--:|--:|--:|--:|--:|--:|--:|--:|"""
"""The last two: the worst silence of who types, and of who speaks."""


@dataclass(frozen=True)
class Fault:
    """What was done, and when."""

    name: str
    at: float
    until: float


class Crowd:
    """The people, and what becomes of their turns."""

    def __init__(self, place: Town, count: int) -> None:
        self.people = [
            Person(
                number, lambda: [place.url(f"gateway{each}") for each in (1, 2)], not number % EVERY_SPEAKER
            )
            for number in range(count)
        ]

    def silences(self, since: float, until: float, *, spoken: bool) -> list[float]:
        """Returns all silences that ended then, of those who speak or of those who type."""
        return [
            silence
            for person in self.people
            if person.speaks is spoken
            for turn in person.turns
            for at, silence in turn.silences
            if since <= at <= until
        ]

    def turns(self, fault: Fault) -> tuple[list[Turn], list[Turn]]:
        """Returns the turns that were open at a fault, and those that were begun soon behind it."""
        all_turns = [turn for person in self.people for turn in person.turns]
        ends = [turn for turn in all_turns if turn.asked_at < fault.at < (turn.ended_at or fault.until)]
        return ends, [turn for turn in all_turns if fault.at <= turn.asked_at <= fault.until]

    def row(self, fault: Fault) -> str:
        """Returns a fault's line of the table."""
        in_flight, begun = self.turns(fault)
        outcomes = Counter(turn.outcome for turn in in_flight + begun)
        errors = {name: count for name, count in outcomes.items() if name.startswith("error")}
        told = ", ".join(f"{count} {name.removeprefix('error ')}" for name, count in errors.items()) or "0"
        answered = outcomes["done"] + outcomes["interrupted"]
        worst = [
            max(self.silences(fault.at, fault.until, spoken=spoken), default=0.0) for spoken in (False, True)
        ]
        return (
            f"| {fault.name} | {len(in_flight)} | {len(begun)} | {answered} | {told} "
            f"| {outcomes['told over']} | {outcomes['open']} | {worst[0]:.2f} | {worst[1]:.2f} |"
        )


async def _killed(place: Town, *names: str) -> Callable[[], Awaitable[None]]:
    services = [place.services[name] for name in names]
    for service in services:
        service.signal(signal.SIGKILL)
    await asyncio.gather(*(service.wait() for service in services))

    async def again() -> None:
        await asyncio.gather(*(service.start() for service in services))

    return again


async def _revive(place: Town) -> None:
    """Starts who ended though nobody killed it, as a supervisor does, and tells of it."""
    for service in place.services.values():
        if not service.is_running:
            last = "\n".join(service.said().splitlines()[-LAST_LINES:])
            sys.stderr.write(f"{service.name} ended by itself:\n{last}\n")
            await service.start()


async def _tour(place: Town, crowd: Crowd) -> list[Fault]:
    """Does everything once; returns when each was done."""
    faults: list[Fault] = []

    async def suffer(name: str, kill: Callable[[], Awaitable[Callable[[], Awaitable[None]]]]) -> None:
        at = time.monotonic()
        again = await kill()
        await asyncio.sleep(WATCH_S)
        faults.append(Fault(name, at, time.monotonic()))
        sys.stderr.write(f"{at - faults[0].at:.1f} {crowd.row(faults[-1])}\n")
        await again()
        await _revive(place)
        await place.cluster.until_formed()
        await place.until_ready()

    for stage in STAGES:
        for number in (1, 2):
            await suffer(f"{stage} {number} killed", lambda s=stage, n=number: _killed(place, f"{s}{n}"))  # type: ignore[misc]
    for queue, what in ((LLM_WORK, "mind"), (TTS_WORK, "voice")):
        for which, led in ((0, "queue"), (1, "queue's consumer")):
            node = (await place.cluster.leaders(queue.name))[which]

            async def kill_node(node: object = node) -> Callable[[], Awaitable[None]]:
                await node.kill()  # type: ignore[attr-defined]
                return node.start  # type: ignore[attr-defined, no-any-return]

            await suffer(f"broker killed that led the {what}'s {led}", kill_node)

    async def kill_machine() -> Callable[[], Awaitable[None]]:
        node, services = place.machine(1)
        _, again = await asyncio.gather(node.kill(), _killed(place, *(each.name for each in services)))

        async def both() -> None:
            await node.start()
            await again()

        return both

    await suffer("machine 1 killed: broker, gateway, one of each worker", kill_machine)
    return faults


async def main(count: int, folder: str = "") -> str:
    """Returns the report; ``folder``: where logs are kept."""
    async with FakeProvider(REPLY) as provider:
        with tempfile.TemporaryDirectory() as passing:
            async with town(Path(folder or passing), EVA_LLM_BASE_URL=provider.base_url) as place:
                return await _measure(place, Crowd(place, count))


async def _measure(place: Town, crowd: Crowd) -> str:
    living = [asyncio.create_task(person.live()) for person in crowd.people]
    began = time.monotonic()
    await asyncio.sleep(QUIET_S)
    quiet = [max(crowd.silences(began, time.monotonic(), spoken=each), default=0.0) for each in (False, True)]
    faults = await _tour(place, crowd)
    for person in crowd.people:
        person.is_leaving = True
    await asyncio.gather(*living)
    known = await asyncio.gather(*(person.knows() for person in crowd.people))
    return _report(crowd, faults, quiet, known)


def _report(crowd: Crowd, faults: list[Fault], quiet: list[float], known: list[int]) -> str:
    people = crowd.people
    turns = [turn for person in people for turn in person.turns]
    outcomes = Counter(turn.outcome for turn in turns)
    forgotten = [gap for person in people for gap in person.forgotten]
    short = [
        (person.answered, turns_known)
        for person, turns_known in zip(people, known, strict=True)
        if turns_known < person.answered
    ]
    summary = f"""\
On {machine()}.
{len(people)} people, {sum(each.speaks for each in people)} of them speaking; {len(turns)} turns: \
{", ".join(f"{count} {name}" for name, count in outcomes.most_common())}.
In quiet times the worst silence is {quiet[0]:.2f} s for who types and {quiet[1]:.2f} s for who speaks.
{sum(person.returns for person in people)} sockets were replaced; \
{sum(person.unheard for person in people)} utterances were not heard and said again.
At a return fewer turns were known than had been answered: {len(forgotten)} times; \
at the end: {len(short)}."""
    for turn in (
        turn for turn in turns if max((length for _, length in turn.silences), default=0.0) > LONG_S
    ):
        when = ", ".join(f"{length:.2f} s until {at - faults[0].at:.1f}" for at, length in turn.silences)
        sys.stderr.write(f"{turn.turn_id[-6:]} of {turn.person}, {turn.outcome}: {when}\n")
    rows = "\n".join(crowd.row(fault) for fault in faults)
    return f"{summary}\n\n{_TITLE}\n{rows}\n"


if __name__ == "__main__":
    print(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else PEOPLE, *sys.argv[2:3])))
