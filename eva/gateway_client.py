"""EVA's HTTP side from the client's: health, readiness, a line spoken."""

from __future__ import annotations

import json
from typing import Self

import httpx
import msgspec

from eva.chat_client import NotRunning
from services.gateway.health import Health
from shared.errors import EvaError

_decoder = msgspec.json.Decoder(Health)
TIMEOUT = httpx.Timeout(5.0, connect=1.0)


class GatewayRefused(EvaError):
    """EVA answered, and said no."""

    code = "gateway_refused"


class Gateway:
    """A connection to one gateway; to be used within ``async with``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def health(self) -> Health:
        """Returns what EVA knows about itself.

        Raises:
            NotRunning: nobody answers there.
            GatewayRefused: something else than EVA answers.
        """
        answer = await self._get("/health")
        try:
            return _decoder.decode(answer.content)
        except msgspec.DecodeError as error:
            raise GatewayRefused(f"what answers at {self._url} is no EVA") from error

    async def is_ready(self) -> bool:
        """Whether a whole turn has been audible. Raises ``NotRunning``."""
        return (await self._get("/readyz")).status_code == httpx.codes.OK

    async def _get(self, path: str) -> httpx.Response:
        try:
            return await self._client.get(path)
        except httpx.HTTPError as error:
            raise NotRunning(self._url) from error

    async def speak(self, text: str, *, speed: float, rate_hz: int) -> bytes:
        """Returns a line as a WAV file.

        Raises:
            NotRunning: nobody answers there.
            GatewayRefused: the line cannot be spoken; says why.
        """
        wish = {"text": text, "speed": speed, "format": "wav", "sample_rate_hz": rate_hz}
        try:
            answer = await self._client.post("/tts", json=wish, timeout=20.0)
        except httpx.HTTPError as error:
            raise NotRunning(self._url) from error
        if answer.status_code != httpx.codes.OK:
            raise GatewayRefused(_reason(answer))
        return answer.content


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
