"""The broker: what waits in its queues, who is too slow for it, how much passes."""

from __future__ import annotations

from deploy.grafana.panels import Panel, Query, dashboard, lines, quantile, rate, row, total


def of_queues(title: str, about: str, metric: str) -> Panel:
    """Returns a panel with a line for each queue; several gateways read the same figure."""
    return lines(title, about, "short", [Query(total(metric, "queue", fold="max"), "{{queue}}")])


def of_servers(title: str, about: str, unit: str, metric: str) -> Panel:
    """Returns a panel with a line for each server of the broker."""
    return lines(title, about, unit, [Query(total(metric, "server", fold="max"), "{{server}}")])


DASHBOARD = dashboard(
    "eva-broker",
    "EVA · Broker",
    "What waits in the broker's queues, who is too slow for it, and how much passes. The gateways read it"
    " from the broker's monitoring port.",
    row(
        "Queues",
        of_queues(
            "Lag",
            "Items that no worker has yet. It is to be about zero: what waits, waits before a person.",
            "eva_broker_queue_pending",
        ),
        of_queues("In hand", "Items that workers have and that are not done.", "eva_broker_queue_in_hand"),
        of_queues(
            "Given out again",
            "Items that are not done and were given out more than once: a worker died or hangs.",
            "eva_broker_queue_redelivered",
        ),
        of_queues(
            "Free hands",
            "Requests of workers with free slots that wait for an item. Zero: all workers are busy or gone.",
            "eva_broker_queue_asks",
        ),
        lines(
            "Taken over from another worker",
            "Items a minute that another worker had before, by stage.",
            "opm",
            [Query(f"60 * {rate('eva_stage_redeliveries_total', 'stage')}", "{{stage}}")],
        ),
        lines(
            "Wait in the queue",
            "p95 until a worker took an item up, as workers measured it.",
            "s",
            [Query(quantile(0.95, "eva_stage_queue_wait_seconds", "stage", 'stage=~"llm|tts"'), "{{stage}}")],
        ),
    ),
    row(
        "Servers",
        of_servers("Up", "1 while the monitoring port answers.", "short", "eva_broker_up"),
        lines(
            "Slow consumers",
            "Clients a minute that were dropped because they did not read fast enough: it is to be 0.",
            "opm",
            [Query(f"60 * {rate('eva_broker_slow_consumers_total', 'server', fold='max')}", "{{server}}")],
            limits=((0.01, "red"),),
        ),
        of_servers(
            "Connections",
            "Two for each process of EVA: one for control, one for media.",
            "short",
            "eva_broker_connections",
        ),
        lines(
            "Messages",
            "A second, in and out.",
            "mps",
            [
                Query(
                    rate("eva_broker_messages_total", "server, direction", fold="max"),
                    "{{server}} {{direction}}",
                )
            ],
        ),
        lines(
            "Bytes",
            "A second, in and out; nearly all of it is sound.",
            "Bps",
            [
                Query(
                    rate("eva_broker_bytes_total", "server, direction", fold="max"),
                    "{{server}} {{direction}}",
                )
            ],
        ),
        of_servers("Subscriptions", "Those that stand now.", "short", "eva_broker_subscriptions"),
        of_servers("CPU", "1 is a whole core.", "short", "eva_broker_cpu_ratio"),
        of_servers("Memory", "Resident memory of the server.", "bytes", "eva_broker_memory_bytes"),
        lines(
            "Stored",
            "Messages that JetStream keeps: queues, and memory of conversations.",
            "short",
            [Query(total("eva_broker_stream_messages", "stream", fold="max"), "{{stream}}")],
        ),
    ),
)
