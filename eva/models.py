"""``eva models``: lists, fetches and verifies models; results on stdout, progress on stderr."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from eva.model_store import HubUnreachable, Pulled, chosen, list_models, megabytes, pull, verify_models
from eva.output import columns, complain, is_plain, progress, result, result_json
from shared.errors import BadInput, ConfigError, EvaError
from shared.models import Model

if TYPE_CHECKING:
    from eva.hub import HubSettings

CONNECT_TIMEOUT_S = 5.0

models_app = typer.Typer(name="models", help="Models for hearing and speaking.", no_args_is_help=True)
_AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on stdout.")]
_Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")]


@models_app.command("list")
def list_command(*, json: _AsJson = False) -> None:
    """Shows which models there are and which lie here."""
    listed = list_models(_settings().models_dir)
    if json:
        result_json([dataclasses.asdict(model) for model in listed])
        return
    rows = [["NAME", "KIND", "LANGUAGES", "SIZE", "STATE", "CHECKED BY", "LICENCE"]]
    for model in listed:
        languages = ", ".join(model.languages).replace("*", "about 100") or "?"
        name = model.name + (" (default)" if model.is_default else "")
        size = megabytes(model.size_bytes)
        rows.append([name, model.kind, languages, size, model.state, model.trust, model.licence])
    result("\n".join(columns(rows)))
    for model in listed:
        if model.state == "broken":
            complain(model.reason)


@models_app.command("pull")
def pull_command(
    names: _Names = None,
    *,
    all_defaults: Annotated[
        bool, typer.Option("--all-defaults", help="The defaults, beside those named.")
    ] = False,
    optional: Annotated[
        bool, typer.Option("--optional", help="Exit 0 even if something could not be had.")
    ] = False,
    json: _AsJson = False,
) -> None:
    """Gets models from the hub (the defaults, if none is named); goes on where an earlier pull broke off."""
    settings = _settings()
    try:
        models = chosen([*(names or []), *_missing_defaults(names or [], all_defaults=all_defaults)])
        is_complete = run_pull(models, settings, as_json=json)
    except EvaError as error:
        _fail(error)
    if not is_complete and not optional:
        raise typer.Exit(1)


def _missing_defaults(names: list[str], *, all_defaults: bool) -> list[str]:
    return [model.name for model in chosen([]) if all_defaults and model.name not in names]


def run_pull(
    models: list[Model], settings: HubSettings, *, as_json: bool, connect_timeout_s: float = CONNECT_TIMEOUT_S
) -> bool:
    """Fetches models and says what came of it; answers whether all of them are here now.

    Raises:
        ConfigError: the hub's address is none.
    """
    from eva.hub import open_hub  # noqa: PLC0415 - `eva --help` shall not wait for httpx
    from eva.meter import open_meter  # noqa: PLC0415 - nor for rich

    problem, pulled = "", list[Pulled]()
    try:
        with open_meter(sys.stderr, is_plain=is_plain(sys.stderr)) as meter:
            hub = open_hub(settings.hub_url, connect_timeout_s)
            pulled.extend(pull(models, settings.models_dir, hub, meter))
    except HubUnreachable as error:
        problem = (
            f"{error}: EVA goes on with what is here. Put the files into {settings.models_dir}/<kind>/<name> "
            "by hand, or run `eva models pull` later."
        )
        complain(problem)
    for one in pulled:
        if one.outcome == "failed":
            complain(f"{one.name}: {one.reason}")
        elif not as_json:
            result(f"{one.name}  {one.outcome}  {one.path}")
    if as_json:
        result_json({"problem": problem or None, "models": [dataclasses.asdict(one) for one in pulled]})
    return not problem and all(one.outcome != "failed" for one in pulled)


@models_app.command("verify")
def verify_command(names: _Names = None, *, json: _AsJson = False) -> None:
    """Hashes the models that lie here (or those named) and says which are broken."""
    try:
        checked = verify_models(names or [], _settings().models_dir)
    except EvaError as error:
        _fail(error)
    if json:
        result_json(
            [{"name": i.name, "kind": i.kind, "path": i.path, "state": s, "reason": r} for i, s, r in checked]
        )
    else:
        if not checked:
            progress("No model lies here: `eva models pull` gets the default ones.")
        for item, state, reason in checked:
            result(f"{item.name}  {'ok' if state == 'installed' else state}")
            if reason:
                complain(reason)
    if any(state != "installed" for _, state, _ in checked):
        raise typer.Exit(1)


def _settings() -> HubSettings:
    from eva.hub import HubSettings  # noqa: PLC0415 - `eva --help` shall not wait for pydantic

    try:
        return HubSettings.read()
    except ConfigError as error:
        _fail(error)


def _fail(error: EvaError) -> NoReturn:
    """Ends the command with one line: 2 for what was asked for wrongly, 1 for the rest."""
    complain(str(error))
    raise typer.Exit(2 if isinstance(error, BadInput | ConfigError) else 1)
