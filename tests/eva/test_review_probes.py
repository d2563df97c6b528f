"""What a review samples, what it may kill, and what its command refuses."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from typer.testing import CliRunner

from eva.__main__ import app
from eva.review_break import NotOurs, workers_of
from eva.review_facts import CardSeen
from eva.review_probes import Cards
from shared.errors import BadInput
from shared.gpu_metrics import Card, GpuMetrics

URL = "http://127.0.0.1:8123"


def told(*cards: Card) -> str:
    """What a gateway tells Prometheus of these cards."""
    registry = CollectorRegistry()
    GpuMetrics(registry).watch(lambda: list(cards))
    return generate_latest(registry).decode()


def test_of_each_card_the_most_of_all_samples_is_kept() -> None:
    cards = Cards()
    idle = Card(stage="tts", device="cuda:0", utilisation=0.0, memory_bytes=3e9, process_memory_bytes=1e9)
    busy = Card(stage="tts", device="cuda:0", utilisation=0.7, memory_bytes=2e9)
    cards.take(told(idle))
    cards.take(told(busy, Card(stage="stt", device="cuda:1", utilisation=0.1)))
    assert list(cards.seen.values()) == [
        CardSeen(
            stage="tts", device="cuda:0", utilisation=0.7, memory_bytes=3e9, process_bytes=1e9, samples=2
        ),
        CardSeen(stage="stt", device="cuda:1", utilisation=0.1, samples=1),
    ]


def test_metrics_without_a_card_hold_no_card() -> None:
    cards = Cards()
    cards.take(told())
    assert cards.seen == {}


HOLDER = """
import subprocess, sys
from pathlib import Path
from eva.place import held

wait = "import sys; print('up', flush=True); sys.stdin.read()"
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
with held(Path(sys.argv[1]), sys.argv[2]):
    begun = [subprocess.Popen([sys.executable, "-c", wait, *words], **pipes) for words in (sys.argv[3:], [])]
    for process in begun:
        process.stdout.readline()
    print(begun[0].pid, flush=True)
    sys.stdin.read()
    for process in begun:
        process.communicate()
"""
"""Another EVA: this process may have workers of its own, which other tests have begun."""


@contextlib.contextmanager
def another_eva(data_dir: Path, *worker: str) -> Iterator[int]:
    """Holds the lock, and has two children, the first with these words; yields its process id."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data_dir), URL, *worker],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdout is not None
    try:
        yield int(holder.stdout.readline())
    finally:
        holder.communicate()


def test_only_children_of_the_eva_that_is_reviewed_are_its_workers(tmp_path: Path) -> None:
    with another_eva(tmp_path, "-m", "services.tts") as worker:
        assert workers_of(tmp_path, URL) == {"tts": worker}
        with pytest.raises(NotOurs):
            workers_of(tmp_path, "http://127.0.0.1:8124")
    with pytest.raises(NotOurs):
        workers_of(tmp_path, URL)


def test_nobody_is_found_where_no_eva_was_ever_started(tmp_path: Path) -> None:
    with pytest.raises(NotOurs):
        workers_of(tmp_path, URL)


def test_an_eva_without_workers_names_none(tmp_path: Path) -> None:
    with another_eva(tmp_path):
        assert workers_of(tmp_path, URL) == {}


@pytest.mark.parametrize("wish", [["--fail-on", "speed>1"], ["--watch", "often"]])
def test_a_wish_that_cannot_be_understood_is_refused_before_any_turn(wish: list[str]) -> None:
    outcome = CliRunner().invoke(app, ["review", *wish])
    assert isinstance(outcome.exception, BadInput)
