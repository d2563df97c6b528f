"""The key with which the command comes to an EVA that asks for one: ``EVA_API_KEY``, or a file of secrets."""

from __future__ import annotations

import json
import os

from dotenv import dotenv_values

from shared.settings import secrets_dirs

VARIABLE = "EVA_API_KEY"
_NO_KEY = 401


def api_key() -> str:
    """Returns the key of the environment, of ``.env`` or of the secrets' directory, in this order; or ""."""
    given = os.environ.get(VARIABLE) or dotenv_values(".env").get(VARIABLE) or ""
    for folder in secrets_dirs():
        file = folder / VARIABLE.lower()
        if not given and file.is_file():
            given = file.read_text(encoding="utf-8")
    return given.strip()


def authorization() -> dict[str, str]:
    """Returns the header that a request needs; none where there is no key."""
    key = api_key()
    return {"authorization": f"Bearer {key}"} if key else {}


def refusal(status: int, body: bytes) -> str:
    """Returns why EVA let nobody in, by its answer to a handshake."""
    try:
        reason = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        reason = f"HTTP {status}"
    return f"{reason}; {VARIABLE} is where this command looks for it" if status == _NO_KEY else reason
