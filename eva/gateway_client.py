"""EVA's HTTP side from the client's: health, readiness, a line spoken, a recording transcribed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Self

import httpx
import msgspec

from eva.chat_client import NotRunning
from eva.credentials import authorization
from services.gateway.health import Health
from shared.errors import EvaError

_decoder = msgspec.json.Decoder(Health)
TIMEOUT = httpx.Timeout(5.0, connect=1.0)
PATIENT = httpx.Timeout(None, connect=1.0)
PART_BYTES = 65_536


class GatewayRefused(EvaError):
    """EVA answered, and said no."""

    code = "gateway_refused"


class Gateway:
    """A connection to one gateway; to be used within ``async with``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(
            base_url=url, timeout=TIMEOUT, trust_env=False, headers=authorization()
        )

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

    async def metrics(self) -> str:
        """Returns EVA's figures as Prometheus reads them. Raises ``NotRunning``, ``GatewayRefused``."""
        answer = await self._get("/metrics")
        if answer.status_code != httpx.codes.OK:
            raise GatewayRefused(_reason(answer))
        return answer.text

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

    @contextlib.asynccontextmanager
    async def spoken(self, wish: Mapping[str, object]) -> AsyncIterator[httpx.Response]:
        """Gives the answer of ``POST /tts``, whose sound is read as it comes.

        Raises:
            NotRunning: nobody answers there, or no longer.
            GatewayRefused: the text cannot be spoken; says why.
        """
        try:
            async with self._client.stream("POST", "/tts", json=wish, timeout=30.0) as answer:
                if answer.status_code != httpx.codes.OK:
                    await answer.aread()
                    raise GatewayRefused(_reason(answer))
                yield answer
        except httpx.HTTPError as error:
            raise NotRunning(self._url) from error

    async def transcribe(
        self, data: bytes, wishes: Mapping[str, str], sent: Callable[[int, int], None]
    ) -> bytes:
        """Returns the transcript of a recording, in the format that ``wishes`` name.

        ``sent`` is told how many bytes of how many are on their way. Takes as long as it takes.

        Raises:
            NotRunning: nobody answers there, or no longer.
            GatewayRefused: the recording cannot be transcribed; says why.
        """

        async def body() -> AsyncIterator[bytes]:
            for start in range(0, len(data), PART_BYTES):
                yield data[start : start + PART_BYTES]
                sent(min(start + PART_BYTES, len(data)), len(data))

        headers = {"content-type": "application/octet-stream", "content-length": str(len(data))}
        try:
            answer = await self._client.post(
                "/stt", params=dict(wishes), content=body(), headers=headers, timeout=PATIENT
            )
        except httpx.HTTPError as error:
            raise NotRunning(self._url) from error
        if answer.status_code != httpx.codes.OK:
            raise GatewayRefused(_reason(answer) + _again(answer))
        return answer.content


def _again(answer: httpx.Response) -> str:
    after_s = answer.headers.get("retry-after", "")
    return f"; try again in {after_s} s" if after_s else ""


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
