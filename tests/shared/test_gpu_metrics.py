from __future__ import annotations

from services.gateway.board import Board
from services.gateway.metrics import Metrics
from shared.gpu_metrics import MAX_CARDS, Card, cards_of
from shared.messages import EngineFact, Facts, Stage

GIB = float(1 << 30)


def facts(worker: str = "w", *, stage: Stage = "tts", device: str = "cuda:0", **numbers: float) -> Facts:
    engines = [
        EngineFact(name="espeak-ng", state="standby", device="cpu"),
        EngineFact(name="piper", state="serving", device=device),
    ]
    return Facts(stage=stage, worker=worker, state="ready", pid=1, engines=engines, numbers=numbers)


def test_workers_on_one_card_tell_the_same_of_it_and_add_up_their_own_memory() -> None:
    one = facts("a", gpu_utilisation=0.4, gpu_memory_bytes=3 * GIB, gpu_process_memory_bytes=GIB)
    two = facts("b", gpu_utilisation=0.5, gpu_memory_bytes=3 * GIB, gpu_process_memory_bytes=2 * GIB)
    assert cards_of([one, two]) == [
        Card(
            stage="tts", device="cuda:0", utilisation=0.5, memory_bytes=3 * GIB, process_memory_bytes=3 * GIB
        )
    ]


def test_a_worker_without_a_gpu_or_without_figures_has_no_card() -> None:
    assert cards_of([facts(device="cpu", gpu_utilisation=0.1), facts(loop_lag_s=0.1)]) == []


def test_however_many_cards_are_told_the_labels_are_bounded() -> None:
    assert len(cards_of([facts(device=f"cuda:{n}", gpu_utilisation=0.1) for n in range(40)])) == MAX_CARDS


def test_the_board_knows_the_cards_of_the_workers_that_live() -> None:
    board = Board()
    board.hear(facts("a", gpu_utilisation=0.4), 0.0)
    board.hear(facts("b", stage="stt", gpu_temperature=50.0), 2.0)
    assert [(card.stage, card.utilisation) for card in board.cards(2.5)] == [("stt", None), ("tts", 0.4)]
    assert [card.stage for card in board.cards(4.0)] == ["stt"]


def test_gauges_are_read_when_they_are_asked_for_and_tell_only_what_is_known() -> None:
    metrics, now = Metrics(), list[Card]()
    metrics.watch_cards(lambda: now)
    assert "eva_gpu_utilisation_ratio{" not in metrics.render().decode()
    now.append(
        Card(
            stage="tts", device="cuda:0", utilisation=0.25, memory_bytes=GIB, memory_total_bytes=8 * GIB,
            process_memory_bytes=GIB / 2, celsius=61,
        )
    )  # fmt: skip
    now.append(Card(stage="stt", device="cuda:1", celsius=40))
    lines = metrics.render().decode().splitlines()
    shown = {line for line in lines if line.startswith("eva_gpu_")}
    assert shown == {
        'eva_gpu_utilisation_ratio{device="cuda:0",stage="tts"} 0.25',
        'eva_gpu_memory_bytes{device="cuda:0",stage="tts"} 1.073741824e+09',
        'eva_gpu_memory_total_bytes{device="cuda:0",stage="tts"} 8.589934592e+09',
        'eva_gpu_process_memory_bytes{device="cuda:0",stage="tts"} 5.36870912e+08',
        'eva_gpu_temperature_celsius{device="cuda:0",stage="tts"} 61.0',
        'eva_gpu_temperature_celsius{device="cuda:1",stage="stt"} 40.0',
    }
    now.clear()
    assert "eva_gpu_temperature_celsius{" not in metrics.render().decode()
