"""What people feel: how soon EVA answers, where the time goes, how turns end, who interrupts whom."""

from __future__ import annotations

from deploy.grafana.panels import (
    BOUND_S,
    OBJECTIVE,
    UNSUMMED,
    Query,
    dashboard,
    figure,
    lines,
    mean,
    percentiles,
    quantile,
    rate,
    ratio,
    row,
    total,
)

RESPONSE, STAGE, SOUND = "eva_turn_response_seconds", "eva_stage_seconds", "eva_first_sound_seconds"
PAUSE, DECISION = "eva_pause_seconds", "eva_interruption_decision_seconds"
_WITHIN = ratio(rate(f"{RESPONSE}_bucket", where=f'le="{BOUND_S}"'), rate(f"{RESPONSE}_count"))
_FAILED = ratio(rate("eva_turns_total", where='outcome="failed"'), rate("eva_turns_total"))

DASHBOARD = dashboard(
    "eva-conversations",
    "EVA · Conversations",
    "What people feel: how soon EVA answers, where the time goes, and how turns end.",
    row(
        "How soon",
        lines(
            "Response",
            "End of the person's turn to the first audible sound of the answer at the gateway's socket."
            " The aim is 300 ms, the bound 500 ms.",
            "s",
            percentiles(RESPONSE, shares=(0.5, 0.95, 0.99)),
            limits=OBJECTIVE,
            width=12,
        ),
        figure(
            "Within 500 ms",
            "Share of answers that were audible within the bound.",
            "percentunit",
            [Query(_WITHIN, "within 500 ms")],
            limits=((0.0, "red"), (0.95, "green")),
            width=4,
        ),
        figure(
            "Turns that failed",
            "Share of turns without a whole audible answer; half a per cent is the most that should be.",
            "percentunit",
            [Query(_FAILED, "failed")],
            limits=((0.0, "green"), (0.005, "red")),
            width=4,
        ),
        figure(
            "Sessions",
            "Clients that are connected now.",
            "short",
            [Query(total("eva_sessions_active"), "sessions")],
            width=4,
        ),
        lines(
            "Where the time goes: means, stacked",
            "The stages' parts of the response. Means of the parts do add up to the mean of the whole.",
            "s",
            [Query(mean(STAGE, "stage"), "{{stage}}")],
            stacked=True,
            limits=OBJECTIVE,
        ),
        lines(
            "Where the time goes: p50, stacked",
            f"The stages' parts of the response. {UNSUMMED}",
            "s",
            [Query(quantile(0.5, STAGE, "stage"), "{{stage}}")],
            stacked=True,
        ),
        lines(
            "The slow turns: p95 of each stage",
            f"Which stage makes the tail. {UNSUMMED}",
            "s",
            [Query(quantile(0.95, STAGE, "stage"), "{{stage}}")],
        ),
        lines(
            "First sound of any kind",
            "As the response, but a filler's or an apology's sound counts too: the silence that people meet.",
            "s",
            percentiles(SOUND),
            limits=OBJECTIVE,
        ),
        lines(
            "Silences that were bridged",
            "Fillers a minute, by how the turn ended.",
            "opm",
            [Query(f"60 * {rate('eva_fillers_total', 'outcome')}", "{{outcome}}")],
        ),
        lines(
            "Begun ahead of time",
            "Answers a minute that were begun before the person's turn was surely over: `used` or `dropped`.",
            "opm",
            [Query(f"60 * {rate('eva_speculations_total', 'outcome')}", "{{outcome}}")],
        ),
    ),
    row(
        "Outcomes",
        lines(
            "Turns",
            "A minute, by outcome. An interrupted turn is no fault.",
            "opm",
            [Query(f"60 * {rate('eva_turns_total', 'outcome')}", "{{outcome}}")],
            stacked=True,
        ),
        lines(
            "Errors told to clients",
            "A minute, by code; `no_audio` is a mute answer.",
            "opm",
            [Query(f"60 * {rate('eva_errors_total', 'code')}", "{{code}}")],
        ),
        lines(
            "Self-tests",
            "Turns a minute that EVA has with herself while nobody talks; they are in no other figure.",
            "opm",
            [Query(f"60 * {rate('eva_canary_turns_total', 'outcome')}", "{{outcome}}")],
        ),
    ),
    row(
        "Taking turns",
        lines(
            "Speech into EVA's turn",
            "A minute, by what it was taken for.",
            "opm",
            [Query(f"60 * {rate('eva_interruptions_total', 'verdict')}", "{{verdict}}")],
            stacked=True,
        ),
        lines(
            "Until EVA pauses",
            "First sound of the person's speech to the pause of EVA's playback: 200 ms is the most.",
            "s",
            percentiles(PAUSE),
            limits=((0.2, "red"),),
            width=6,
        ),
        lines(
            "Until EVA decides",
            "First sound of the person's speech to the decision what it is: 600 ms is the rule.",
            "s",
            percentiles(DECISION),
            limits=((0.6, "red"),),
            width=6,
        ),
        lines(
            "People cut short",
            "Turns a minute that EVA took from somebody who was not done: what quick endpoints cost.",
            "opm",
            [Query(f"60 * {rate('eva_cut_ins_total')}", "cut in")],
            width=4,
        ),
    ),
)
