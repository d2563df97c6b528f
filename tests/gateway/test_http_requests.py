"""Each response has a request's id and, if it tells of a failure, the one shape that clients take apart."""

from __future__ import annotations

import logging

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send
from websockets.exceptions import InvalidStatus

from services.gateway import problems
from services.gateway.http_requests import RequestIds
from shared.errors import EvaError
from tests.fakes.gateway import RunningGateway


class Limited(EvaError):
    code = "rate_limit_exceeded"
    retry_after_s = 2.2


def app() -> FastAPI:
    made = FastAPI()
    problems.install(made)
    made.add_middleware(RequestIds)

    @made.get("/broken/{word}")
    async def broken(word: str) -> None:
        raise ZeroDivisionError(word)

    @made.get("/limited")
    async def limited() -> None:
        raise Limited("too much")

    @made.get("/typed")
    async def typed(count: int) -> int:
        return count

    return made


def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app(), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://eva")


def error_of(answer: httpx.Response) -> tuple[int, str, str, str | None]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return answer.status_code, error["type"], error["code"], error["param"]


async def test_a_defect_is_answered_in_shape_and_its_log_names_the_request_and_no_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with client() as http:
        answer = await http.get("/broken/secret", headers={"x-request-id": "mine-1"})
    assert error_of(answer) == (500, "server_error", "internal", None)
    assert answer.headers["x-request-id"] == "mine-1"
    fields = [vars(record).get("fields", {}) for record in caplog.records if record.levelno >= logging.INFO]
    assert {"path": "/broken/{word}", "defect": "ZeroDivisionError", "request": "mine-1"} in fields
    assert "secret" not in str(fields)


async def test_a_defect_behind_the_first_bytes_breaks_the_response_off() -> None:
    sent: list[Message] = []

    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    with pytest.raises(ZeroDivisionError):
        await RequestIds(broken)({"type": "http", "headers": []}, receive, send)
    assert [(message["type"], message["status"]) for message in sent] == [("http.response.start", 200)]


async def test_a_limit_says_when_to_come_back() -> None:
    async with client() as http:
        answer = await http.get("/limited")
    assert error_of(answer) == (429, "rate_limit_error", "rate_limit_exceeded", None)
    assert answer.headers["retry-after"] == "3"


async def test_what_the_framework_refuses_has_the_shape_too() -> None:
    async with client() as http:
        assert error_of(await http.get("/typed?count=x")) == (
            422, "invalid_request_error", "invalid_request", "count",
        )  # fmt: skip


async def test_an_unknown_path_and_a_wrong_method_have_the_shape(gateway: RunningGateway) -> None:
    unknown = await gateway.http.get("/v1/nothing")
    assert error_of(unknown) == (404, "not_found_error", "not_found", None)
    wrong = await gateway.http.get("/chat")
    assert error_of(wrong) == (405, "invalid_request_error", "method_not_allowed", None)
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize("given", ["abc-123", "req_01:02/x=", "x" * 128])
async def test_the_id_of_the_client_is_taken_over(gateway: RunningGateway, given: str) -> None:
    answer = await gateway.http.get("/livez", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "ü".encode().decode("latin-1"), "a=1;b"])
async def test_an_id_that_is_none_is_replaced_by_one_of_our_own(gateway: RunningGateway, given: str) -> None:
    answers = [
        await gateway.http.get("/livez", headers={b"x-request-id": given.encode("latin-1")}) for _ in range(2)
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert ids[0] != ids[1]
    assert all(one.startswith("req_") and given not in one[4:] for one in ids if given)


async def test_sockets_have_one_as_well_accepted_or_not(gateway: RunningGateway) -> None:
    async with gateway.client(additional_headers={"x-request-id": "sock"}) as person:
        assert person.connection.response is not None
        assert person.connection.response.headers["x-request-id"] == "sock"
    with pytest.raises(InvalidStatus) as refused:
        async with gateway.client(origin="https://elsewhere.example"):
            pass
    assert refused.value.response.headers["x-request-id"].startswith("req_")
    assert b'"type":"permission_error"' in refused.value.response.body
