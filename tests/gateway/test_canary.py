"""The canary: it sings until it is heard, and is silent while others prove the same."""

from services.gateway.canary import Canary
from tests.fakes.gateway import RunningGateway, running_gateway


async def test_at_start_the_canary_makes_it_healthy_without_anybody_s_turn() -> None:
    async with running_gateway(canary=True) as gateway:
        health = await gateway.until_status("healthy")
        assert health["turn"]["last_outcome"] == "completed"
        assert gateway.workers.generated[0].is_canary
        text = (await gateway.http.get("/metrics")).text
        assert 'eva_canary_turns_total{outcome="completed"} 1.0' in text
        assert 'eva_turns_total{outcome="completed"} 0.0' in text


async def test_it_sings_again_until_it_is_heard() -> None:
    async with running_gateway(canary=True) as gateway:
        gateway.workers.faults.mute = True
        await gateway.until(lambda: gateway.door.watch.health().turn.last_outcome == "failed: no_audio")
        gateway.workers.faults.mute = False
        await gateway.until_status("degraded")
        assert len(gateway.workers.generated) >= 2


async def test_once_heard_it_is_silent_for_its_time(gateway: RunningGateway) -> None:
    core = gateway.door.core
    assert core is not None
    canary = Canary(core.hub, gateway.door.watch, every_s=30)
    assert canary.is_due()
    assert await canary.sing()
    assert not canary.is_due()
    assert Canary(core.hub, gateway.door.watch, every_s=0).is_due()


async def test_a_real_turn_spares_it(gateway: RunningGateway) -> None:
    core = gateway.door.core
    assert core is not None
    await gateway.http.post("/chat", json={"message": "Hi"})
    assert not Canary(core.hub, gateway.door.watch, every_s=30).is_due()


async def test_what_is_known_to_be_missing_is_not_tried(gateway: RunningGateway) -> None:
    core = gateway.door.core
    assert core is not None
    gateway.workers.states["tts"] = "failed"
    await gateway.until(lambda: not gateway.door.watch.is_up("tts"))
    assert not Canary(core.hub, gateway.door.watch, every_s=0).is_due()


async def test_a_turn_that_does_not_end_is_reported_as_mute(gateway: RunningGateway) -> None:
    core = gateway.door.core
    assert core is not None
    gateway.workers.faults.gate.clear()
    assert not await Canary(core.hub, gateway.door.watch, every_s=30, deadline_s=0.2).sing()
    assert gateway.door.watch.health().turn.last_outcome == "failed: the self-test did not end"


async def test_it_leaves_no_session_and_no_memory_behind(gateway: RunningGateway) -> None:
    core = gateway.door.core
    assert core is not None
    assert await Canary(core.hub, gateway.door.watch, every_s=30).sing()
    assert core.hub.sessions == {}
    assert not any(bucket._values for bucket in gateway.broker.buckets.values())
