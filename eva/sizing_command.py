"""``eva sizing``: what so many people need, with the arithmetic, from measured figures."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from eva.output import columns, result, result_json
from eva.sizing import Habits, Plan, plan
from eva.sizing_figures import BROKER_CORE_S, EARS, GATEWAY_CORE, MEMORY_MIB, MIND_CORE_S, VOICE, Figure
from shared.errors import BadInput


def sizing(  # noqa: PLR0913 - each is a flag
    *,
    people: Annotated[int, typer.Option(min=1, help="In conversations at the same time.")] = 10_000,
    turns_per_min: Annotated[float, typer.Option(min=0.1, max=60, help="Of each.")] = 4.0,
    speech_s: Annotated[float, typer.Option(min=0.1, help="How long a person speaks in a turn.")] = 3.0,
    answer_s: Annotated[float, typer.Option(min=0.1, help="How long an answer sounds.")] = 6.0,
    mind_s: Annotated[float, typer.Option(min=0.01, help="How long a model takes for an answer.")] = 1.5,
    tokens: Annotated[int, typer.Option(min=1, help="Read and written in a turn.")] = 700,
    ears: Annotated[str, typer.Option(help="Measured: " + ", ".join(EARS) + ".")] = "whisper-tiny",
    open_microphone: Annotated[
        bool,
        typer.Option("--open-microphone/--push-to-talk", help="Frames all the time, or while one speaks."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")] = False,
) -> None:
    """Reckon what so many people need, from figures that were measured."""
    if ears not in EARS:
        raise BadInput(f"--ears {ears}: measured are {', '.join(EARS)}")
    found = plan(
        Habits(
            people=people, turns_per_min=turns_per_min, speech_s=speech_s, answer_s=answer_s, mind_s=mind_s,
            tokens=tokens, ears=ears, is_open=open_microphone,
        )
    )  # fmt: skip
    if as_json:
        result_json(dataclasses.asdict(found) | {"cores": found.cores, "memory_gib": found.memory_gib})
        return
    result("\n".join(page(found)))


def page(found: Plan) -> list[str]:
    """Returns a plan as lines."""
    habits, cell = found.habits, "1 EVA" if found.cells == 1 else f"{found.cells} EVAs side by side"
    rows = [["", "each", "all", "cores", "GiB", "because (for each EVA)"]]
    for need in found.needs:
        everywhere = need.copies * found.cells
        cores, memory = need.cores * found.cells, need.memory_gib * found.cells
        rows.append(
            [need.part, str(need.copies), str(everywhere), f"{cores:.1f}", f"{memory:.1f}", need.because]
        )
    rows.append(["together", "", "", f"{found.cores:.1f}", f"{found.memory_gib:.1f}", ""])
    turn = f"{habits.speech_s:g} s of speech and {habits.answer_s:g} s of answer"
    return [
        f"{habits.people} people at the same time, {habits.turns_per_min:g} turns a minute of {turn}:",
        f"{cell}, {found.people} people in each.",
        "",
        *columns(rows),
        "",
        f"Provider: {found.provider}.",
        f"Network: {found.network}.",
        "",
        "One EVA holds",
        *(f"- {bound.people} people: {bound.because}" for bound in found.bounds),
        "",
        "Measured",
        *(f"- {figure.what}: {figure.value:g} {figure.unit} ({figure.source})" for figure in figures(habits)),
    ]


def figures(habits: Habits) -> list[Figure]:
    """Returns what a plan rests on."""
    return [
        GATEWAY_CORE,
        EARS[habits.ears],
        MIND_CORE_S,
        VOICE,
        BROKER_CORE_S,
        *MEMORY_MIB.values(),
    ]
