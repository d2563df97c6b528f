"""``eva sizing`` reckons with figures that were measured, and its arithmetic holds."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eva.sizing import (
    FULL,
    LEAST,
    NODES,
    SESSIONS,
    SLOTS,
    WORKER_CORES,
    Habits,
    Plan,
    plan,
)
from eva.sizing_command import figures, page
from eva.sizing_figures import EARS, GATEWAY_CORE, MEMORY_MIB, MIND_CORE_S, VOICE, Figure
from services.gateway.settings import GatewaySettings
from services.llm.settings import LlmSettings
from shared.queues import LLM_WORK, TTS_WORK

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text()
NUMBER = r"([\d.]+)"
WHERE: list[tuple[Figure, str, str, float]] = [
    (GATEWAY_CORE, "(e)", rf"^\| gateway \| {NUMBER} \|$", 0.01),
    (MIND_CORE_S, "(c)", rf"^\| EVA's chain and adapter: processor time \| \d+ \| {NUMBER} ", 0.001),
    (VOICE, "(c)", rf"^{NUMBER} streams in real time on this machine, ", 1),
    *((figure, "(d)", rf"^\| {name} \| {NUMBER} \|", 1.0) for name, figure in MEMORY_MIB.items()),
]
"""A figure, the part of its section, its row, and what one unit there is here."""
SECTION = {"Turns": "## Turns", "Mind": "## Mind", "Voice": "## Voice", "Ears": "## Ears"}
habits = st.builds(
    Habits,
    people=st.integers(1, 200_000),
    turns_per_min=st.floats(0.1, 30),
    speech_s=st.floats(0.1, 60),
    answer_s=st.floats(0.1, 60),
    mind_s=st.floats(0.01, 30),
    is_open=st.booleans(),
    ears=st.sampled_from(sorted(EARS)),
)


def part(section: str, letter: str) -> str:
    """Returns one part of docs/benchmarks.md."""
    page = BENCHMARKS.partition(SECTION[section])[2]
    page = re.split(r"^## ", page, flags=re.MULTILINE)[0] if section != "Ears" else page
    return page.partition(f"### {letter}")[2].partition("\n### ")[0]


@pytest.mark.parametrize(
    ("figure", "letter", "row", "unit"), WHERE, ids=lambda one: getattr(one, "source", None)
)
def test_a_figure_is_about_what_was_measured(figure: Figure, letter: str, row: str, unit: float) -> None:
    """Within a factor of two: measured again, other numbers come, but not other ones altogether."""
    section, _, where = figure.source.partition(" ")
    assert where.startswith(letter)
    found = re.search(row, part(section, letter), re.MULTILINE)
    assert found is not None, f"{figure.source}: there is no such row any more"
    assert figure.value / 2 <= float(found[1]) * unit <= figure.value * 2, (
        "eva/sizing_figures.py is out of date"
    )


@pytest.mark.parametrize("name", EARS)
def test_so_many_conversations_were_carried(name: str) -> None:
    row = EARS[name].source.partition(": ")[2]
    (line,) = [line for line in part("Ears", "(e)").splitlines() if line.startswith(f"| {row} |")]
    assert line.endswith("| yes |")
    assert f"{EARS[name].value:g} sessions" in row


def test_the_bounds_are_those_of_the_settings() -> None:
    assert GatewaySettings.model_fields["gateway_max_sessions"].default == SESSIONS
    assert LlmSettings.model_fields["llm_slots"].default == SLOTS


@given(habits)
def test_everybody_has_a_place_and_no_cell_is_fuller_than_it_may(habits: Habits) -> None:
    found = plan(habits)
    assert found.cells * found.people >= habits.people
    assert found.people <= found.bounds[0].people
    assert [bound.people for bound in found.bounds] == sorted(bound.people for bound in found.bounds)
    need = {one.part: one for one in found.needs}
    assert list(need) == ["gateway", "stt", "llm", "tts", "nats"]
    assert all(one.copies >= LEAST for one in found.needs)
    within = found.people * (1 - 1e-9)
    assert need["gateway"].copies * min(SESSIONS, FULL / GATEWAY_CORE.value) >= within
    assert need["stt"].copies * FULL * EARS[habits.ears].value >= within
    assert need["tts"].copies * FULL * VOICE.value >= within * habits.listening
    assert need["llm"].copies * FULL * SLOTS >= within * habits.turns_per_s * habits.mind_s
    assert need["nats"].copies == NODES
    assert within * habits.turns_per_s * habits.mind_s <= FULL * LLM_WORK.capacity
    assert within * habits.listening <= FULL * TTS_WORK.capacity


@given(habits, st.integers(1, 10_000))
def test_more_people_never_need_less(habits: Habits, more: int) -> None:
    def all_of(found: Plan) -> list[int]:
        return [need.copies * found.cells for need in found.needs]

    many = Habits(
        **{name: getattr(habits, name) for name in ("turns_per_min", "speech_s", "answer_s", "mind_s")},
        is_open=habits.is_open,
        ears=habits.ears,
        people=habits.people + more,
    )
    assert plan(many).cells >= plan(habits).cells
    if plan(many).cells == plan(habits).cells:
        assert all(b >= a for a, b in zip(all_of(plan(habits)), all_of(plan(many)), strict=True))


def test_ten_thousand_people_by_hand() -> None:
    found = plan(Habits(people=10_000))
    need = {one.part: one.copies for one in found.needs}
    assert found.bounds[0].people == math.floor(0.7 * 500 / (4 / 60 * 1.5)) == 3500
    assert (found.cells, found.people) == (3, 3334)
    assert need["gateway"] == math.ceil(3334 / math.floor(0.7 / GATEWAY_CORE.value))
    assert need["stt"] == math.ceil(3334 / (0.7 * EARS["whisper-tiny"].value))
    assert need["llm"] == math.ceil(3334 * 4 / 60 * 1.5 / (0.7 * 16))
    assert need["tts"] == math.ceil(3334 * 0.4 / (0.7 * VOICE.value))
    cores = {one.part: one.cores for one in found.needs}
    assert cores["stt"] == need["stt"] * WORKER_CORES
    assert found.cores == pytest.approx(3 * sum(cores.values()))


def test_a_microphone_that_sends_while_one_speaks_spares_broker_and_network() -> None:
    open_, held = (plan(Habits(people=3500, is_open=is_open)) for is_open in (True, False))
    assert held.needs[-1].cores < open_.needs[-1].cores
    assert float(held.network.split()[0]) < float(open_.network.split()[0])
    assert held.needs[:-1] == open_.needs[:-1]


def eva(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eva", "sizing", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, cwd=ROOT)


def test_the_command_prints_the_plan_with_its_arithmetic_and_its_sources() -> None:
    done = eva("--people", "10000")
    assert done.returncode == 0, done.stderr
    found = plan(Habits(people=10_000))
    assert done.stdout.splitlines() == page(found)
    for need in found.needs:
        assert need.because in done.stdout
    for figure in figures(found.habits):
        assert figure.source in done.stdout


def test_the_command_tells_it_as_json_and_refuses_ears_that_were_not_measured() -> None:
    told = json.loads(eva("--people", "100", "--push-to-talk", "--ears", "pocketsphinx", "--json").stdout)
    assert told["cells"] == 1
    assert told["habits"]["is_open"] is False
    assert told["cores"] == pytest.approx(sum(need["cores"] for need in told["needs"]))
    refused = eva("--ears", "large")
    assert refused.returncode == 2
    assert "whisper-tiny" in refused.stderr


def test_the_page_about_operating_shows_what_the_command_prints() -> None:
    text = (ROOT / "docs" / "operate.md").read_text()
    found = re.search(r"\$ eva sizing --people 10000\n(.*?)```", text, re.DOTALL)
    assert found is not None
    said = "\n".join(page(plan(Habits(people=10_000))))
    assert found[1].strip() == said.strip(), "print it anew: eva sizing --people 10000"
