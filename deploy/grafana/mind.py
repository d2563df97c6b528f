"""The language models: how soon each route speaks, what hedging buys, whom nobody trusts, what it costs."""

from __future__ import annotations

from deploy.grafana.panels import (
    Query,
    dashboard,
    figure,
    lines,
    percentiles,
    quantile,
    rate,
    ratio,
    row,
    total,
)

TOKEN, SEGMENT = "eva_llm_first_token_seconds", "eva_llm_first_segment_seconds"
_TURNS = rate("eva_llm_turns_total")
_SHARE = ratio(rate("eva_llm_hedges_total"), _TURNS)

DASHBOARD = dashboard(
    "eva-mind",
    "EVA · Mind",
    "The language models, by route. Counted when the mind has told its answer to the end.",
    row(
        "How soon",
        lines(
            "First token: p50 by route",
            "Taken up by the mind to the first token; connecting, hedge and retry are in it.",
            "s",
            [Query(quantile(0.5, TOKEN, "route"), "{{route}}")],
            limits=((0.5, "red"),),
        ),
        lines(
            "First token: p95 by route",
            "The tail. A route whose first token often comes later than 500 ms is passed over.",
            "s",
            [Query(quantile(0.95, TOKEN, "route"), "{{route}}")],
            limits=((0.5, "red"),),
        ),
        lines(
            "First segment: p95 by route",
            "Taken up by the mind to the first piece that can be spoken.",
            "s",
            [Query(quantile(0.95, SEGMENT, "route"), "{{route}}")],
        ),
        lines(
            "Answers",
            "A minute, by the route that gave them.",
            "opm",
            [Query(f"60 * {rate('eva_llm_turns_total', 'route')}", "{{route}}")],
            stacked=True,
        ),
        lines(
            "In the broker's queue",
            "Until a worker of the mind took the turn up: too few slots where it grows.",
            "s",
            percentiles("eva_llm_queue_seconds"),
        ),
        lines(
            "Connecting",
            "Of the turns for which no connection was warm.",
            "s",
            percentiles("eva_llm_connect_seconds"),
        ),
    ),
    row(
        "Second routes",
        lines(
            "Hedges",
            "A second route was asked as well: turns a minute that it won or lost.",
            "opm",
            [Query(f"60 * {rate('eva_llm_hedges_total', 'route, outcome')}", "{{route}} {{outcome}}")],
        ),
        lines(
            "Extra requests by hedging",
            "Share of turns; a tenth is the budget.",
            "percentunit",
            [Query(_SHARE, "hedged")],
            limits=((0.1, "red"),),
        ),
        lines(
            "Asked again, gone over",
            "A minute: requests made again before the first token, and other routes that went on in"
            " mid-answer.",
            "opm",
            [
                Query(f"60 * {rate('eva_llm_retries_total')}", "again"),
                Query(f"60 * {rate('eva_llm_switches_total')}", "gone over"),
            ],
        ),
        lines(
            "Open breakers",
            "Workers that do not trust a route now.",
            "short",
            [Query(total("eva_llm_breaker_state", "route", 'state="open"'), "{{route}}")],
            limits=((1, "red"),),
        ),
        lines(
            "Left of the rate limit",
            "As the provider's last answer told; below a fifth EVA hedges no more.",
            "percentunit",
            [
                Query(
                    total("eva_llm_rate_limit_remaining_ratio", "route, kind", fold="min"),
                    "{{route}} {{kind}}",
                )
            ],
            limits=((0.2, "red"),),
            most=1,
        ),
    ),
    row(
        "What it costs",
        figure(
            "An hour",
            "At the pace of now, by the price table; the losers of hedges are estimated in.",
            "currencyUSD",
            [Query(f"3600 * {rate('eva_llm_cost_usd_total')}", "an hour")],
        ),
        figure(
            "A thousand answers",
            "By the price table.",
            "currencyUSD",
            [Query(f"1000 * {ratio(rate('eva_llm_cost_usd_total'), _TURNS)}", "1000 answers")],
        ),
        lines(
            "Tokens",
            "A minute, by kind; the cached ones are not in the input.",
            "opm",
            [Query(f"60 * {rate('eva_llm_tokens_total', 'kind')}", "{{kind}}")],
            stacked=True,
        ),
    ),
)
