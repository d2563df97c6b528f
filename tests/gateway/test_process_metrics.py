"""Pages of several processes as one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.process_metrics import merged


def page(turns: int) -> str:
    registry = CollectorRegistry()
    counter = Counter("eva_turns_total", "Turns, by how they ended.", ["outcome"], registry=registry)
    counter.labels("well, {done} now").inc(turns)
    Gauge("eva_sessions", "Open.", registry=registry).set(turns)
    Histogram("eva_wait_seconds", "Waits.", buckets=(0.1, 1), registry=registry).observe(0.5)
    return generate_latest(registry).decode()


def test_each_sample_says_of_which_process_it_is() -> None:
    families = {
        family.name: family for family in text_string_to_metric_families(merged({"0": page(3), "1": page(4)}))
    }
    turns = {
        sample.labels["process"]: sample.value
        for sample in families["eva_turns"].samples
        if sample.name == "eva_turns_total"
    }
    assert turns == {"0": 3.0, "1": 4.0}
    assert {sample.labels["outcome"] for sample in families["eva_turns"].samples} == {"well, {done} now"}
    assert [(sample.labels, sample.value) for sample in families["eva_sessions"].samples] == [
        ({"process": "0"}, 3.0),
        ({"process": "1"}, 4.0),
    ]
    assert families["eva_wait_seconds"].type == "histogram"


def test_a_family_has_one_head_and_none_is_lost_that_only_one_process_has() -> None:
    text = merged(
        {
            "0": page(1),
            "1": page(1) + "# HELP eva_more_of_it It.\n# TYPE eva_more_of_it gauge\neva_more_of_it 1\n",
        }
    )
    assert text.count("# TYPE eva_sessions gauge") == 1
    assert 'eva_more_of_it{process="1"} 1' in text.splitlines()


def test_samples_without_a_head_are_kept() -> None:
    assert merged({"0": "eva_x 1\n\n", "1": "eva_x 2\n"}) == 'eva_x{process="0"} 1\neva_x{process="1"} 2\n'


def test_pages_in_openmetrics_keep_their_exemplars_and_have_one_end() -> None:
    def told(trace_id: str) -> str:
        registry = CollectorRegistry()
        waits = Histogram("eva_wait_seconds", "Waits.", buckets=(0.1, 1), registry=registry)
        waits.observe(0.5, {"trace_id": trace_id})
        Counter("eva_turns_total", "Turns.", registry=registry).inc()
        return generate_open(registry).decode()

    families = {
        family.name: family for family in open_families(merged({"0": told("a" * 32), "1": told("b" * 32)}))
    }
    exemplars = {
        sample.labels["process"]: sample.exemplar.labels["trace_id"]
        for sample in families["eva_wait_seconds"].samples
        if sample.exemplar is not None
    }
    assert exemplars == {"0": "a" * 32, "1": "b" * 32}
    assert [
        sample.labels for sample in families["eva_turns"].samples if sample.name == "eva_turns_total"
    ] == [
        {"process": "0"},
        {"process": "1"},
    ]
