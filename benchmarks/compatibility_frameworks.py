"""Two frameworks at ``WS /v1/realtime``, in an environment of their own: they are too large for every test.

    python -m venv FOLDER
    FOLDER/bin/pip install livekit-plugins-openai==1.8.9 "pipecat-ai[openai,websockets-base]==1.14.0"
    python -m benchmarks.compatibility_frameworks FOLDER

Each feature is one process of the framework against a real EVA that asks for a key. What came of it goes into
``docs/compatibility.md``, with the date.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import secrets
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.keys import KEY_PREFIX
from tests.clients import table
from tests.clients.compatibility import NOT_OFFERED, Outcome
from tests.clients.place import ANSWER, QUESTION, SAID, Place, cable, ended, question
from tests.e2e.house import OWN, house
from tests.fakes.provider import Call, FakeProvider, Reply

HERE = Path(__file__).parent
STORY = tuple(f" number {count} is a very nice one, I think." for count in range(1, 60))
WAIT_S = 120.0
CALL = Reply(tokens=(), calls=(Call(name="sky", arguments='{"place": "Paris"}', id="call_1"),))
Judge = Callable[[dict[str, Any], Place], bool]


@dataclass(frozen=True)
class Scenario:
    """How the model answers, and what must have come of it: by what the guest and the model were told."""

    replies: tuple[Reply, ...]
    holds: Judge
    cells: tuple[str, ...]


def said(told: dict[str, Any]) -> str:
    """All words of the answers."""
    text: str = told.get("text") or "".join(told.get("said", ()))
    return text


def is_cut(place: Place) -> bool:
    """Whether the model was told of the story only what was heard of it."""
    (heard,) = [words for role, words in place.told if role == "assistant"]
    return heard != "" and len(heard) < len("".join(STORY)) / 4 and place.told[-1] == ("user", QUESTION)


SCENARIOS = {
    "typed turn": Scenario(
        (SAID,), lambda told, _: said(told) == ANSWER and told["samples"] > 0, ("typed turn",)
    ),
    "text only": Scenario(
        (SAID,), lambda told, _: said(told) == ANSWER and not told["samples"], ("text only",)
    ),
    "spoken turn": Scenario(
        (SAID,), lambda told, place: QUESTION in told["heard"] and place.told == [("user", QUESTION)],
        ("spoken turn",),
    ),
    "streaming sound": Scenario(
        (Reply(tokens=STORY, stall_after=4),), lambda told, _: told["samples"] > 0, ("streaming sound",)
    ),
    "tools": Scenario(
        (CALL, SAID), lambda told, place: said(told) == ANSWER and "blue over Paris" in place.told[-1][1],
        ("tools",),
    ),
    "barge-in": Scenario(
        (Reply(tokens=STORY, delay_s=0.1), SAID),
        lambda told, place: said(told).endswith(ANSWER) and is_cut(place), ("barge-in", "truncation"),
    ),
    "errors": Scenario(
        (SAID,), lambda told, _: said(told).endswith(ANSWER) and bool(told["errors"]), ("errors",)
    ),
    "reconnect": Scenario(
        (SAID,), lambda _, place: [words for _, words in place.told] == ["I like tea.", ANSWER, "Do you?"],
        ("reconnect",),
    ),
}  # fmt: skip


async def run(place: Place, python: Path, script: str, name: str, recording: Path) -> Outcome:
    """Runs one scenario."""
    scenario = SCENARIOS[name]
    place.will(*scenario.replies)
    problems = place.home.folder / "problems"
    async with cable(place.url) as line:
        process = await asyncio.create_subprocess_exec(
            str(python), str(HERE / script), name, stdout=PIPE, stderr=problems.open("wb"), limit=1 << 24,
            env=place.environment(line.url) | {"QUESTION": str(recording)},
        )  # fmt: skip
        assert process.stdout is not None
        told: dict[str, Any] = {}
        try:
            async with asyncio.timeout(WAIT_S):
                while not told and (words := (await process.stdout.readline()).decode()):
                    if words == "cut\n":
                        line.cut()
                    elif words.startswith("{"):
                        told = json.loads(words)
        except TimeoutError:
            print(f"{name}: no end")
        finally:
            await ended(process)
    problem = problems.read_text(errors="replace")[-1500:]
    is_well = bool(told) and told.get("is_over", True) and scenario.holds(told, place)
    print(f"{name}: {is_well} {told}" + ("" if is_well else f" {place.told}\n{problem}"), flush=True)
    return "passed" if is_well else "failed"


async def framework(place: Place, python: Path, name: str, script: str, only: list[str]) -> dict[str, Any]:
    """Runs all scenarios of one framework."""
    recording = question(place.home.folder)
    found: dict[str, Outcome] = {}
    for scenario, each in SCENARIOS.items():
        if (name, each.cells[0]) in NOT_OFFERED or (only and scenario not in only):
            continue
        try:
            outcome = await run(place, python, script, scenario, recording)
        except (ValueError, IndexError) as error:
            print(f"{scenario}: {error!r}")
            outcome = "failed"
        found |= dict.fromkeys(each.cells, outcome)
    process = await asyncio.create_subprocess_exec(
        str(python), "-c", f"import importlib.metadata as m; print(m.version('{name}'))", stdout=PIPE
    )
    version, _ = await process.communicate()
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return {"date": today, "version": version.decode().strip(), "features": found}


async def main() -> None:
    """Runs both, and writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("venv", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="these scenarios")
    parser.add_argument("--framework", choices=["livekit-plugins-openai", "pipecat-ai"])
    given = parser.parse_args()
    python, key = given.venv / "bin" / "python", KEY_PREFIX + secrets.token_urlsafe(32)
    scripts = {"livekit-plugins-openai": "guest_livekit.py", "pipecat-ai": "guest_pipecat.py"}
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        keys.write_text(key + "\n")
        async with FakeProvider() as provider, house(
            Path(folder) / "eva", deadlines=OWN, EVA_LLM_BASE_URL=provider.base_url, EVA_GATEWAY_AUTH="on",
            EVA_API_KEYS_FILE=str(keys),
        ) as home:  # fmt: skip
            place = Place(home, provider, key)
            for name, script in scripts.items():
                if given.framework in {None, name}:
                    told = await framework(place, python, name, script, given.only)
                    known = table.kept()
                    before = known["frameworks"].get(name, {}).get("features", {})
                    known["frameworks"][name] = {**told, "features": {**before, **told["features"]}}
                    table.write(known)


if __name__ == "__main__":
    asyncio.run(main())
