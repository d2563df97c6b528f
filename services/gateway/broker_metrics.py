"""The broker's figures for Prometheus, as its monitoring port tells them. Pure; ``broker_watch`` asks it.

``/varz`` is about the server, ``/jsz`` about what JetStream keeps
(https://docs.nats.io/running-a-nats-service/nats_admin/monitoring). In a cluster each server tells of the
streams that it has a copy of: the one that leads a stream is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shared.labels import MOST

PREFIXES = ("eva-", "KV_eva-")
"""Of EVA's own streams; a broker may keep others'."""


class _Server(msgspec.Struct):
    server_name: str = ""
    connections: int = 0
    subscriptions: int = 0
    slow_consumers: int = 0
    in_msgs: int = 0
    out_msgs: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    mem: int = 0
    cpu: float = 0.0
    """Percent of one core."""


class _Cluster(msgspec.Struct):
    leader: str = ""


class _State(msgspec.Struct):
    messages: int = 0
    bytes: int = 0


class _Consumer(msgspec.Struct):
    num_pending: int = 0
    num_ack_pending: int = 0
    num_redelivered: int = 0
    num_waiting: int = 0


class _Stream(msgspec.Struct):
    name: str = ""
    state: _State = msgspec.field(default_factory=_State)
    cluster: _Cluster | None = None
    consumer_detail: list[_Consumer] = []


class _Account(msgspec.Struct):
    stream_detail: list[_Stream] = []


class _Store(msgspec.Struct):
    account_details: list[_Account] = []


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one server told."""

    at_s: float
    """Of a monotonic clock."""
    server: _Server
    streams: tuple[_Stream, ...]
    """EVA's, those that this server leads."""


def read(varz: bytes, jsz: bytes, *, at_s: float) -> Reading:
    """Reads both answers. Raises ``msgspec.MsgspecError`` where they are none."""
    server = msgspec.json.decode(varz, type=_Server)
    store = msgspec.json.decode(jsz, type=_Store)
    streams = [
        stream
        for account in store.account_details
        for stream in account.stream_detail
        if stream.name.startswith(PREFIXES)
        and (stream.cluster is None or stream.cluster.leader in {"", server.server_name})
    ]
    return Reading(at_s=at_s, server=server, streams=tuple(sorted(streams, key=lambda stream: stream.name)))


_GAUGES: tuple[tuple[str, str, Callable[[_Server], float]], ...] = (
    ("eva_broker_connections", "Clients that are connected to the broker.", lambda one: one.connections),
    ("eva_broker_subscriptions", "Standing subscriptions.", lambda one: one.subscriptions),
    ("eva_broker_memory_bytes", "Resident memory of the broker.", lambda one: one.mem),
    ("eva_broker_cpu_ratio", "CPU of the broker; 1 is a whole core.", lambda one: one.cpu / 100),
)
_STREAMS: tuple[tuple[str, str, Callable[[_Stream], float]], ...] = (
    (
        "eva_broker_stream_messages",
        "Messages that JetStream stores.",
        lambda one: one.state.messages,
    ),
    ("eva_broker_stream_bytes", "Bytes that JetStream stores.", lambda one: one.state.bytes),
)
_QUEUES: tuple[tuple[str, str, Callable[[_Consumer], float]], ...] = (
    ("eva_broker_queue_pending", "Items that no worker has yet.", lambda one: one.num_pending),
    (
        "eva_broker_queue_in_hand",
        "Items that workers have and that are not done.",
        lambda one: one.num_ack_pending,
    ),
    (
        "eva_broker_queue_redelivered",
        "Items that are not done and were given out more than once.",
        lambda one: one.num_redelivered,
    ),
    (
        "eva_broker_queue_asks",
        "Requests of workers with free slots that wait for an item.",
        lambda one: one.num_waiting,
    ),
)


class Told(Protocol):
    """What the servers told, in the order of their list; None: nothing lately."""

    def __call__(self) -> Sequence[Reading | None]:
        """Returns it."""


class BrokerMetrics(Collector):
    """Shows what was told last; asking Prometheus' way never waits for the broker."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        """Yields the figures of now."""
        told = self._told()
        up = GaugeMetricFamily("eva_broker_up", "1 while the broker's monitoring answers.", labels=["server"])
        for number, reading in enumerate(told):
            up.add_metric([str(number)], float(reading is not None))
        yield up
        servers = [(str(number), one.server) for number, one in enumerate(told) if one is not None]
        yield from _of_servers(servers)
        streams = {stream.name: stream for one in told if one is not None for stream in one.streams}
        yield from _of_streams([stream for _, stream in sorted(streams.items())][:MOST])

    def describe(self) -> list[Metric]:
        """Nothing is asked before there is something to tell."""
        return []


def _of_servers(servers: Sequence[tuple[str, _Server]]) -> Iterator[Metric]:
    for name, words, figure in _GAUGES:
        yield _family(name, words, "server", ((number, figure(server)) for number, server in servers))
    slow = CounterMetricFamily(
        "eva_broker_slow_consumers",
        "Clients dropped because they did not read fast enough.",
        labels=["server"],
    )
    for number, server in servers:
        slow.add_metric([number], server.slow_consumers)
    yield slow
    for name, words, unit in (
        ("eva_broker_messages", "Messages to and from the broker.", "msgs"),
        ("eva_broker_bytes", "Bytes to and from the broker.", "bytes"),
    ):
        family = CounterMetricFamily(name, words, labels=["server", "direction"])
        for number, server in servers:
            for direction in ("in", "out"):
                family.add_metric([number, direction], getattr(server, f"{direction}_{unit}"))
        yield family


def _of_streams(streams: Sequence[_Stream]) -> Iterator[Metric]:
    for name, words, figure in _STREAMS:
        yield _family(name, words, "stream", ((stream.name, figure(stream)) for stream in streams))
    queues = [(stream.name, stream.consumer_detail[0]) for stream in streams if stream.consumer_detail]
    for name, words, of_queue in _QUEUES:
        yield _family(name, words, "queue", ((queue, of_queue(one)) for queue, one in queues))


def _family(name: str, words: str, label: str, samples: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=[label])
    for value, figure in samples:
        family.add_metric([value], figure)
    return family
