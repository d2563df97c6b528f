"""How the page's files are served: types, caching, and what a browser may do with them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from fastapi import FastAPI

from services.gateway import page


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(page.routes())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://eva") as client:
        yield client


async def test_the_page_is_at_the_root_and_names_only_files_that_are_there(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    named = set(re.findall(r'(?:src|href)="(/page/[^"]+)"', response.text))
    assert {"/page/main.js", "/page/look.css", "/page/icon.svg"} <= named
    for path in named:
        assert (await client.get(path)).status_code == 200, path


async def test_every_module_imports_only_modules_that_are_there(client: httpx.AsyncClient) -> None:
    assets = page.read_assets()
    for name, asset in assets.items():
        source = asset.body.decode()
        imported = re.findall(r'from "\./([^"]+)"', source) + re.findall(
            r'addModule\("/page/([^"]+)"', source
        )
        assert set(imported) <= assets.keys(), name
        if name.endswith(".js"):
            response = await client.get(f"/page/{name}")
            assert response.headers["content-type"] == "text/javascript; charset=utf-8"


async def test_no_file_names_another_host() -> None:
    for name, asset in page.read_assets().items():
        addresses = re.findall(r"(?:https?|wss?)://[^\s\"'`)]+", asset.body.decode())
        foreign = [
            address
            for address in addresses
            if "localhost" not in address and "${" not in address and "www.w3.org/2000/svg" not in address
        ]
        assert foreign == [], name


async def test_a_file_that_is_known_already_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/page/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/page/main.js", headers={"if-none-match": f'W/{first.headers["etag"]}, "x"'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    other = await client.get("/page/main.js", headers={"if-none-match": '"old"'})
    assert other.content == first.content


async def test_a_head_request_is_answered_without_a_body(client: httpx.AsyncClient) -> None:
    response = await client.head("/")
    assert (response.status_code, response.content) == (200, b"")


async def test_the_policy_lets_in_nothing_but_the_gateway_itself(client: httpx.AsyncClient) -> None:
    for path in ("/", "/page/main.js", "/favicon.ico"):
        headers = (await client.get(path)).headers
        policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert set(policy.values()) <= {"'none'", "'self'", "'script'"}
        assert "microphone=(self)" in headers["permissions-policy"]
        assert headers["x-content-type-options"] == "nosniff"


async def test_what_is_no_file_of_the_page_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("/page/", "/page/page.py", "/page/..%2Fpage.py", "/page/%2e%2e/settings.py"):
        assert (await client.get(path)).status_code == 404, path
