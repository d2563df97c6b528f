"""The broker of deploy/k8s/nats/values.yaml as three real servers on loopback.

The chart itself is not here: ``configuration`` does what its documentation says of the values in use (its
``values.yaml``, and the special rules of ``merge``), and fails for a value that it does not know.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from deploy.k8s.draw import draw
from eva.broker import find_server
from eva.place import free_port
from shared.bus.nats import NatsBus, connect
from tests.deploy.k8s import K8S, ROOT

Values = dict[str, Any]
WAIT_S = 120.0
POLL_S = 0.05
RELEASE = "nats"


def values() -> Values:
    """Returns the values file."""
    found: Values = yaml.safe_load((K8S / "nats" / "values.yaml").read_text())
    return found


def configuration(told: Values) -> dict[str, Any]:
    """Returns the server's configuration that the chart makes of ``config``, without what is merged last."""
    config = dict(told["config"])
    cluster, jetstream, nats = config.pop("cluster"), config.pop("jetstream"), config.pop("nats")
    merge = config.pop("merge")
    assert not config, f"values that are not known here: {sorted(config)}"
    name, port = told["fullnameOverride"], 6222
    assert cluster.keys() == {"enabled", "replicas", "tls"}
    made = {
        "server_name": "<< $SERVER_NAME >>",
        "port": 4222,
        "http_port": 8222,
        "lame_duck_duration": "30s",
        "lame_duck_grace_period": "10s",
        "tls": _tls(told, nats.pop("tls"), "nats"),
        "cluster": {
            "name": name,
            "port": port,
            "no_advertise": True,
            "routes": [f"tls://{name}-{n}.{name}-headless:{port}" for n in range(cluster["replicas"])],
            "tls": _tls(told, cluster["tls"], "cluster"),
        },
        "jetstream": {
            "store_dir": "/data",
            "max_file_store": f"<< {jetstream['fileStore']['pvc']['size']} >>",
            "max_memory_store": f"<< {jetstream['memoryStore']['maxSize']} >>",
        },
    }
    assert not nats
    return made | merge


def _tls(told: Values, tls: Values, protocol: str) -> dict[str, Any]:
    assert tls["enabled"]
    assert told["tlsCA"]["enabled"]
    folder = f"/etc/nats-certs/{protocol}"
    files = {
        "cert_file": f"{folder}/tls.crt",
        "key_file": f"{folder}/tls.key",
        "ca_file": "/etc/nats-ca-cert/ca.crt",
    }
    return files | tls.get("merge", {})


def text_of(configuration: dict[str, Any]) -> str:
    """Returns it as the chart writes it: keys that end in ``$include`` include, ``<< … >>`` has no quotes."""
    text = json.dumps(dict(sorted(configuration.items())), indent=2)
    text = re.sub(r'".*\$include": "(.*)",?', r"include \1;", text)
    return re.sub(r'"<<\s+(.*?)\s+>>"', r"\1", text)


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody has."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port("127.0.0.1", 0))
    return [*ports]


@dataclass
class Node:
    """One server."""

    name: str
    folder: Path
    port: int
    monitor: int
    process: asyncio.subprocess.Process


class Cluster:
    """The three of them; ``secrets`` is the folder that deploy/k8s/draw.py filled."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.secrets = folder, folder / "secrets"
        self.nodes: list[Node] = []
        draw(self.secrets, [])

    @property
    def url(self) -> str:
        """For any client."""
        servers = ",".join(f"tls://127.0.0.1:{node.port}" for node in self.nodes)
        return f"{servers}?ca={self.secrets / 'nats' / 'ca.pem'}"

    async def connect(self, user: str) -> NatsBus:
        """Returns a connection as one of the broker's users."""
        password = (self.secrets / user / "eva_nats_password").read_text().strip()
        names = {"stt": "eva-stt", "operator": "eva-keys"}
        return await connect(self.url, name=names.get(user, user), user=user, password=password)

    async def start(self) -> None:
        """Starts them, and waits until they have agreed on who leads."""
        count = values()["config"]["cluster"]["replicas"]
        ports = free_ports(3 * count)
        routes = [f"tls://127.0.0.1:{port}" for port in ports[:count]]
        for number in range(count):
            name = f"{RELEASE}-{number}"
            place = self.folder / f"{name}-{ports[0]}"
            self._write(place, ports[number::count], routes)
            log = (place / "log").open("wb")
            process = await asyncio.create_subprocess_exec(
                find_server(), "--config", place / "etc" / "nats-config" / "nats.conf",
                env={"SERVER_NAME": name}, stdout=log, stderr=log,
            )  # fmt: skip
            log.close()
            self.nodes.append(Node(name, place, ports[count + number], ports[2 * count + number], process))
        async with asyncio.timeout(WAIT_S), httpx.AsyncClient(timeout=WAIT_S, trust_env=False) as http:
            while not await self._agree(http):  # noqa: ASYNC110 - other processes' state is polled
                await asyncio.sleep(POLL_S)

    def _write(self, place: Path, ports: list[int], routes: list[str]) -> None:
        """Lays a pod's files out below ``place``."""
        route, client, monitor = ports
        made = configuration(values())
        made |= {"host": "127.0.0.1", "port": client, "http": f"127.0.0.1:{monitor}"}
        made.pop("http_port")
        made["cluster"] |= {"listen": f"127.0.0.1:{route}", "routes": routes}
        made["cluster"].pop("port")
        for folder in ("etc/nats-config", "etc/nats", "run/eva"):
            (place / folder).mkdir(parents=True)
        for protocol in ("nats", "cluster"):
            self._certificate(place / "etc" / "nats-certs" / protocol)
        self._certificate(place / "etc" / "nats-ca-cert")
        (place / "etc" / "nats" / "accounts.conf").write_text(
            (ROOT / "deploy" / "nats" / "accounts.conf").read_text()
        )
        (place / "run" / "eva" / "passwords.conf").write_text(
            (self.secrets / "nats" / "passwords.conf").read_text()
        )
        text = text_of(made).replace('"/etc', f'"{place}/etc').replace('"/data"', json.dumps(f"{place}/data"))
        (place / "etc" / "nats-config" / "nats.conf").write_text(text)

    def _certificate(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, file in (("tls.crt", "cert.pem"), ("tls.key", "key.pem"), ("ca.crt", "ca.pem")):
            (folder / name).write_bytes((self.secrets / "nats" / file).read_bytes())

    async def _agree(self, http: httpx.AsyncClient) -> bool:
        for node in self.nodes:
            assert node.process.returncode is None, (node.folder / "log").read_text()
            try:
                told = (await http.get(f"http://127.0.0.1:{node.monitor}/jsz")).json()
            except httpx.TransportError:
                return False
            meta = told.get("meta_cluster", {})
            if not meta.get("leader") or meta.get("cluster_size") != len(self.nodes):
                return False
        return True

    async def stop(self) -> None:
        """Ends them."""
        for node in self.nodes:
            if node.process.returncode is None:
                node.process.kill()
                await node.process.wait()
        self.nodes.clear()


@asynccontextmanager
async def three_nodes(folder: Path) -> AsyncIterator[Cluster]:
    """The cluster for as long as the context lasts; other ports if somebody was quicker."""
    cluster = Cluster(folder)
    try:
        for attempt in range(3):
            try:
                await cluster.start()
                break
            except AssertionError as died:
                await cluster.stop()
                if attempt == 2 or "address already in use" not in str(died):
                    raise
        yield cluster
    finally:
        await cluster.stop()
