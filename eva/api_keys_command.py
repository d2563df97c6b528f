"""``eva keys``: its flags."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

keys_app = typer.Typer(help="The API keys that EVA asks for.", no_args_is_help=True)
DataDir = Annotated[Path | None, typer.Option(help="Models, logs and the broker's store.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


@keys_app.command("add")
def keys_add(
    name: Annotated[str, typer.Argument(help="Whose it is, for `eva keys list`.")],
    *,
    sessions: Annotated[int, typer.Option(min=0, help="Conversations at a time; 0: any number.")] = 0,
    audio_s_per_day: Annotated[
        float, typer.Option(min=0, help="Sound heard and spoken in a day of UTC, seconds; 0: any amount.")
    ] = 0.0,
    tokens_per_min: Annotated[
        int, typer.Option(min=0, help="Tokens of the language model in a minute; 0: any number.")
    ] = 0,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a key; it is shown once."""
    from eva import api_keys, options  # noqa: PLC0415 - so that the command itself starts at once
    from shared.keys import KeyLimits  # noqa: PLC0415

    limits = KeyLimits(sessions=sessions, audio_s_per_day=audio_s_per_day, tokens_per_min=tokens_per_min)
    asyncio.run(api_keys.add(options.data_dir(data_dir), name, limits, is_json=as_json))


@keys_app.command("list")
def keys_list(*, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show all keys, without what is secret."""
    from eva import api_keys, options  # noqa: PLC0415

    asyncio.run(api_keys.show(options.data_dir(data_dir), is_json=as_json))


@keys_app.command("revoke")
def keys_revoke(
    name_or_id: Annotated[str, typer.Argument(help="As `eva keys list` shows it.")],
    *,
    data_dir: DataDir = None,
) -> None:
    """End a key, and what goes on with it."""
    from eva import api_keys, options  # noqa: PLC0415

    asyncio.run(api_keys.revoke(options.data_dir(data_dir), name_or_id))
