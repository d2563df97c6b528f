"""``eva config``: what the services would read, where each value comes from, and ``.env.example``.

The settings classes of the services are the only description of the settings; everything here is made from
them, so a new setting appears by itself.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from shared.settings import CommonSettings, secrets_dirs

SERVICES = ("gateway", "stt", "llm", "tts")
OWN_VARIABLES = frozenset({"EVA_SECRETS_DIR", "EVA_SUPERVISED", "EVA_HUB_URL", "EVA_URL", "EVA_API_KEY"})
"""Read by the command itself or by the start of a service, not as a setting."""
_COMPUTED_DEFAULTS = {"EVA_DATA_DIR": "$XDG_DATA_HOME/eva or ~/.local/share/eva"}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One variable."""

    name: str
    service: str
    """``common``, or the service that reads it."""
    description: str
    default: Any
    value: Any
    source: str
    """``environment``, ``.env``, ``secret file`` or ``default``."""


def settings_of(service: str) -> type[CommonSettings]:
    """Returns a service's settings class: the last subclass of ``CommonSettings`` that its module defines."""
    module = importlib.import_module(f"services.{service}.settings")
    found = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, CommonSettings)
        and thing.__module__ == module.__name__
    ]
    return found[-1]


def variables(name: str, info: FieldInfo) -> list[str]:
    """Returns the variables that set a field, the one to recommend first."""
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice).upper() for choice in alias.choices if isinstance(choice, str)]
    return [alias.upper() if isinstance(alias, str) else f"EVA_{name.upper()}"]


def _fields() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yields service, field name and field, the common ones first, each once."""
    for name, info in CommonSettings.model_fields.items():
        yield "common", name, info
    seen = set(CommonSettings.model_fields)
    for service in SERVICES:
        for name, info in settings_of(service).model_fields.items():
            if name not in seen:
                seen.add(name)
                yield service, name, info


def effective() -> list[Setting]:
    """Returns every setting with its value here, secrets redacted.

    Raises:
        ConfigError: a value cannot be used; names the variable.
    """
    read = {service: settings_of(service).read() for service in SERVICES}
    dotenv = {key.upper(): value for key, value in dotenv_values(".env").items()}
    return [
        Setting(
            name=variables(name, info)[0],
            service=service,
            description=info.description or "",
            default=_default(name, info),
            value=_shown(getattr(read["gateway" if service == "common" else service], name)),
            source=_source(variables(name, info), dotenv),
        )
        for service, name, info in _fields()
    ]


def _default(name: str, info: FieldInfo) -> str:
    computed = _COMPUTED_DEFAULTS.get(f"EVA_{name.upper()}")
    if computed is not None or info.default is PydanticUndefined:
        return computed or ""
    return _shown(info.default)


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _source(names: list[str], dotenv: Mapping[str, str | None]) -> str:
    environment = {key.upper(): value for key, value in os.environ.items()}
    if any(environment.get(name) for name in names):
        return "environment"
    if any(dotenv.get(name) for name in names):
        return ".env"
    if any(_has_secret(folder, name) for folder in secrets_dirs() for name in names):
        return "secret file"
    return "default"


def _has_secret(folder: Path, name: str) -> bool:
    return any((folder / spelling).is_file() for spelling in (name, name.lower()))


def unknown_variables() -> list[str]:
    """Returns variables that begin with ``EVA_`` and that nobody reads, from the environment and ``.env``."""
    known = {variable for _, name, info in _fields() for variable in variables(name, info)} | OWN_VARIABLES
    given = {*os.environ, *dotenv_values(".env")}
    return sorted(name for name in given if name.upper().startswith("EVA_") and name.upper() not in known)


_HEAD = """\
# What EVA can be told. Every line is optional: copy this file to .env and uncomment what you want to change.
# Made by `eva config env-example` from the settings of the services; do not edit it by hand.
"""


def env_example() -> str:
    """Returns ``.env.example``: each setting with its description and default, commented out."""
    lines = [_HEAD]
    section = ""
    for service, name, info in _fields():
        if service != section:
            section = service
            title = "all services" if service == "common" else f"services/{service}"
            lines.append(f"# ---- {title}\n")
        recommended, *others = variables(name, info)
        also = f" Also read from {', '.join(others)}." if others else ""
        computed = _COMPUTED_DEFAULTS.get(recommended)
        note = f" Default: {computed}." if computed else ""
        lines.append(f"# {info.description or ''}{also}{note}")
        lines.append(f"#{recommended}={'' if computed else _default(name, info)}\n")
    return "\n".join(lines).rstrip() + "\n"
