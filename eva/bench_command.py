"""``eva bench`` as it is typed; what it does is in ``bench``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer


def bench(  # noqa: PLR0913 - each is a flag
    *,
    engines: Annotated[
        Literal["own", "zero-cost"],
        typer.Option(help="Of an EVA that is started for it: her own, or ones that cost nothing."),
    ] = "own",
    users: Annotated[
        str,
        typer.Option(help="People at a time, as `1,5,10`; else twice as many until it is too many."),
    ] = "",
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="To measure each number of people; of 1 to 3 longer.")
    ] = 20.0,
    objective: Annotated[float, typer.Option(min=1, help="What p95 may be, milliseconds.")] = 500.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same people.")] = 0,
    baseline: Annotated[
        Path | None, typer.Option(help="The JSON of another bench; exit 1 where something is worse.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Name of the JSON and the PNG, without ending; else in the data directory."),
    ] = None,
    key: Annotated[
        str, typer.Option(help="An API key; others on this machine can see it, EVA_API_KEY is better.")
    ] = "",
    url: Annotated[str, typer.Option("--url", help="A running EVA, instead of one that is started.")] = "",
    data_dir: Annotated[Path | None, typer.Option(help="Models, and where results are kept.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")] = False,
) -> None:
    """Have more and more simulated people talk with EVA, and tell how many she carries."""
    import os  # noqa: PLC0415 - only here

    from eva import options  # noqa: PLC0415 - see the module
    from eva.bench import BenchOptions  # noqa: PLC0415
    from eva.bench import bench as run_bench  # noqa: PLC0415
    from eva.bench_level import parse_users  # noqa: PLC0415
    from eva.credentials import VARIABLE  # noqa: PLC0415

    if key:
        os.environ[VARIABLE] = key
    wish = BenchOptions(
        data_dir=options.data_dir(data_dir), url=options.eva_url(url) if url else "",
        is_zero_cost=engines == "zero-cost", users=parse_users(users), seed=seed, seconds=seconds,
        objective_ms=objective, out=out, baseline=baseline, is_json=as_json,
    )  # fmt: skip
    if code := asyncio.run(run_bench(wish)):
        raise typer.Exit(code)
