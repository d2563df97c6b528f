"""What every process can be told, and how: ``EVA_…`` variables, a ``.env`` file, files of secrets.

Precedence: flags of the ``eva`` command, environment, ``.env``, files in ``/run/secrets`` (or in
``EVA_SECRETS_DIR``: one folder or several, with colons, of which the last wins), defaults. Each service
extends ``CommonSettings`` in its own ``settings.py``; the object is read once in its ``__main__``, is frozen,
and is passed on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import ConfigError


def default_data_dir() -> Path:
    """Where EVA keeps models and the broker's store: ``$XDG_DATA_HOME/eva`` or ``~/.local/share/eva``."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "eva"


def secrets_dirs() -> list[Path]:
    """Returns the folders in which files of secrets lie, those that exist."""
    named = os.environ.get("EVA_SECRETS_DIR", "/run/secrets").split(os.pathsep)
    return [Path(name) for name in named if name and Path(name).is_dir()]


class CommonSettings(BaseSettings):
    """Settings that all processes share."""

    model_config = SettingsConfigDict(
        env_prefix="EVA_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    nats_url: str = Field("nats://127.0.0.1:4222", description="The broker.")
    nats_user: str = Field("", description="User at the broker, where it asks for one.")
    nats_password: SecretStr = Field(SecretStr(""), description="Password at the broker.")
    data_dir: Path = Field(
        default_factory=default_data_dir, description="Models and the embedded broker's store."
    )
    worker_id: str = Field("", description="Name of this process on the bus; empty: a new one each start.")
    log_level: str = Field("INFO", description="DEBUG shows what people said; INFO and above never do.")
    log_format: str = Field("text", description="`text` or `json`.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port on which a worker tells `/livez`, `/readyz` and `/metrics` to whoever looks after "
        "its process; 0: none. The gateway tells it on EVA_PORT.",
    )
    drain_s: float = Field(10.0, ge=0, description="How long work in hand may take after SIGTERM, seconds.")

    @property
    def models_dir(self) -> Path:
        """Where models lie."""
        return self.data_dir / "models"

    @classmethod
    def read(cls, **overrides: Any) -> Self:
        """Reads the settings.

        Raises:
            ConfigError: a value cannot be used; names the variable.
        """
        folders = secrets_dirs()
        options: dict[str, Any] = {"_secrets_dir": folders} if folders else {}
        try:
            return cls(**options, **overrides)
        except ValidationError as error:
            first = error.errors()[0]
            name = "EVA_" + "_".join(str(part) for part in first["loc"]).upper()
            raise ConfigError(f"{name}: {first['msg']}") from error
