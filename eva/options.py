"""Defaults of the command line: flags come before the environment, ``.env`` and what stands here."""

from __future__ import annotations

import os
from pathlib import Path

from eva.place import url_of
from services.gateway.settings import GatewaySettings


def gateway_settings(**flags: str) -> GatewaySettings:
    """Returns what the gateway would read here, told by flags first. Raises ``ConfigError``."""
    return GatewaySettings.read(**flags)


def eva_url(flag: str | None) -> str:
    """Returns where EVA is: the flag, ``EVA_URL``, or where the settings say that the gateway listens."""
    given = flag or os.environ.get("EVA_URL", "")
    if not given:
        settings = gateway_settings()
        return url_of(settings.host, settings.port)
    return (given if "://" in given else f"http://{given}").rstrip("/")


def data_dir(flag: Path | None) -> Path:
    """Returns the data directory, absolute. Raises ``ConfigError``."""
    return (flag or gateway_settings().data_dir).expanduser().absolute()
