"""Every panel's query, asked of a real Prometheus that scraped the real services while people used them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deploy.grafana.generate import DASHBOARDS
from services.gateway.chat_protocol import AudioIn
from shared.keys import KEY_PREFIX
from tests.deploy.lively import Lively, lively
from tests.deploy.prometheus import POLL_S, WAIT_S, Prometheus, needs_prometheus, scraping
from tests.e2e.house import STAGES, House
from tests.e2e.talker import talker

pytestmark = [needs_prometheus, pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
WINDOW = "10m"
"""In place of ``$__rate_interval``: everything since the start."""
QUIET = ("errors", "Alerts")
"""What these turns give no cause for: such a panel says zero."""


LINELESS = "stt: wait in the queue"
"""The ears that need no download have no line for threads: there are buckets, with nothing in them."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def eva(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lively]:
    """Turns of each kind; some again after a scrape, for a rate needs two values of a series."""
    async with lively(tmp_path_factory.mktemp("lively")) as eva:
        async with talker(eva.home.url, audio_in=AudioIn()) as person:
            await eva.hedged(person)
            await eva.prometheus.until('eva_llm_hedges_total{outcome="won"} > 0')
            await eva.typed(person)
            await eva.prometheus.until("sum(eva_llm_turns_total) > 1")
            await eva.hedged(person)
            await eva.typed(person)
            await eva.interrupted(person)
        async with talker(eva.home.url) as person:
            await eva.failed(person)
            await eva.typed(person)
        await eva.prometheus.until('eva_turns_total{outcome="failed"} > 0')
        await eva.prometheus.until("eva_interruption_decision_seconds_count > 0")
        await eva.prometheus.until("eva_llm_rate_limit_remaining_ratio")
        await eva.prometheus.until(f"count(up == 1) == {len(STAGES) + 1}")
        yield eva


def substituted(expr: str) -> str:
    return expr.replace("$__rate_interval", WINDOW).replace("$instance", ".*")


@pytest.mark.parametrize("name", DASHBOARDS)
async def test_every_query_of_a_dashboard_has_a_figure(eva: Lively, name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    mute = [(panel["title"], asked_of(panel, each)) for panel in panels for each in panel.get("targets", ())]
    try:
        async with asyncio.timeout(WAIT_S):
            # Who was not scraped in time has no figures until the next scrape.
            while mute := [(title, expr) for title, expr in mute if await is_mute(eva, title, expr)]:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"without a figure: {mute}") from None


def asked_of(panel: dict[str, Any], target: dict[str, Any]) -> str:
    """A query without what stands behind its ``or``: that is there whatever happens."""
    expr = str(target["expr"])
    return expr if panel["title"].endswith(QUIET) else expr.partition(" or ")[0]


async def is_mute(eva: Lively, title: str, expr: str) -> bool:
    """Whether a query has no figure now."""
    found = await eva.prometheus.series(substituted(expr))
    figures = [float(series["value"][1]) for series in found]
    return not figures or not (title == LINELESS or any(map(math.isfinite, figures)))


async def test_a_query_that_nothing_answers_would_be_found(eva: Lively) -> None:
    await eva.prometheus.until(substituted('eva_turns_total{instance=~"$instance"}'))
    assert not await eva.prometheus.series(substituted('eva_turns{instance=~"$instance"}'))


async def test_every_alert_is_evaluated_and_says_what_the_turns_deserve(eva: Lively) -> None:
    await eva.prometheus.until("ALERTS")
    rules = await eva.prometheus.rules()
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}, [rule.get("lastError") for rule in rules]


async def test_a_slow_turn_leads_to_its_trace(eva: Lively) -> None:
    found = await eva.prometheus.ask(
        "query_exemplars", query="eva_turn_response_seconds_bucket", start=0, end=time.time()
    )
    traces = {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}
    assert traces
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in traces)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[tuple[House, Path]]:
    """A gateway that asks for keys, as yet without workers, and a file with a key for Prometheus."""
    key_file = tmp_path / "key"
    key_file.write_text(KEY_PREFIX + secrets.token_urlsafe(32))
    home = House(tmp_path / "eva", EVA_GATEWAY_AUTH="on", EVA_API_KEYS_FILE=str(key_file))
    try:
        await home.server.start()
        await home.start("gateway")
        async with asyncio.timeout(WAIT_S):
            while "gateway.ready" not in home["gateway"].said():  # noqa: ASYNC110 - another process's log
                await asyncio.sleep(POLL_S)
        yield home, key_file
    finally:
        await home.close()


@pytest.mark.asyncio(loop_scope="function")
async def test_where_a_key_is_asked_for_prometheus_brings_the_one_of_its_file(
    guarded: tuple[House, Path], tmp_path: Path
) -> None:
    home, key_file = guarded
    async with behind_a_proxy(home.url) as address:
        targets = {"gateway": [address], "keyless": [address]}
        async with Prometheus(tmp_path / "prometheus", scraping(targets, key_file=key_file)) as prometheus:
            await prometheus.until(
                'up{job="gateway"} == 1 and on () count(eva_build_info{job="gateway"}) == 1'
            )
            await prometheus.until('up{job="keyless"} == 0')


@contextlib.asynccontextmanager
async def behind_a_proxy(url: str) -> AsyncIterator[str]:
    """An address where requests come from elsewhere: the gateway tells its own machine without a key."""

    async def pass_on(request: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError), contextlib.closing(answer):
            head = await request.readuntil(b"\r\n\r\n")
            reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
            line, _, rest = head.partition(b"\r\n")
            with contextlib.closing(writer):  # whoever asked may be gone by now, or the test be over
                writer.write(line + b"\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n" + rest)
                while piece := await reader.read(65_536):
                    answer.write(piece)

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        yield "{}:{}".format(*server.sockets[0].getsockname())
