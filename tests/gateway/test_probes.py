"""``/health`` and its like through a real server: what is said follows what is so."""

import time
from typing import NoReturn

from services.gateway.board import SILENT_S
from shared.errors import BusDown
from shared.messages import EngineFact
from tests.fakes.gateway import RunningGateway, running_gateway


class Away:
    """A bucket whose store does not answer."""

    async def get(self, key: str) -> NoReturn:
        raise BusDown(key)

    create = put = get


async def test_health_follows_an_observed_turn_and_is_no_constant(gateway: RunningGateway) -> None:
    response = await gateway.http.get("/health")
    assert response.status_code == 503
    assert response.json()["reasons"] == ["No turn has been audible yet."]
    await gateway.http.post("/chat", json={"message": "Hi"})
    response = await gateway.http.get("/health")
    health = response.json()
    assert (response.status_code, health["status"], health["reasons"]) == (200, "healthy", [])
    flags = ("groq", "whisper", "tts", "database", "broker", "gpu")
    assert [health[name] for name in flags] == [True, True, True, True, True, False]
    assert health["turn"]["recent"] == {"accepted": 1, "audible": 1}
    assert health["stages"]["tts"]["engine"] == "piper"
    assert health["stages"]["tts"]["engines"][0]["name"] == "piper"


async def test_a_worker_that_stops_changes_health_within_5_s(gateway: RunningGateway) -> None:
    await gateway.http.post("/chat", json={"message": "Hi"})
    assert (await gateway.http.get("/readyz")).json() == {"ready": True, "reasons": []}
    gateway.workers.silent.add("tts")
    await gateway.until(lambda: gateway.door.watch.health().status == "unhealthy", within_s=60)
    ready = await gateway.http.get("/readyz")
    assert ready.status_code == 503
    assert "(tts)" in ready.json()["reasons"][0]
    gateway.workers.silent.clear()
    await gateway.until_status("healthy")


async def test_a_gateway_that_stood_still_takes_no_worker_for_gone(gateway: RunningGateway) -> None:
    await gateway.http.post("/chat", json={"message": "Hi"})
    time.sleep(SILENT_S + 0.5)  # noqa: ASYNC251 - so stands a process still, or its whole machine
    assert gateway.door.watch.health().status == "healthy"


async def test_a_worker_that_drains_changes_health_at_once(gateway: RunningGateway) -> None:
    await gateway.http.post("/chat", json={"message": "Hi"})
    gateway.workers.states["tts"] = "draining"
    await gateway.until(lambda: gateway.door.watch.health().status == "unhealthy", within_s=60)


async def test_a_lesser_engine_shows_as_degraded(gateway: RunningGateway) -> None:
    await gateway.http.post("/chat", json={"message": "Hi"})
    gateway.workers.engines["llm"] = [EngineFact(name="companion", state="serving", hint="set GROQ_API_KEY")]
    gateway.workers.states["llm"] = "degraded"
    health = await gateway.until_status("degraded")
    assert not health["groq"]
    assert "set GROQ_API_KEY" in health["reasons"][0]
    assert (await gateway.http.get("/health")).status_code == 200
    assert (await gateway.http.get("/readyz")).status_code == 200


async def test_a_lost_broker_makes_it_unhealthy_and_the_process_lives() -> None:
    async with running_gateway() as gateway, gateway.client() as client:
        await client.send(type="message", text="Hi")
        await client.expect("turn_done")
        gateway.broker.go_down()
        health = await gateway.until_status("unhealthy")
        assert (health["broker"], health["reasons"]) == (False, ["The broker is not reachable."])
        assert (await gateway.http.get("/livez")).status_code == 200
        await client.send(type="message", text="Hi")
        assert (await client.expect("error"))["code"] == "broker_lost"
        gateway.broker.come_up()
        await client.send(type="message", text="Hi")
        await client.expect("turn_done")
        await gateway.until_status("degraded")


async def test_a_store_that_does_not_answer_is_told_and_costs_the_memory_only(
    gateway: RunningGateway,
) -> None:
    await gateway.http.post("/chat", json={"message": "Hi"})
    assert (await gateway.http.get("/health")).json()["database"]
    assert gateway.door.core is not None
    gateway.door.core.memory._opened = Away()  # type: ignore[assignment]
    health = await gateway.until_status("degraded")
    assert not health["database"]
    assert (await gateway.http.post("/chat", json={"message": "Hi"})).status_code == 200


async def test_before_the_broker_is_there_it_answers(gateway: RunningGateway) -> None:
    async with running_gateway(is_reachable=False) as alone:
        assert (await alone.http.get("/livez")).json() == {"alive": True}
        assert (await alone.http.get("/health")).json()["reasons"] == ["The broker is not reachable."]
        assert (await alone.http.get("/readyz")).status_code == 503


async def test_metrics_count_turns_stages_and_errors(gateway: RunningGateway) -> None:
    await gateway.http.post("/chat", json={"message": "Hi"})
    async with gateway.client() as client:
        await client.send(type="dance")
        await client.expect("error")
        response = await gateway.http.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.text.splitlines()
    for line in (
        'eva_turns_total{outcome="completed"} 1.0',
        "eva_turn_response_seconds_count 1.0",
        'eva_stage_seconds_count{stage="tts"} 1.0',
        'eva_errors_total{code="invalid_request"} 1.0',
        "eva_sessions_active 1.0",
        'eva_stage_ready{stage="stt"} 1.0',
        'eva_build_info{version="0.1.0"} 1.0',
    ):
        assert line in lines, line


async def test_a_turn_tells_its_way_to_the_client_and_to_prometheus(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        await client.send(type="message", text="Hi")
        done = await client.expect("turn_done")
        lines = (await gateway.http.get("/metrics")).text.splitlines()
    assert (done["route"]["route"], done["route"]["first_token_ms"]) == ("groq:fast", 20.0)
    for line in (
        'eva_llm_turns_total{route="groq:fast"} 1.0',
        'eva_llm_first_token_seconds_sum{route="groq:fast"} 0.02',
        'eva_llm_tokens_total{kind="output",route="groq:fast"} 9.0',
    ):
        assert line in lines, line


async def test_the_breakers_of_workers_are_read_from_their_facts(gateway: RunningGateway) -> None:
    gateway.workers.engines["llm"] = [
        EngineFact(name="groq:big", state="standby", breaker="open", numbers={"limit_tokens_left": 0.1}),
        EngineFact(name="groq:small", state="serving", breaker="closed"),
    ]
    await gateway.until(lambda: b'eva_llm_breaker_state{route="groq:big"' in gateway.door.metrics.render())
    lines = gateway.door.metrics.render().decode().splitlines()
    assert 'eva_llm_breaker_state{route="groq:big",state="open"} 1.0' in lines
    assert 'eva_llm_breaker_state{route="groq:small",state="open"} 0.0' in lines
    assert 'eva_llm_rate_limit_remaining_ratio{kind="tokens",route="groq:big"} 0.1' in lines


async def test_reading_is_free_for_any_origin(gateway: RunningGateway) -> None:
    response = await gateway.http.get("/livez", headers={"origin": "https://evil.example"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers
