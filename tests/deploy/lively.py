"""A whole EVA with a bit of everything going on, scraped by a real Prometheus as deploy/prometheus has it.

Ears and voice are those that need no download, the mind's two routes are providers on loopback. No machine
of the tests has a GPU: one more target tells of a card, in the words of a worker's own code; its numbers were
measured nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from eva.place import free_port
from services.gateway.chat_protocol import AudioEvent, ErrorEvent, FinalEvent, Flush, Interrupt, Resume
from shared.gpu_metrics import Card, GpuMetrics
from tests.deploy.prometheus import Prometheus, scraping
from tests.e2e.house import STAGES, House
from tests.e2e.talker import Talker
from tests.fakes.provider import STALL_S, FakeProvider, RateLimits, Reply
from tests.fakes.speech import silence, speech

GIB = float(1 << 30)
CARD = Card(
    stage="tts",
    device="cuda:0",
    utilisation=0.37,
    memory_bytes=3 * GIB,
    memory_total_bytes=24 * GIB,
    process_memory_bytes=GIB,
    celsius=58.0,
)
PLAIN = Reply(tokens=(" I", " am", " very", " well,", " thank", " you."))
STORY = Reply(
    tokens=tuple(f" number {count} is a very nice one, I think." for count in range(1, 41)), delay_s=1.5
)
"""Still in the making whenever somebody speaks into it, on a slow machine too."""
SILENT = Reply(first_delay_s=STALL_S)
LATE = Reply(first_delay_s=0.8)
BROKEN = Reply(status=503)
PATIENT = {
    "EVA_LLM_CONNECT_S": "30",
    "EVA_LLM_FIRST_TOKEN_S": "60",
    "EVA_LLM_SERVER_FIRST_TOKEN_S": "60",
    "EVA_LLM_SLOW_S": "30",
    "EVA_STT_WARMUP_S": "200",
    "EVA_TTS_WARM_UP_S": "200",
    "EVA_GATEWAY_FILLER_MS": "450",
}
"""However slow the machine, its engines serve, and the providers answer and not the companion."""


@dataclass
class Lively:
    """EVA, who watches her, and her providers."""

    home: House
    prometheus: Prometheus
    first: FakeProvider
    second: FakeProvider
    ports: dict[str, int]
    """Of the workers' figures."""

    def answer(self, first: list[Reply], second: list[Reply] | None = None) -> None:
        """Says what the routes answer next; the second as the first where it is not named."""
        self.first.replies, self.second.replies = first, list(first if second is None else second)

    async def typed(self, person: Talker) -> None:
        """A turn in which all goes well."""
        self.answer([PLAIN])
        await person.ask("How are you?")

    async def spoken(self, person: Talker) -> None:
        """The same, spoken."""
        self.answer([PLAIN])
        count = len(person.of(FinalEvent))
        await person.say(speech("what is my name"))
        final = await person.hears(FinalEvent, count=count + 1)
        assert final.turn_id is not None
        await person.play(await person.done(final.turn_id))

    async def interrupted(self, person: Talker) -> None:
        """Somebody speaks into the answer, it is decided what that is, and a button ends the rest."""
        self.answer([STORY, PLAIN])
        turn_id = await person.type("Tell me a story.")
        await person.hears(AudioEvent, where=lambda event: event.turn_id == turn_id)
        await person.say(np.concatenate([silence(1.0), speech("stop please i have another question")]))
        await person.until(lambda: person.of(Resume) or person.of(Flush), what="a decision")
        await person.hears(FinalEvent)
        await person.socket.send(Interrupt())
        await person.end_of(turn_id)

    async def hedged(self, person: Talker) -> None:
        """The first route is silent, the second answers, late enough for a filler."""
        self.answer([SILENT], [LATE])
        await person.ask("How are you?")

    async def failed(self, person: Talker) -> None:
        """The only mind is killed while it speaks, and started anew."""
        self.answer([STORY])
        turn_id = await person.type("Tell me a story.")
        await person.hears(AudioEvent, where=lambda event: event.turn_id == turn_id)
        await self.home["llm"].kill()
        assert isinstance(await person.end_of(turn_id), ErrorEvent)
        await self.home.start("llm", EVA_METRICS_PORT=str(self.ports["llm"]))
        await self.home.health_when(lambda health: health["stages"]["llm"]["workers"])


@contextlib.asynccontextmanager
async def lively(
    folder: Path, *, provider: type[FakeProvider] = FakeProvider, **variables: str
) -> AsyncIterator[Lively]:
    """An EVA that is ready, and a Prometheus that has scraped each of its processes."""
    async with contextlib.AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(provider(is_steady=True)) for _ in range(2)]
        first.limits = second.limits = RateLimits()
        home = House(
            folder / "eva",
            **(
                PATIENT
                | {
                    "EVA_LLM_ROUTES": f"groq:quick openai:{second.base_url}:other",
                    "EVA_LLM_GROQ_BASE_URL": first.root,
                    "GROQ_API_KEY": "gsk_test",
                    "EVA_LLM_PRICES": "quick=0.59/0.79,other=0.05/0.08",
                }
                | variables
            ),
        )
        stack.push_async_callback(home.close)
        ports = {stage: free_port("127.0.0.1", 0) for stage in STAGES if stage != "gateway"}
        await home.server.start()
        await home.start("gateway", EVA_NATS_MONITOR_URL=home.server.monitor_url)
        for stage, port in ports.items():
            await home.start(stage, EVA_METRICS_PORT=str(port))
        await home.until_ready()
        card = await stack.enter_async_context(served(of_a_card()))
        targets = {stage: [f"127.0.0.1:{port}"] for stage, port in ports.items()}
        targets |= {"gateway": [home.url.removeprefix("http://")], "card": [f"127.0.0.1:{card}"]}
        key_file = folder / "key"
        key_file.write_text("")  # as deploy/secrets/none is
        prometheus = await stack.enter_async_context(
            Prometheus(folder / "prometheus", scraping(targets, key_file=key_file))
        )
        await prometheus.until(f"count(up == 1) == {len(targets)}")
        yield Lively(home, prometheus, first, second, ports)


def of_a_card() -> bytes:
    """What a worker tells of its GPU."""
    GpuMetrics(registry := CollectorRegistry()).watch(lambda: [CARD])
    return generate_latest(registry)


@contextlib.asynccontextmanager
async def served(page: bytes) -> AsyncIterator[int]:
    """Answers every request with a page of figures; the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(page)}"
            )
            writer.write(head.encode() + b"\r\nConnection: close\r\n\r\n" + page)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
