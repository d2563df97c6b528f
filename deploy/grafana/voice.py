"""Whether speech is made faster than it is played, and whether the cards that were paid for compute."""

from __future__ import annotations

from deploy.grafana.panels import (
    Query,
    chosen,
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

VOICE = 'stage="tts"'
_RTF = ratio(
    rate("eva_tts_synthesis_seconds_total", "provider, device"),
    rate("eva_tts_audio_seconds_total", "provider, device"),
)
_LOAD = ratio(total("eva_stage_inflight", "stage"), total("eva_stage_slots", "stage"))
_CARD = "{{stage}} {{instance}} {{device}}"
_OWN = "As its workers read it from NVIDIA's driver."


def of_cards(metric: str) -> str:
    """Returns a figure of the GPUs as the workers tell it: the gateway passes the same on."""
    return f"{chosen(metric)} unless on (instance) eva_sessions_active"


DASHBOARD = dashboard(
    "eva-voice",
    "EVA · Voice & GPU",
    "Whether speech is made faster than it is played, and whether the cards compute.",
    row(
        "Voice",
        lines(
            "Real-time factor",
            "Seconds of computing for a second of sound. From 1 on EVA speaks slower than people listen.",
            "short",
            [Query(_RTF, "{{provider}} {{device}}")],
            limits=((0.8, "orange"), (1.0, "red")),
        ),
        lines(
            "Streams",
            "Segments that are being spoken, and as many as may be.",
            "short",
            [
                Query(total("eva_stage_inflight", where=VOICE), "speaking"),
                Query(total("eva_stage_slots", where=VOICE), "slots"),
            ],
        ),
        lines(
            "First sound",
            "A segment taken up by a worker to its first sound; 300 ms is the most.",
            "s",
            percentiles("eva_stage_first_output_seconds", VOICE, (0.5, 0.95, 0.99)),
            limits=((0.3, "red"),),
        ),
        lines(
            "Sound made",
            "Seconds of sound in a second: so many people are being spoken to.",
            "short",
            [Query(rate("eva_tts_audio_seconds_total", "provider, device"), "{{provider}} {{device}}")],
        ),
        lines(
            "A segment",
            "p95, taken up to its last sound, by outcome; `cancelled` is what people interrupted.",
            "s",
            [Query(quantile(0.95, "eva_stage_duration_seconds", "outcome", VOICE), "{{outcome}}")],
        ),
        lines(
            "From the store",
            "Segments a minute that were made before and kept.",
            "opm",
            [Query(f"60 * {rate('eva_tts_cached_segments_total')}", "kept")],
        ),
    ),
    row(
        "GPU",
        figure(
            "Asked for and not used",
            "Workers that were to compute with CUDA and compute elsewhere: it is to be 0.",
            "short",
            [Query(total("eva_stage_gpu_missing", "stage"), "{{stage}}")],
            limits=((0, "green"), (1, "red")),
        ),
        lines(
            "Utilisation",
            f"Share of the last moments in which the card computed. {_OWN}",
            "percentunit",
            [Query(of_cards("eva_gpu_utilisation_ratio"), _CARD)],
            most=1,
        ),
        lines(
            "Memory in use",
            f"On the card, by all processes. {_OWN}",
            "bytes",
            [
                Query(of_cards("eva_gpu_memory_bytes"), _CARD),
                Query(of_cards("eva_gpu_memory_total_bytes"), f"{_CARD}: all"),
            ],
        ),
        lines(
            "Memory of EVA's workers",
            f"Zero while the card was asked for means that another process computes there. {_OWN}",
            "bytes",
            [Query(of_cards("eva_gpu_process_memory_bytes"), _CARD)],
        ),
        lines(
            "Temperature",
            f"Of the card; a hot one slows down by itself. {_OWN}",
            "celsius",
            [Query(of_cards("eva_gpu_temperature_celsius"), _CARD)],
        ),
        lines(
            "Load of the stages",
            "Share of the slots that are taken, whatever they compute on.",
            "percentunit",
            [Query(_LOAD, "{{stage}}")],
            limits=((0.8, "red"),),
        ),
    ),
)
