"""A row for each service: how soon, how long in the queue, how much at once, what fails, what serves."""

from __future__ import annotations

from deploy.grafana.panels import (
    Panel,
    Query,
    chosen,
    dashboard,
    figure,
    lines,
    or_none,
    percentiles,
    quantile,
    rate,
    row,
    table,
    total,
)

NAMES = {"stt": "Ears (stt)", "llm": "Mind (llm)", "tts": "Voice (tts)"}
FIRST = {
    "stt": "From the decision that the person's turn is over to its text.",
    "llm": "A turn taken up to its first token.",
    "tts": "A segment taken up to its first sound; 300 ms is the most.",
}
AT_ONCE = {"stt": "Conversations and recordings", "llm": "Turns", "tts": "Segments"}
LIMITS: dict[str, tuple[tuple[float, str], ...]] = {"llm": ((0.5, "red"),), "tts": ((0.3, "red"),)}
"""To the first output, seconds."""


PROCESS = "{{job}} {{instance}}"


def of_eva(expr: str) -> str:
    """Returns a figure that every process tells, of EVA's alone."""
    return f"{expr} and on (instance) eva_build_info"


def worker_row(stage: str) -> list[Panel]:
    """Returns the row of a worker's stage."""
    where = f'stage="{stage}"'
    queue = Query(quantile(0.95, "eva_stage_queue_wait_seconds", where=where), "p95")
    return row(
        NAMES[stage],
        lines(
            f"{stage}: first output",
            f"{FIRST[stage]} Measured at the worker.",
            "s",
            percentiles("eva_stage_first_output_seconds", where),
            limits=LIMITS.get(stage, ()),
            width=6,
        ),
        lines(
            f"{stage}: wait in the queue",
            "p95 of the time until a worker, or in the ears a thread, took it up.",
            "s",
            [queue],
            width=4,
        ),
        lines(
            f"{stage}: at once",
            f"{AT_ONCE[stage]} in hand, and as many as may be. Where both meet, one more worker helps.",
            "short",
            [
                Query(total("eva_stage_inflight", where=where), "in hand"),
                Query(total("eva_stage_slots", where=where), "slots"),
            ],
            width=4,
        ),
        lines(
            f"{stage}: errors",
            "A minute, by reason. Where the chain has another engine nobody may have noticed.",
            "opm",
            [
                Query(
                    or_none(f"60 * {rate('eva_stage_errors_total', 'reason', where)}", "reason"), "{{reason}}"
                )
            ],
            width=4,
        ),
        table(
            f"{stage}: engine and device in use",
            "What serves now, worker by worker.",
            Query(chosen("eva_model_info", where), "{{provider}} {{model}} {{device}}"),
            ("instance", "provider", "model", "device"),
            width=6,
        ),
    )


DASHBOARD = dashboard(
    "eva-services",
    "EVA · Services",
    "A row for each service: how soon, how long in the queue, how much at once, what fails, what serves.",
    row(
        "All",
        figure(
            "Stages that are ready",
            "1 while the gateway knows a worker that is ready.",
            "short",
            [Query(total("eva_stage_ready", "stage", fold="max"), "{{stage}}")],
            limits=((0, "red"), (1, "green")),
            width=6,
        ),
        figure(
            "Workers by state",
            "`degraded` serves with a lesser engine than it was to have.",
            "short",
            [Query(total("eva_worker_state", "stage, state") + " > 0", "{{stage}} {{state}}")],
            width=6,
        ),
        figure(
            "Alerts",
            "That are firing; each one's `runbook_url` says what to do (docs/runbook).",
            "short",
            [Query('count(ALERTS{alertstate="firing"}) or vector(0)', "firing")],
            limits=((0, "green"), (1, "red")),
            width=4,
        ),
        table(
            "Processes",
            "Those that answer, with the version of each.",
            Query(chosen("eva_build_info"), "{{job}} {{instance}}"),
            ("job", "instance", "version"),
        ),
        lines(
            "CPU",
            "Cores that each process uses; 1 is a whole core.",
            "short",
            [Query(of_eva(f"rate({chosen('process_cpu_seconds_total')}[$__rate_interval])"), PROCESS)],
        ),
        lines(
            "Memory",
            "Resident, by process.",
            "bytes",
            [Query(of_eva(chosen("process_resident_memory_bytes")), PROCESS)],
        ),
        lines(
            "Lag of the event loops",
            "How late the last second's beat of a worker was: work that blocks a loop delays everybody.",
            "s",
            [Query(chosen("eva_event_loop_lag_seconds"), "{{stage}} {{instance}}")],
            limits=((0.25, "red"),),
        ),
    ),
    row(
        "Gateway",
        lines(
            "gateway: from the first sound made to the socket",
            "The gateway's own part of the response.",
            "s",
            percentiles("eva_stage_seconds", 'stage="send"'),
            width=6,
        ),
        lines(
            "gateway: wait for the mind",
            "p95 of a turn's time in the broker's queue.",
            "s",
            [Query(quantile(0.95, "eva_llm_queue_seconds"), "p95")],
            width=4,
        ),
        lines(
            "gateway: sessions",
            "Clients that are connected now.",
            "short",
            [Query(total("eva_sessions_active", "instance"), "{{instance}}")],
            stacked=True,
            width=6,
        ),
        lines(
            "gateway: errors told",
            "A minute, by code.",
            "opm",
            [Query(f"60 * {rate('eva_errors_total', 'code')}", "{{code}}")],
            width=8,
        ),
    ),
    *(worker_row(stage) for stage in NAMES),
)
