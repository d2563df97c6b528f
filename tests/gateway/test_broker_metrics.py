"""The broker's figures: read from real servers, of EVA's streams alone, and gone when they are old."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.gateway.broker_metrics import Reading, read
from services.gateway.broker_watch import STALE_S, BrokerWatch
from services.gateway.metrics import Metrics
from services.gateway.settings import GatewaySettings
from shared import subjects
from shared.bus import Job
from shared.errors import ConfigError
from shared.messages import Cancel
from shared.queues import LLM_WORK
from tests.conftest import NatsServer
from tests.shared.metrics_rules import check, check_by_promtool

WAIT_S = 60.0
VARZ = {
    "server_name": "a", "connections": 3, "subscriptions": 9, "slow_consumers": 1,
    "in_msgs": 5, "out_msgs": 7, "in_bytes": 50, "out_bytes": 70,
    "mem": 1000, "cpu": 25.0, "unknown": {"more": 1},
}  # fmt: skip


def stream(name: str, *, leader: str | None = None, **consumer: int) -> dict[str, object]:
    told: dict[str, object] = {"name": name, "state": {"messages": 4, "bytes": 400}}
    if leader is not None:
        told["cluster"] = {"leader": leader}
    return told | ({"consumer_detail": [consumer]} if consumer else {})


def reading(*streams: dict[str, object], at_s: float = 0.0) -> Reading:
    jsz = {"account_details": [{"name": "EVA", "stream_detail": list(streams)}]}
    return read(json.dumps(VARZ).encode(), json.dumps(jsz).encode(), at_s=at_s)


def page(*told: Reading | None) -> str:
    metrics = Metrics()
    metrics.watch_broker(lambda: told)
    return metrics.render().decode()


def test_servers_and_queues_are_shown_by_the_rules() -> None:
    shown = page(
        None, reading(stream("eva-llm", num_pending=2, num_ack_pending=1, num_redelivered=1, num_waiting=3))
    )
    for line in (
        'eva_broker_up{server="0"} 0.0',
        'eva_broker_up{server="1"} 1.0',
        'eva_broker_connections{server="1"} 3.0',
        'eva_broker_slow_consumers_total{server="1"} 1.0',
        'eva_broker_messages_total{direction="out",server="1"} 7.0',
        'eva_broker_bytes_total{direction="in",server="1"} 50.0',
        'eva_broker_cpu_ratio{server="1"} 0.25',
        'eva_broker_stream_messages{stream="eva-llm"} 4.0',
        'eva_broker_queue_pending{queue="eva-llm"} 2.0',
        'eva_broker_queue_in_hand{queue="eva-llm"} 1.0',
        'eva_broker_queue_redelivered{queue="eva-llm"} 1.0',
        'eva_broker_queue_asks{queue="eva-llm"} 3.0',
    ):
        assert line in shown.splitlines(), line
    check(shown)


def test_promtool_has_nothing_to_say_about_the_broker() -> None:
    check_by_promtool(page(reading(stream("eva-tts", num_pending=1))))


def test_streams_of_others_and_copies_that_another_server_leads_are_not_shown() -> None:
    told = reading(
        stream("orders"),
        stream("eva-llm", leader="a"),
        stream("eva-tts", leader="b"),
        stream("KV_eva-sessions"),
    )
    assert [one.name for one in told.streams] == ["KV_eva-sessions", "eva-llm"]
    shown = page(reading(*(stream(f"eva-{number}") for number in range(40))))
    assert shown.count("eva_broker_stream_bytes{") == 16


@pytest.mark.parametrize("said", [b"", b"[]", b'{"connections": "many"}'])
def test_what_is_no_answer_of_a_broker_is_refused(said: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        read(said, b"{}", at_s=0.0)


@pytest.mark.process
async def test_a_real_broker_tells_how_much_waits_and_how_much_is_in_hand(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    await server.start()
    now_s = 0.0
    watch = BrokerWatch([server.monitor_url], clock=lambda: now_s)
    assert watch.told() == [None]
    metrics = Metrics()
    metrics.watch_broker(watch.told)
    bus, began, may_end = await server.connect(), asyncio.Event(), asyncio.Event()

    async def hold(_job: Job) -> None:
        began.set()
        await may_end.wait()

    await bus.declare(LLM_WORK)
    for number in range(3):
        await bus.enqueue(
            subjects.work("llm", "g", "s"), Cancel(sid="s", turn=number), message_id=f"{number}"
        )
    async with asyncio.TaskGroup() as tasks:
        consumer = bus.consumer(LLM_WORK, slots=1, handler=hold)
        running = tasks.create_task(consumer.run())
        await asyncio.wait_for(began.wait(), WAIT_S)
        await until(
            watch, lambda: 'eva_broker_queue_in_hand{queue="eva-llm"} 1.0' in metrics.render().decode()
        )
        lines = metrics.render().decode().splitlines()
        assert 'eva_broker_queue_pending{queue="eva-llm"} 2.0' in lines
        assert 'eva_broker_up{server="0"} 1.0' in lines
        assert 'eva_broker_connections{server="0"} 2.0' in lines
        now_s = STALE_S + 1
        assert watch.told() == [None]
        may_end.set()
        consumer.drain()
        await asyncio.wait_for(running, WAIT_S)
    await bus.close()
    await server.stop()
    await watch.look()
    assert 'eva_broker_up{server="0"} 0.0' in metrics.render().decode()


async def until(watch: BrokerWatch, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await watch.look()


def test_an_address_that_is_no_url_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVA_NATS_MONITOR_URL", "http://a:8222, http://b:8222/")
    assert GatewaySettings.read().nats_monitors == ["http://a:8222", "http://b:8222"]
    monkeypatch.setenv("EVA_NATS_MONITOR_URL", "file:///etc/passwd")
    with pytest.raises(ConfigError, match="EVA_NATS_MONITOR_URL"):
        GatewaySettings.read()
