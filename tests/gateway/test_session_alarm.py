"""A session's alarm and the sound of an answer: as long as it goes on, nothing is overdue."""

from __future__ import annotations

import asyncio

from services.gateway.chat_protocol import AudioEvent, AudioOut, Start
from services.gateway.session import Session
from services.gateway.turn_io import Input, Tick
from shared.messages import AudioChunk, Synthesize
from tests.fakes.virtual_time import virtual_time
from tests.fakes.workers import CHUNK_MS
from tests.gateway.rig import POLICY, Client, make_place

RATE_HZ, SAMPLES = 16_000, 16_000 * CHUNK_MS // 1000
START = Start(audio_out=AudioOut(rate_hz=RATE_HZ))


def chunk(work: Synthesize, number: int) -> AudioChunk:
    return AudioChunk(
        turn=work.turn, attempt=work.attempt, segment=work.segment, take=work.take, seq=number,
        start=SAMPLES * number, samples=SAMPLES, rate_hz=RATE_HZ, codec="pcm", level=0.1,
        data=b"\1\0" * SAMPLES,
    )  # fmt: skip


class Fed:
    """Inputs of a session's turn machine."""

    def __init__(self, session: Session) -> None:
        self.inputs: list[Input] = []
        self._handle = session._machine.handle
        session._machine.handle = self._take  # type: ignore[method-assign]

    def _take(self, event: Input, now: float) -> object:
        self.inputs.append(event)
        return self._handle(event, now)

    def ticks(self) -> int:
        return sum(isinstance(event, Tick) for event in self.inputs)


@virtual_time
async def test_the_turn_machine_is_not_woken_while_sound_goes_on_and_is_once_it_stops() -> None:
    client = Client()
    async with make_place() as place, place.hub.session(START, client) as session:
        place.workers.faults.gate.clear()
        session.say("a rather long line")
        await client.sees(AudioEvent)
        work, fed = place.workers.synthesized[0], Fed(session)
        for number in range(1, 80):
            session.deliver(chunk(work, number))
            await asyncio.sleep(CHUNK_MS / 1000)
        assert fed.ticks() == 0
        assert len(client.of(AudioEvent)) == 80
        await asyncio.sleep(3 * POLICY.beat_lost_s)
        assert fed.ticks() > 0, "the voice is silent, which is to be noticed"
