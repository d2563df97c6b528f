"""What a whole EVA tells about its turns: figures of all its processes, and a trace of each turn."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families

from eva.place import free_port
from services.gateway.chat_protocol import AudioIn, FinalEvent, TurnDone
from tests.e2e.house import POLL_S, STAGES, House, install_models
from tests.e2e.talker import talker
from tests.fakes.collector import Collected, Collector, collecting
from tests.fakes.speech import speech
from tests.models.tiny_whisper import PHRASES
from tests.shared.metrics_rules import check, check_by_promtool, families

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
SAID = speech(PHRASES[0])
WORKERS = STAGES[1:]
OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}
WAIT_S = 60.0
ROUNDING_S = 1e-5
"""Of clocks that are compared."""
SPANS = {
    "turn": "eva-gateway", "endpoint": "eva-gateway", "stt": "eva-gateway", "send": "eva-gateway",
    "llm": "eva-llm", "chat": "eva-llm", "tts": "eva-tts",
}  # fmt: skip
"""And who tells of each."""


@dataclass
class Place:
    """A house with a collector, and one spoken and one typed turn in it."""

    home: House
    collector: Collector
    ports: dict[str, int]
    spoken: TurnDone
    typed: TurnDone

    async def page(self, service: str, **headers: str) -> str:
        """A service's figures."""
        at = self.home.url if service == "gateway" else f"http://127.0.0.1:{self.ports[service]}"
        async with asyncio.timeout(WAIT_S):
            while True:
                with contextlib.suppress(httpx.TransportError):  # who asks too slowly is not answered
                    answer = await self.home.http.get(f"{at}/metrics", headers=headers)
                    break
                await asyncio.sleep(POLL_S)
        assert answer.status_code == 200
        return answer.text

    async def trace(self, done: TurnDone) -> list[Collected]:
        """All spans of a turn, as soon as they are there, in the order of their beginnings."""

        def of_turn(spans: list[Collected]) -> list[Collected]:
            return [one for one in spans if one.trace_id == done.trace_id]

        def is_whole(spans: list[Collected]) -> bool:
            names = [one.name for one in of_turn(spans)]
            known = {one.span_id for one in of_turn(spans)} | {""}
            is_told = {"turn", "send", "llm", "tts"} <= set(names) and all(
                one.parent_id in known for one in of_turn(spans)
            )
            segments = max((one.attributes.get("eva.segments", 0) for one in of_turn(spans)), default=0)
            return is_told and names.count("tts") >= segments > 0

        spans = of_turn(await self.collector.until(is_whole))
        return sorted(spans, key=lambda one: one.began_s)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("home")
    install_models(folder)
    ports = {stage: free_port("127.0.0.1", 0) for stage in WORKERS}
    async with collecting() as collector:
        home = House(
            folder,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="50",
        )
        try:
            await home.server.start()
            home._variables["EVA_NATS_MONITOR_URL"] = home.server.monitor_url
            for name in STAGES:
                variables = {"EVA_METRICS_PORT": str(ports[name])} if name in ports else {}
                await home.start(name, **variables)
            await home.until_ready()
            async with talker(home.url, audio_in=AudioIn()) as person:
                typed = await person.ask("My name is Ada.")
                await person.say(SAID)
                final = await person.hears(FinalEvent)
                assert final.turn_id is not None
                spoken = await person.done(final.turn_id)
            yield Place(home, collector, ports, spoken, typed)
        finally:
            await home.close()


@pytest.mark.parametrize("service", STAGES)
async def test_every_service_keeps_to_the_rules_for_names_and_labels(place: Place, service: str) -> None:
    page = await place.page(service)
    check(page)
    assert 'eva_build_info{version="' in page
    assert "process_cpu_seconds_total " in page


@pytest.mark.parametrize("service", STAGES)
async def test_promtool_has_nothing_to_say(place: Place, service: str) -> None:
    page = await place.page(service)
    check_by_promtool(page)


async def test_the_stages_of_all_turns_add_up_to_their_responses(place: Place) -> None:
    found = families(await place.page("gateway"))
    response = {sample.name: sample.value for sample in found["eva_turn_response_seconds"].samples}
    stages = [sample for sample in found["eva_stage_seconds"].samples if sample.name.endswith("_sum")]
    count = response["eva_turn_response_seconds_count"]
    assert count == 2, "the canary's turn is none"
    took_s = sum(sample.value for sample in stages)
    assert took_s == pytest.approx(response["eva_turn_response_seconds_sum"], abs=0.001 * count)
    told_ms = place.spoken.timeline.response_ms + place.typed.timeline.response_ms
    assert took_s == pytest.approx(told_ms / 1000, abs=0.001 * count)


async def test_a_response_can_be_followed_to_its_trace(place: Place) -> None:
    page = await place.page("gateway", **OPENMETRICS)
    assert page.endswith("# EOF\n")
    exemplars = {
        sample.exemplar.labels["trace_id"]
        for family in open_families(page)
        if family.name == "eva_turn_response_seconds"
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert exemplars
    assert exemplars <= {place.spoken.trace_id, place.typed.trace_id}


async def test_workers_count_what_they_have_done(place: Place) -> None:
    for service, stage in (("stt", "endpoint"), ("stt", "stt"), ("llm", "llm"), ("tts", "tts")):
        found = families(await place.page(service))
        counts = {
            sample.labels["stage"]: sample.value
            for sample in found["eva_stage_first_output_seconds"].samples
            if sample.name.endswith("_count")
        }
        assert counts[stage] >= 1, stage
        ended = {
            sample.labels["outcome"]: sample.value
            for sample in found["eva_stage_duration_seconds"].samples
            if sample.name.endswith("_count")
        }
        assert ended["completed"] >= 1
        assert found["eva_stage_slots"].samples[0].value >= 1
        assert found["eva_model_info"].samples
    voice = families(await place.page("tts"))
    sound_s = {
        (sample.labels["provider"], sample.labels["device"]): sample.value
        for sample in voice["eva_tts_audio_seconds_total"].samples
        if sample.name.endswith("_total")
    }
    assert sound_s["piper", "cpu"] > 0.5


async def test_the_gateway_shows_the_brokers_queues(place: Place) -> None:
    async with asyncio.timeout(WAIT_S):
        while 'eva_broker_up{server="0"} 1.0' not in (page := await place.page("gateway")):  # noqa: ASYNC110 - another process's state is polled
            await asyncio.sleep(POLL_S)
    queues = {sample.labels["queue"] for sample in families(page)["eva_broker_queue_pending"].samples}
    assert queues == {"eva-llm", "eva-tts"}


async def test_a_spoken_turn_is_one_trace_with_every_stage_in_its_place(place: Place) -> None:
    spans = await place.trace(place.spoken)
    assert len({one.span_id for one in spans}) == len(spans)
    kinds = {name: [one for one in spans if one.name.split()[0] == name] for name in SPANS}
    assert sum(len(found) for found in kinds.values()) == len(spans), "there are no others"
    (turn,), (endpoint,), (ears,), (send,) = (kinds[name] for name in ("turn", "endpoint", "stt", "send"))
    assert [one for one in spans if not one.parent_id] == [turn]
    assert {one.parent_id for one in [endpoint, ears, send, *kinds["llm"]]} == {turn.span_id}
    minds = {one.span_id: one for one in kinds["llm"]}
    for part in [*kinds["chat"], *kinds["tts"]]:
        assert minds[part.parent_id].began_s <= part.began_s, part.name
    assert {one.name.split()[0]: one.service for one in spans} == SPANS
    for one in spans:
        assert one.began_s <= one.ended_s, one.name
        assert not one.is_error, one.name
    assert endpoint.began_s == turn.began_s
    assert endpoint.ended_s == pytest.approx(ears.began_s, abs=ROUNDING_S)
    assert send.ended_s - turn.began_s == pytest.approx(place.spoken.timeline.response_ms / 1000, abs=0.002)


async def test_the_mind_is_told_of_in_the_words_of_opentelemetry(place: Place) -> None:
    spans = await place.trace(place.typed)
    chat = next(one for one in spans if one.name == "chat scripted")
    assert chat.kind == "CLIENT"
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.provider.name"] == "companion"
    assert chat.attributes["gen_ai.request.model"] == "scripted"
    first_s = chat.attributes["gen_ai.response.time_to_first_chunk"]
    assert 0 <= first_s <= chat.ended_s - chat.began_s + ROUNDING_S
    mind = next(one for one in spans if one.name == "llm")
    assert mind.kind == "CONSUMER"
    assert mind.attributes["messaging.destination.template"] == "eva.v1.work.llm.{gateway}.{session}"


async def test_no_attribute_holds_what_was_said(place: Place) -> None:
    spans = await place.trace(place.spoken) + await place.trace(place.typed)
    told = json.dumps([one.attributes for one in spans]).lower()
    for said in ("My name is Ada.", PHRASES[0], place.spoken.text, place.typed.text):
        words = said.lower().split()
        assert len(words) > 1
        assert not [pair for pair in itertools.pairwise(words) if " ".join(pair) in told]


async def test_the_log_of_the_gateway_and_the_end_of_a_turn_name_its_trace(place: Place) -> None:
    for done in (place.spoken, place.typed):
        assert len(done.trace_id) == 32
        lines = [line for line in place.home["gateway"].said().splitlines() if done.trace_id in line]
        assert [line for line in lines if "turn.over" in line]
    assert place.spoken.trace_id != place.typed.trace_id
