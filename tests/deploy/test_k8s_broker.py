"""The values for NATS' chart make a cluster that EVA's services can use, and whose queues KEDA can read."""

from __future__ import annotations

import asyncio
import functools
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from deploy.k8s.draw import draw
from eva.broker import find_server
from shared import subjects
from shared.bus.nats import NatsBus
from shared.errors import BusDown
from shared.messages import Cancel
from shared.queues import LLM_WORK, TTS_WORK
from tests.cluster.nodes import until_done
from tests.deploy.k8s import of_kind, rendered
from tests.deploy.k8s_broker import WAIT_S, Cluster, configuration, three_nodes, values
from tests.deploy.rights import ROOT

pytestmark = pytest.mark.process
on_one_loop = pytest.mark.asyncio(loop_scope="module")
POLL_S = 0.05
ITEMS = 7


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with three_nodes(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


async def lag(cluster: Cluster, metadata: dict[str, str]) -> int | None:
    """Returns what KEDA's scaler would make of it: of the consumer's leader, what waits and what is in hand.

    None: no node calls itself the leader of such a consumer, and KEDA would scale by nothing.
    """
    query = f"/jsz?acc={metadata['account']}&consumers=true&config=true"
    async with httpx.AsyncClient(timeout=WAIT_S, trust_env=False) as http:
        for node in cluster.nodes:
            told: dict[str, Any] = (await http.get(f"http://127.0.0.1:{node.monitor}{query}")).json()
            for account in told.get("account_details", []):
                if account["name"] != metadata["account"]:
                    continue
                for stream in account.get("stream_detail", []):
                    for consumer in stream.get("consumer_detail", []):
                        names = (stream["name"], consumer["name"])
                        if names == (metadata["stream"], metadata["consumer"]):
                            leader = consumer.get("cluster", {}).get("leader", node.name)
                            if leader == node.name:
                                return int(consumer["num_pending"] + consumer["num_ack_pending"])
    return None


async def enqueued(bus: NatsBus, subject: str, message_id: str) -> None:
    await bus.enqueue(subject, Cancel(sid="sid", turn=1), message_id=message_id)


@pytest.mark.parametrize(("stage", "queue"), [("llm", LLM_WORK), ("tts", TTS_WORK)])
@on_one_loop
async def test_keda_reads_how_much_lies_in_a_queue(cluster: Cluster, stage: str, queue: Any) -> None:
    scaled = of_kind(rendered("cpu"), "ScaledObject")
    (trigger,) = scaled[stage]["spec"]["triggers"]
    gateway = await until_done(lambda: cluster.connect("gateway"))
    subject = subjects.work(stage, "gw", "sid")  # type: ignore[arg-type]  # one of the stages
    try:
        await until_done(lambda: gateway.declare(queue))
        for number in range(ITEMS):
            await until_done(functools.partial(enqueued, gateway, subject, f"{stage}-{number}"))
        async with asyncio.timeout(WAIT_S):
            while await lag(cluster, trigger["metadata"]) != ITEMS:  # noqa: ASYNC110 - the server's state is polled
                await asyncio.sleep(POLL_S)
    finally:
        await gateway.close()


@on_one_loop
async def test_each_service_comes_in_as_its_own_user_at_any_node_and_nobody_else_does(
    cluster: Cluster,
) -> None:
    for user in ("gateway", "stt", "llm", "tts", "operator"):
        bus = await until_done(functools.partial(cluster.connect, user))
        await bus.close()
    (cluster.secrets / "stranger").mkdir(exist_ok=True)
    (cluster.secrets / "stranger" / "eva_nats_password").write_text("guess")
    with pytest.raises(BusDown, match="refuses these credentials"):
        await cluster.connect("stranger")


@on_one_loop
async def test_nodes_find_one_another_by_certificates_alone(cluster: Cluster) -> None:
    async with httpx.AsyncClient(timeout=WAIT_S, trust_env=False) as http:
        for node in cluster.nodes:
            told = (await http.get(f"http://127.0.0.1:{node.monitor}/varz")).json()
            assert told["cluster"]["tls_required"]
            assert told["cluster"]["tls_verify"]
            assert told["tls_required"]


def test_the_nodes_names_are_on_the_certificate_and_bounds_are_those_of_one_machine() -> None:
    made = configuration(values())
    hosts = [route.removeprefix("tls://").rpartition(":")[0] for route in made["cluster"]["routes"]]
    assert hosts == [f"nats-{n}.nats-headless" for n in range(3)]
    monitor = of_kind(rendered("cpu"), "Deployment")["gateway"]["spec"]["template"]["spec"]["containers"][0][
        "env"
    ]
    told = next(one["value"] for one in monitor if one["name"] == "EVA_NATS_MONITOR_URL")
    assert told.split(",") == [f"http://{host}:8222" for host in hosts]
    alone = (ROOT / "deploy" / "nats" / "nats.conf").read_text()
    for key in ("max_payload", "ping_interval", "ping_max", "write_deadline"):
        value = str(made[key]).strip("<> ")
        assert f'{key}: "{value}"' in alone or f"{key}: {value}\n" in alone


@pytest.mark.parametrize("part", ["", "routes"])
def test_the_pages_file_for_three_machines_is_one_that_the_server_takes(tmp_path: Path, part: str) -> None:
    told = re.search(
        r"```\n(include \"tls\.conf\"\n.*?)```", (ROOT / "docs" / "operate.md").read_text(), re.DOTALL
    )
    assert told is not None
    (tmp_path / "etc" / "nats").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    draw(tmp_path / "secrets", [])
    (tmp_path / "run" / "eva").symlink_to(tmp_path / "secrets" / "nats")
    texts = {file.name: file.read_text() for file in (ROOT / "deploy" / "nats").glob("*.conf")}
    texts["cluster.conf"] = told[1].replace(f"{part}:", "mistake:", 1) if part else told[1]
    for name, text in texts.items():
        (tmp_path / "etc" / "nats" / name).write_text(text.replace('"/run/eva', f'"{tmp_path}/run/eva'))
    command = [find_server(), "-t", "-c", tmp_path / "etc" / "nats" / "cluster.conf"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert (done.returncode == 0) == (not part), done.stderr
