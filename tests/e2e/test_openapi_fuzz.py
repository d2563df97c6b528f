"""Schemathesis: whatever the OpenAPI document lets one send, and what it does not, is answered as described.

On real processes, with a provider on loopback: a number of examples of each operation, the same ones each
time, by the schema and against it; and one of each that has to succeed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.house import WAIT_S, House, house
from tests.fakes.provider import FakeProvider, Reply

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

EXAMPLES = 5
"""Of each operation, by its schema; and as many against it."""
CHECKS: Any = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SERVICE_UNAVAILABLE = 503
HELLO = [{"role": "user", "content": "Say hello."}]
GOOD: dict[str, list[Any]] = {
    "POST /chat": [{"message": "Say hello."}],
    "POST /tts": [{"text": "Hello.", "format": form} for form in ("mp3", "wav", "mulaw")],
    "POST /v1/audio/speech": [
        {"model": "m", "voice": "alloy", "input": "Hello."},
        {"model": "m", "voice": {"id": "eva"}, "input": "Hello.", "stream_format": "sse"},
    ],
    "POST /v1/chat/completions": [
        {"model": "m", "messages": HELLO},
        {"model": "m", "messages": HELLO, "stream": True},
        {"model": "m", "messages": HELLO, "modalities": ["audio"], "audio": {"voice": "a", "format": "mp3"}},
    ],
    "POST /v1/realtime/client_secrets": [{}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("home")
    async with (
        FakeProvider(Reply(tokens=("Hello", "."))) as provider,
        house(folder, EVA_LLM_BASE_URL=provider.base_url) as home,
    ):
        yield home


def validated(case: Any) -> Any:
    """Asks, and comes again while something is kept waiting; returns the answer once it is as described."""
    give_up_s = time.monotonic() + WAIT_S
    while (response := case.call()).status_code == SERVICE_UNAVAILABLE and time.monotonic() < give_up_s:
        case.validate_response(response, checks=[check for check in CHECKS if check != not_a_server_error])
        time.sleep(float(response.headers.get("retry-after", ["1"])[0]))
    case.validate_response(response, checks=CHECKS)
    return response


async def described(home: House) -> Any:
    document = (await home.http.get(f"{home.url}/openapi.json")).json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=home.url)
    return schema


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
async def test_every_operation_is_answered_as_it_is_described(
    home: House, mode: schemathesis.GenerationMode
) -> None:
    def ask(operation: Any) -> int:
        @settings(
            max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(operation.as_strategy(generation_mode=mode))
        def answered(case: Any) -> None:
            nonlocal asked
            asked += 1
            validated(case)

        asked = 0
        with contextlib.suppress(Unsatisfiable):  # nothing can be said wrongly where nothing is said
            answered()
        return asked

    operations = [result.ok() for result in (await described(home)).get_all_operations()]
    asked = {operation.label: await asyncio.to_thread(ask, operation) for operation in operations}
    assert len(asked) >= 14
    assert all(count >= EXAMPLES for label, count in asked.items() if label.startswith("POST")), asked


async def test_what_has_to_succeed_succeeds_as_it_is_described(home: House) -> None:
    schema = await described(home)
    operations = {result.ok().label: result.ok() for result in schema.get_all_operations()}
    for label, body in itertools.chain.from_iterable(
        [(label, body) for body in bodies] for label, bodies in GOOD.items()
    ):
        case = operations[label].Case(body=body, media_type="application/json")
        response = await asyncio.to_thread(validated, case)
        assert response.status_code == 200, (label, response.text)
