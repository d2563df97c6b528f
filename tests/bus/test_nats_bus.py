"""What only a real server can show: its death, its freezing, its refusals; and the traps of nats-py."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from eva.broker import find_server
from shared.bus import Job, WorkQueue, nats_link, nats_store
from shared.bus import nats_pull as pull
from shared.bus.nats import NatsBus, connect
from shared.bus.nats_client import OUTLET_BYTES
from shared.bus.nats_rush import Sender
from shared.bus.nats_store import clock_ahead_s
from shared.errors import BusDown
from shared.messages import Cancel, MicFrame, TextDelta
from tests.bus.conftest import WAIT_S, Heard, Working
from tests.conftest import NatsServer

pytestmark = pytest.mark.process

QUEUE = WorkQueue(name="test-jobs", subject="eva.v1.work.test.>", ack_wait_s=20.0)
"""So patient that nothing comes again because the machine stood still."""
SUBJECT = "eva.v1.work.test.gw.sid"
PATIENCE_S = 5.0
"""As of what is waited for in vain."""
AT_ONCE_S = WAIT_S / 2
"""A net: shorter than the patience that would be at work instead, longer than a machine stalls."""
FROZEN_S = 25.0
"""A net: 5 s is the rule, on a machine that keeps up."""


class Changes:
    """Hears ``on_change`` and waits for it."""

    def __init__(self) -> None:
        self.said: list[bool] = []
        self._changed = asyncio.Event()

    def __call__(self, is_up: bool) -> None:
        self.said.append(is_up)
        self._changed.set()

    async def until(self, *said: bool) -> None:
        """Waits until this was said; more may have been by then."""
        async with asyncio.timeout(WAIT_S):
            while self.said[: len(said)] != list(said):
                self._changed.clear()
                await self._changed.wait()


async def lost(bus: NatsBus) -> None:
    """Waits until both connections have noticed: who is told of a change hears of the first."""
    async with asyncio.timeout(WAIT_S):
        while bus._control.up.is_set() or bus._media.up.is_set():  # noqa: ASYNC110 - a plain attribute
            await asyncio.sleep(0.005)


async def flood(bus: NatsBus) -> None:
    """Publishes 50 MB: more than the kernel and we may hold."""
    frame = MicFrame(sid="s", seq=0, pcm=bytes(100_000))
    for _ in range(500):
        await bus.publish("eva.v1.mic.w.s", frame)
        await asyncio.sleep(0)


@pytest_asyncio.fixture
async def buses(nats_server: NatsServer) -> AsyncIterator[list[NatsBus]]:
    """Connections that a test adds here are closed behind it, whatever it did to the server."""
    made: list[NatsBus] = []
    yield made
    for bus in made:
        await bus.close()


async def test_all_lives_on_when_the_broker_is_killed_and_comes_back(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    changes = Changes()
    bus = await nats_server.connect("a", on_change=changes)
    buses.append(bus)
    await bus.declare(QUEUE)
    heard, done = Heard(), Heard()
    await bus.subscribe("eva.v1.x", heard)
    await bus.serve("eva.v1.r", lambda message: message)
    bucket = await bus.bucket("test", ttl_s=60)
    await bucket.put("k", b"v")
    await bus.enqueue(SUBJECT, Cancel(sid="s", turn=1), message_id="1")

    async def work(job: Job) -> None:
        done(job.message)

    await nats_server.kill()
    await changes.until(True, False)
    await lost(bus)
    with pytest.raises(BusDown):
        await bus.publish("eva.v1.x", Cancel(sid="s", turn=0))
    with pytest.raises(BusDown):
        await bus.request("eva.v1.r", Cancel(sid="s", turn=0), timeout_s=1)
    with pytest.raises(BusDown):
        await bus.subscribe("eva.v1.y", heard)
    with pytest.raises(BusDown):
        await bucket.get("k")
    working = Working(bus.consumer(QUEUE, slots=2, handler=work))

    await nats_server.restart()
    await changes.until(True, False, True)
    await bus.publish("eva.v1.x", Cancel(sid="s", turn=2))
    await heard.until(1)
    reply = await bus.request("eva.v1.r", Cancel(sid="s", turn=3), timeout_s=20)
    await done.until(1)
    await working.stop()
    assert heard.items == [Cancel(sid="s", turn=2)]
    assert reply == Cancel(sid="s", turn=3)
    assert done.items == [Cancel(sid="s", turn=1)]
    assert await bucket.get("k") == b"v"


async def test_trap_4_pulling_goes_on_at_once_after_a_restart(
    nats_server: NatsServer, buses: list[NatsBus], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "LOST_AFTER_S", WAIT_S)
    changes = Changes()
    bus = await nats_server.connect("a", on_change=changes)
    buses.append(bus)
    await bus.declare(QUEUE)
    done = Heard()

    async def work(job: Job) -> None:
        done(job.message)

    working = Working(bus.consumer(QUEUE, slots=3, handler=work))
    await bus.enqueue(SUBJECT, Cancel(sid="s", turn=0), message_id="0")
    await done.until(1)  # so requests are outstanding when the server dies
    await nats_server.kill()
    await changes.until(True, False)
    await nats_server.restart()
    await changes.until(True, False, True)
    began = time.monotonic()
    await bus.enqueue(SUBJECT, Cancel(sid="s", turn=1), message_id="1")
    await done.until(lambda items: Cancel(sid="s", turn=1) in items)
    assert time.monotonic() - began < AT_ONCE_S, "it was asked for anew, not missed at last"
    await working.stop()


async def test_a_job_done_while_the_connection_was_lost_is_not_done_again(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    changes = Changes()
    bus = await nats_server.connect("a", on_change=changes)
    buses.append(bus)
    await bus.declare(QUEUE)
    taken, release, deliveries = Heard(), asyncio.Event(), Heard()

    async def work(job: Job) -> None:
        deliveries((job.message, job.delivery))
        taken(job)
        await release.wait()

    working = Working(bus.consumer(QUEUE, slots=1, handler=work))
    await bus.enqueue(SUBJECT, Cancel(sid="s", turn=1), message_id="1")
    await taken.until(1)
    bus.cut()
    await changes.until(True, False)
    release.set()
    await changes.until(True, False, True)
    await bus.enqueue(SUBJECT, Cancel(sid="s", turn=2), message_id="2")
    await deliveries.until(2)
    await working.stop()
    assert deliveries.items == [(Cancel(sid="s", turn=1), 1), (Cancel(sid="s", turn=2), 1)]


async def test_a_queue_that_the_broker_has_lost_is_made_anew_by_its_worker(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    bus = await nats_server.connect("a")
    buses.append(bus)
    await bus.declare(QUEUE)
    done = Heard()

    async def work(job: Job) -> None:
        done(job.message)

    working = Working(bus.consumer(QUEUE, slots=2, handler=work))
    await bus.enqueue(SUBJECT, Cancel(sid="s", turn=1), message_id="1")
    await done.until(1)
    await bus._control.request("$JS.API.STREAM.DELETE.test-jobs", b"", timeout_s=20)
    async with asyncio.timeout(WAIT_S):
        while len(done.items) < 2:
            try:
                await bus.enqueue(SUBJECT, Cancel(sid="s", turn=2), message_id="2")
                await done.until(2)
            except Exception:  # noqa: BLE001 - not there yet
                await asyncio.sleep(0.05)
    await working.stop()


async def test_a_cut_connection_comes_back_and_gets_no_more_jobs_than_slots(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    changes = Changes()
    bus, other = await nats_server.connect("a", on_change=changes), await nats_server.connect("b")
    buses += [bus, other]
    await bus.declare(QUEUE)
    busy, most, done, both = 0, 0, Heard(), asyncio.Event()

    async def work(job: Job) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        if busy == 2:
            both.set()
        await both.wait()
        await asyncio.sleep(0.02)
        busy -= 1
        done((job.message, job.delivery))

    working = Working(bus.consumer(QUEUE, slots=2, handler=work))
    for turn in range(2):
        await other.enqueue(SUBJECT, Cancel(sid="s", turn=turn), message_id=f"{turn}")
    await done.until(2)
    both.clear()
    bus.cut()
    await changes.until(True, False, True)
    for turn in range(2, 12):
        await other.enqueue(SUBJECT, Cancel(sid="s", turn=turn), message_id=f"{turn}")
    await done.until(12)
    await working.stop()
    assert most == 2
    assert {delivery for _message, delivery in done.items} == {1}


async def test_trap_8_a_frozen_broker_is_noticed_in_time_even_with_full_buffers(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    changes = Changes()
    bus = await nats_server.connect("a", on_change=changes)
    buses.append(bus)
    heard = Heard()
    await bus.subscribe("eva.v1.x", heard)
    nats_server.pause()
    async with asyncio.timeout(FROZEN_S):
        with pytest.raises(BusDown):
            await flood(bus)
        await changes.until(True, False)
        await lost(bus)
    nats_server.resume()
    await changes.until(True, False, True)
    await bus.publish("eva.v1.x", Cancel(sid="s", turn=1))
    assert await heard.until(1) == [Cancel(sid="s", turn=1)]


async def test_an_outlet_takes_no_more_than_a_frozen_broker_would_have_to_be_sent_late(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    changes = Changes()
    bus = await nats_server.connect("a", on_change=changes)
    buses.append(bus)
    outlet, message = bus.outlet("eva.v1.x"), TextDelta(turn=1, attempt=1, seq=0, text="x" * 10_000)
    nats_server.pause()
    async with asyncio.timeout(FROZEN_S):
        while outlet.post(message):  # noqa: ASYNC110 - it is written meanwhile
            await asyncio.sleep(0)
    assert bus._media._client.pending_data_size < OUTLET_BYTES + 20_000
    await changes.until(True, False)
    assert not outlet.post(message)
    nats_server.resume()
    await changes.until(True, False, True)
    assert outlet.post(message)


async def test_trap_6_nothing_published_before_an_outage_arrives_after_it(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    changes = Changes()
    bus, listener = await nats_server.connect("a", on_change=changes), await nats_server.connect("b")
    buses += [bus, listener]
    heard = Heard()
    await listener.subscribe("eva.v1.evt.>", heard)
    nats_server.pause()
    with pytest.raises(BusDown):
        await flood(bus)
    assert bus._media._client.pending_data_size > 0
    await changes.until(True, False)
    await lost(bus)
    assert bus._media._client.pending_data_size == 0
    nats_server.resume()
    await changes.until(True, False, True)


async def test_trap_2_a_flood_for_one_subscription_does_not_delay_another(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    bus, sender = await nats_server.connect("a"), await nats_server.connect("b")
    buses += [bus, sender]
    many, urgent = Heard(), Heard()
    await bus.subscribe("eva.v1.flood", many)
    await bus.subscribe("eva.v1.cancel.>", urgent)
    for seq in range(2000):
        await sender.publish("eva.v1.flood", TextDelta(turn=1, attempt=1, seq=seq, text="x" * 500))
    await sender.publish("eva.v1.cancel.gw.s", Cancel(sid="s", turn=1))
    await urgent.until(1)
    await many.until(2000)
    assert [message.seq for message in many.items] == list(range(2000))


async def test_trap_3_a_message_costs_no_task(nats_server: NatsServer, buses: list[NatsBus]) -> None:
    bus = await nats_server.connect("a")
    buses.append(bus)
    heard = Heard()
    most_tasks = 0

    def take(_subject: str, message: object) -> None:
        nonlocal most_tasks
        most_tasks = max(most_tasks, len(asyncio.all_tasks()))
        heard(message)

    await bus.subscribe("eva.v1.x", take)
    before = len(asyncio.all_tasks())
    for seq in range(500):
        await bus.publish("eva.v1.x", TextDelta(turn=1, attempt=1, seq=seq, text=""))
    await heard.until(500)
    assert most_tasks <= before + 1


async def test_trap_5_a_client_that_the_server_closed_for_good_says_so(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    closed = Heard()
    bus = await nats_server.connect("a", closed=closed)
    buses.append(bus)
    client = bus._media._client
    client._max_payload = 10_000_000  # past our own limit, as a defect would be
    await client.publish("eva.v1.x", bytes(1_000_000))
    (reason,) = await closed.until(1)
    assert "aximum" in reason or "a-media" in reason
    assert not bus.is_up


async def test_trap_7_no_item_of_a_burst_is_left_behind(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    bus = await nats_server.connect("a")
    buses.append(bus)
    bus._sender = Sender(bus._control, patience_s=WAIT_S)  # past the queue an item may go twice
    await bus.declare(QUEUE)
    done = Heard()

    async def work(job: Job) -> None:
        done((job.message, job.delivery))

    workers = [Working(bus.consumer(QUEUE, slots=7, handler=work)) for _ in range(3)]
    async with asyncio.TaskGroup() as tasks:
        for turn in range(300):
            tasks.create_task(bus.enqueue(SUBJECT, Cancel(sid="s", turn=turn), message_id=f"{turn}"))
    everything = set(range(300))  # where a machine stands still, some are rushed, and may be done twice
    await done.until(lambda items: {message.turn for message, _delivery in items} == everything)
    for working in workers:
        await working.stop()
    assert {delivery for _message, delivery in done.items} == {1}


async def test_a_cancelled_subscribe_does_not_deafen_the_connection(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    changes = Changes()
    bus = await nats_server.connect("a", on_change=changes)
    buses.append(bus)
    heard = Heard()
    await bus.subscribe("eva.v1.x", heard)
    standing = len(bus._media._client._subs)
    for _ in range(20):
        subscribing = asyncio.get_running_loop().create_task(bus.subscribe("eva.v1.y", heard))
        await asyncio.sleep(0)
        subscribing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await subscribing
    await bus._media.round_trip()
    await bus.publish("eva.v1.x", Cancel(sid="s", turn=1))
    await bus.publish("eva.v1.y", Cancel(sid="s", turn=2))
    await heard.until(1)
    assert changes.said == [True]
    assert len(bus._media._client._subs) == standing
    assert heard.items == [Cancel(sid="s", turn=1)]


async def test_a_cancellation_in_the_instant_of_the_reply_is_not_lost(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    bus = await nats_server.connect("a")
    buses.append(bus)
    bus._sender = Sender(bus._control, patience_s=WAIT_S)  # however late the reply is
    await bus.declare(QUEUE)
    storing = asyncio.create_task(
        bus.enqueue(SUBJECT, TextDelta(turn=1, attempt=1, seq=0, text=""), message_id="1")
    )
    replies = bus._control._client._resp_map
    async with asyncio.timeout(WAIT_S):
        while not replies:  # noqa: ASYNC110  # every step of the loop is looked at
            await asyncio.sleep(0)
    (reply,) = replies.values()
    reply.add_done_callback(lambda _: storing.cancel())
    with pytest.raises(asyncio.CancelledError):
        await storing
    assert reply.result().data


async def test_an_item_that_a_frozen_broker_does_not_confirm_is_refused_in_time(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    bus = await nats_server.connect("a")
    buses.append(bus)
    await bus.declare(QUEUE)
    nats_server.pause()
    began = time.monotonic()
    with pytest.raises(BusDown):
        await bus.enqueue(SUBJECT, Cancel(sid="s", turn=1), message_id="1")
    assert 1.5 < time.monotonic() - began < AT_ONCE_S  # 2 s is the rule
    nats_server.resume()


async def test_a_broker_without_jetstream_is_named_as_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_store, "READY_WITHIN_S", 0.3)
    process = await asyncio.create_subprocess_exec(
        find_server(),
        "-a",
        "127.0.0.1",
        "-p",
        "-1",
        "--ports_file_dir",
        tmp_path,
        stderr=asyncio.subprocess.DEVNULL,
    )
    ports = tmp_path / f"nats-server_{process.pid}.ports"
    try:
        async with asyncio.timeout(WAIT_S):
            while not ports.exists() or not ports.read_text():  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
        bus = await connect(json.loads(ports.read_text())["nats"][0], name="a")
        with pytest.raises(BusDown, match="JetStream does not answer"):
            await bus.declare(QUEUE)
        with pytest.raises(BusDown, match="JetStream does not answer"):
            await bus.bucket("test", ttl_s=60)
        await bus.close()
    finally:
        process.terminate()
        await process.wait()


async def test_messages_that_the_client_drops_are_counted(
    nats_server: NatsServer, buses: list[NatsBus]
) -> None:
    bus = await nats_server.connect("a")
    buses.append(bus)
    subscription = await bus.serve("eva.v1.x", lambda message: message)
    subscription._made._pending_bytes_limit = 1  # type: ignore[attr-defined]  # any message is too many
    await bus.publish("eva.v1.x", Cancel(sid="s", turn=1))
    await bus._media.round_trip()
    await bus._control.round_trip()
    assert bus.counts.dropped == 1
    assert bus.is_up


async def test_a_process_whose_connection_is_closed_for_good_ends_with_1(nats_server: NatsServer) -> None:
    script = (
        "import asyncio, os\n"
        "from shared.bus.nats import connect\n"
        "async def main():\n"
        "    bus = await connect(os.environ['EVA_NATS_URL'], name='p', user=os.environ['EVA_NATS_USER'],\n"
        "                        password=os.environ['EVA_NATS_PASSWORD'])\n"
        "    bus._control._client._max_payload = 10_000_000\n"
        "    await bus._control._client.publish('eva.v1.x', bytes(1_000_000))\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **nats_server.environment},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WAIT_S):
        _, said = await process.communicate()
    assert process.returncode == 1
    assert b"bus.closed" in said


async def test_five_processes_may_declare_at_once(nats_server: NatsServer, buses: list[NatsBus]) -> None:
    buses += [await nats_server.connect(f"p{number}") for number in range(5)]
    async with asyncio.TaskGroup() as tasks:
        for bus in buses:
            tasks.create_task(bus.declare(QUEUE))
            tasks.create_task(bus.bucket("test", ttl_s=60))
    await buses[0].enqueue(SUBJECT, Cancel(sid="s", turn=1), message_id="1")


async def test_where_nobody_listens_connecting_fails_by_name_and_without_the_password(
    tmp_path: Path,
) -> None:
    began = time.monotonic()
    with pytest.raises(BusDown, match=r"no broker answers at nats://127[.]0[.]0[.]1:1: ") as caught:
        await connect("nats://eva:geheim@127.0.0.1:1", name="a")
    assert 4 < time.monotonic() - began < WAIT_S  # 5 s is the rule
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("user", ["", "eva"])
async def test_wrong_credentials_are_refused_at_once(
    nats_server: NatsServer, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_link, "FIRST_CONNECT_S", WAIT_S)
    began = time.monotonic()
    with pytest.raises(BusDown, match="refuses these credentials") as caught:
        await connect(nats_server.url, name="a", user=user, password="geheim")
    assert time.monotonic() - began < AT_ONCE_S
    assert "geheim" not in str(caught.value)


async def test_a_deleted_value_is_not_on_the_disk(nats_server: NatsServer, buses: list[NatsBus]) -> None:
    bus = await nats_server.connect("a")
    buses.append(bus)
    bucket = await bus.bucket("test", ttl_s=60)
    await bucket.put("sid", b"my name is Alice")
    await bucket.put("sid", b"my name is Alice and I live in Lyon")

    def has(path: Path, text: bytes) -> bool:
        try:
            return path.is_file() and text in path.read_bytes()
        except FileNotFoundError:  # the server has its own business there
            return False

    def files_with(text: bytes) -> list[Path]:
        return [path for path in nats_server.data_dir.rglob("*") if has(path, text)]

    assert files_with(b"Lyon")
    assert await bucket.delete("sid")
    await nats_server.kill()
    assert files_with(b"Alice") == []


async def test_the_servers_clock_is_known(nats_server: NatsServer, buses: list[NatsBus]) -> None:
    bus = await nats_server.connect("a")
    buses.append(bus)
    await bus.declare(QUEUE)
    assert abs(await clock_ahead_s(bus._control, QUEUE.name)) < PATIENCE_S


@pytest.mark.parametrize(
    ("reply", "delivery", "stored_at"),
    [
        ("$JS.ACK.eva-llm.eva-llm.2.17.18.1700000000500000000.3", 2, 1700000000.5),
        ("$JS.ACK.hub.h4sh.eva-llm.eva-llm.1.17.18.1700000000000000000.3.r4nd", 1, 1700000000.0),
    ],
)
def test_a_deliverys_origin_is_read_from_its_reply_subject(
    reply: str, delivery: int, stored_at: float
) -> None:
    origin = pull.read_origin(reply)
    assert (origin.delivery, origin.stored_at) == (delivery, stored_at)
