"""Pictures of the dashboards: ``python -m benchmarks.dashboards``.

Starts a whole EVA (offline ears and voice, two providers on loopback with the latencies of a real one), has
people talk with it, kills its mind once, and draws what Prometheus then answers to each panel's query. What
is shown of a GPU was measured nowhere: `docs/dashboards/README.md` says so.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.dashboard_pictures import Line, draw, lines_of
from deploy.grafana.generate import DASHBOARDS
from services.gateway.chat_protocol import AudioEvent, AudioIn, FinalEvent, TurnDone
from tests.deploy.lively import BROKEN, PLAIN, STORY, Lively, lively
from tests.e2e.talker import Talker, talker
from tests.fakes.provider import FakeProvider, RateLimits, Reply, Request, Trace
from tests.fakes.speech import silence, speech

OUT = Path("docs/dashboards")
STEP_S = 2
WINDOW = "30s"
PAUSES_S = (0.5, 2.5)
GONE_S = 5.0
TOKENS = 60_000
"""A minute, of each provider's account."""
VARIABLES = {
    "EVA_CANARY_EVERY_S": "15",
    "EVA_LLM_FIRST_TOKEN_S": "1.5",
    "EVA_LLM_SERVER_FIRST_TOKEN_S": "6",
    "EVA_LLM_SLOW_S": "0.5",
}
"""EVA's own, but for the turns that she has with herself: they come sooner."""


class Told(FakeProvider):
    """Answers as it is asked to: a story, an error, or a sentence."""

    def _reply(self, request: Request) -> Reply:
        asked = str(request.body["messages"][-1]["content"])
        super()._reply(request)
        return STORY if "story" in asked else BROKEN if "Break" in asked else PLAIN


async def main(seconds: float, people: int, out: Path) -> None:
    """Talks for so long, and writes a picture of each dashboard."""
    with tempfile.TemporaryDirectory(prefix="eva-dashboards-") as folder:
        async with lively(Path(folder), provider=Told, **VARIABLES) as eva:
            eva.first.traces = {"quick": Trace(seed=1)}
            eva.second.traces = {"other": Trace(seed=2)}
            eva.first.limits, eva.second.limits = RateLimits(tokens=TOKENS), RateLimits(tokens=TOKENS)
            began_s = time.time()
            ends_s = began_s + seconds
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak(eva, ends_s))
                tasks.create_task(lose_the_mind(eva, seconds / 2))
                for person in range(people):
                    tasks.create_task(write(eva, ends_s, random.Random(person)))
            span_s = (began_s + 5, time.time())
            for name, board in DASHBOARDS.items():
                found = {
                    panel["id"]: await series(eva, panel["targets"], span_s)
                    for panel in board["panels"]
                    if "targets" in panel
                }
                draw(board, found, span_s, out / f"{name}.png")
                print(f"{out / name}.png: {sum(map(len, found.values()))} series")


async def series(eva: Lively, targets: list[dict[str, str]], span_s: tuple[float, float]) -> list[Line]:
    """Returns what a panel's queries answer over a span of time."""
    found = []
    for target in targets:
        expr = target["expr"].replace("$__rate_interval", WINDOW).replace("$instance", ".*")
        told = await eva.prometheus.ask(
            "query_range", query=expr, start=span_s[0], end=span_s[1], step=STEP_S
        )
        found += lines_of(target["legendFormat"], told["result"])
    return found


async def speak(eva: Lively, ends_s: float) -> None:
    """Somebody who speaks, and interrupts."""
    for number in itertools.count():
        async with talker(eva.home.url, audio_in=AudioIn()) as person:
            if time.time() >= ends_s:
                return
            if number % 2:
                turn_id = await person.type("Tell me a story.")
                await person.hears(AudioEvent)
                await person.say(
                    np.concatenate([silence(1.0), speech("stop please i have another question")])
                )
            else:
                await person.say(speech("what is my name"))
                turn_id = (await person.hears(FinalEvent)).turn_id or ""
            if turn_id:
                await person.end_of(turn_id)


async def lose_the_mind(eva: Lively, after_s: float) -> None:
    """Kills the only mind once, and starts it anew a little later."""
    await asyncio.sleep(after_s)
    await eva.home["llm"].kill()
    await asyncio.sleep(GONE_S)
    await eva.home.start("llm", EVA_METRICS_PORT=str(eva.ports["llm"]))


async def write(eva: Lively, ends_s: float, chance: random.Random) -> None:
    """Somebody who types, and whom providers refuse now and then."""
    async with talker(eva.home.url) as person:
        for number in itertools.count(1):
            if time.time() >= ends_s:
                return
            await turn(person, "Break, please." if number % 12 == 0 else "How are you?")
            await asyncio.sleep(chance.uniform(*PAUSES_S))


async def turn(person: Talker, text: str) -> None:
    """A turn, however it ends."""
    end = await person.end_of(await person.type(text))
    if isinstance(end, TurnDone):
        await person.play(end)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long people talk")
    parser.add_argument("--people", type=int, default=4, help="who type, beside one who speaks")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder of the pictures")
    wishes = parser.parse_args()
    wishes.out.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(wishes.seconds, wishes.people, wishes.out))
