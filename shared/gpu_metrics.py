"""The GPUs' figures for Prometheus, as workers tell them with their facts.

No worker is named: their names are new at each start. Workers of one stage on one card tell the same of the
card, and each of its own memory; the card's figures are the largest told, the processes' memory is the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.messages import Facts, Stage

MAX_CARDS = 16
"""So many pairs of stage and device have figures; a machine has four stages and eight cards at most."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A GPU as the workers of one stage see it; None: they do not tell."""

    stage: Stage
    device: str
    utilisation: float | None = None
    """0..1."""
    memory_bytes: float | None = None
    memory_total_bytes: float | None = None
    process_memory_bytes: float | None = None
    celsius: float | None = None


def cards_of(workers: Iterable[Facts]) -> list[Card]:
    """Returns the cards of all workers; a worker tells of the first GPU in its chain."""
    told: dict[tuple[Stage, str], list[dict[str, float]]] = {}
    for facts in workers:
        device = next((fact.device for fact in facts.engines if fact.device.startswith("cuda")), "")
        if device and any(name.startswith("gpu_") for name in facts.numbers):
            told.setdefault((facts.stage, device), []).append(facts.numbers)
    return [
        Card(
            stage=stage,
            device=device,
            utilisation=_of(numbers, "gpu_utilisation", max),
            memory_bytes=_of(numbers, "gpu_memory_bytes", max),
            memory_total_bytes=_of(numbers, "gpu_memory_total_bytes", max),
            process_memory_bytes=_of(numbers, "gpu_process_memory_bytes", sum),
            celsius=_of(numbers, "gpu_temperature", max),
        )
        for (stage, device), numbers in sorted(told.items())[:MAX_CARDS]
    ]


def _of(numbers: list[dict[str, float]], name: str, together: Callable[[list[float]], float]) -> float | None:
    told = [each[name] for each in numbers if name in each]
    return together(told) if told else None


_GAUGES: tuple[tuple[str, str, Callable[[Card], float | None]], ...] = (
    (
        "eva_gpu_utilisation_ratio",
        "Share of the last moments in which the card computed: 0..1.",
        lambda card: card.utilisation,
    ),
    ("eva_gpu_memory_bytes", "In use on the card, by all processes.", lambda card: card.memory_bytes),
    ("eva_gpu_memory_total_bytes", "Of the card.", lambda card: card.memory_total_bytes),
    (
        "eva_gpu_process_memory_bytes",
        "In use on the card by the stage's workers.",
        lambda card: card.process_memory_bytes,
    ),
    ("eva_gpu_temperature_celsius", "Of the card.", lambda card: card.celsius),
)


class GpuMetrics:
    """What workers tell about their GPUs, read when Prometheus asks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def watch(self, cards: Callable[[], list[Card]]) -> None:
        """Has the cards read when they are asked for."""
        self._registry.register(_Told(cards))


def card_gauges(cards: Iterable[Card]) -> Iterator[GaugeMetricFamily]:
    """Yields the gauges of these cards."""
    cards = list(cards)
    for name, words, figure in _GAUGES:
        family = GaugeMetricFamily(name, words, labels=["stage", "device"])
        for card in cards:
            if (value := figure(card)) is not None:
                family.add_metric([card.stage, card.device], value)
        yield family


class _Told(Collector):
    """Gauges of the cards of now; one that is gone leaves none behind."""

    def __init__(self, cards: Callable[[], list[Card]]) -> None:
        self._cards = cards

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yields the gauges of now."""
        yield from card_gauges(self._cards())
