"""Each service is a user of its own at the containers' broker: it may do its work, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from eva.api_keys import stored_keys
from services.gateway.chat_protocol import AudioIn, FinalEvent
from shared.bus.jobs import Delivery
from shared.bus.nats import connect
from shared.bus.nats_address import read_address
from shared.bus.nats_door import NatsDoor
from shared.bus.nats_rush import Sender
from shared.errors import BusDown, NoResponders
from shared.service import EXIT_FAILED
from tests.deploy.rights import ROOT, WAIT_S, Rights
from tests.e2e.house import POLL_S, STAGES, House, install_models
from tests.e2e.talker import is_audible, talker
from tests.fakes.speech import speech
from tests.models.tiny_whisper import PHRASES

pytestmark = pytest.mark.process
on_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rights(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rights]:
    """A broker without services."""
    rights = Rights(tmp_path_factory.mktemp("rights"), "nats")
    await rights.start()
    try:
        yield rights
    finally:
        await rights.stop()


@on_one_loop
async def test_whole_turns_run_over_tls_with_each_service_as_its_own_user_and_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Rights(tmp_path / "broker", "tls")
    install_models(tmp_path)
    home = House(tmp_path)
    home.server = broker  # type: ignore[assignment]  # starts, stops, and tells what is common
    try:
        await broker.start()
        await asyncio.gather(*(home.start(name, **broker.environment_of(name)) for name in STAGES))
        await home.until_ready()
        async with talker(home.url, audio_in=AudioIn()) as person:
            await person.say(speech(PHRASES[0]))
            final = await person.hears(FinalEvent)
            assert final.turn_id is not None
            assert (await person.done(final.turn_id)).text
            assert is_audible(person.pcm(final.turn_id))
        answer = await home.chat("What did I say?", session_id="kept")
        assert answer["has_audio"], answer
        made = await home.http.post(
            f"{home.url}/v1/audio/speech", json={"model": "eva", "voice": "eva", "input": "A test."}
        )
        assert made.status_code == 200, made.text
        async with asyncio.timeout(WAIT_S):
            heard = await transcribed(home, made.content)
        assert heard.status_code == 200, heard.text
        secret = await home.http.post(f"{home.url}/v1/realtime/client_secrets", json={})
        assert secret.status_code == 200, secret.text
        assert (await home.http.delete(f"{home.url}/sessions/kept")).status_code < 300
        for name, value in broker.environment_of("operator").items():
            monkeypatch.setenv(name, value)
        async with stored_keys(tmp_path) as bucket:
            await bucket.put("key", b"value")
            assert await bucket.keys() == ["key"]
            assert await bucket.delete("key")
        said = home.logs() + broker.said()
        assert "iolation" not in said, said
    finally:
        await home.close()


async def transcribed(home: House, sound: bytes) -> httpx.Response:
    """Has a recording read; asks again while it is told that nobody can listen right now."""
    while True:
        answer = await home.http.post(
            f"{home.url}/v1/audio/transcriptions", data={"model": "eva"}, files={"file": ("a.wav", sound)}
        )
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            return answer
        await asyncio.sleep(POLL_S)


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("stt", "eva.v1.work.llm.gw.sid"),
        ("stt", "eva.v1.evt.gw.sid.tts"),
        ("stt", "$JS.API.STREAM.DELETE.eva-llm"),
        ("stt", "$KV.eva-sessions.sid"),
        ("llm", "$KV.eva-sessions.sid"),
        ("llm", "$JS.API.DIRECT.GET.KV_eva-sessions.$KV.eva-sessions.sid"),
        ("llm", "eva.v1.evt.gw.sid.stt"),
        ("llm", "eva.v1.cancel.gw.sid"),
        ("llm", "$JS.API.CONSUMER.MSG.NEXT.eva-tts.eva-tts"),
        ("tts", "eva.v1.work.tts.gw.sid"),
        ("tts", "eva.v1.fact.llm.worker"),
        ("tts", "$JS.API.STREAM.PURGE.eva-tts"),
        ("tts", "$KV.eva-keys.key"),
        ("gateway", "eva.v1.fact.tts.worker"),
        ("gateway", "eva.v1.evt.gw.sid.llm"),
        ("gateway", "$KV.eva-keys.key"),
        ("gateway", "$JS.API.CONSUMER.MSG.NEXT.eva-llm.eva-llm"),
        ("gateway", "$JS.API.STREAM.DELETE.KV_eva-sessions"),
        ("operator", "$KV.eva-sessions.sid"),
        ("operator", "eva.v1.work.llm.gw.sid"),
    ],
)
@on_one_loop
async def test_a_user_may_not_send_what_is_not_its_to_send(rights: Rights, user: str, subject: str) -> None:
    async with rights.client(user) as (client, complaints):
        await client.publish(subject, b"{}")
        async with asyncio.timeout(WAIT_S):
            assert "permissions violation for publish" in (await complaints.get()).lower()


@pytest.mark.parametrize(
    ("user", "subject", "queue"),
    [
        ("stt", "eva.v1.stt.open", ""),  # a tap beside the queue
        ("stt", "eva.v1.work.>", ""),
        ("stt", "eva.v1.evt.>", ""),
        ("stt", "_INBOX.>", ""),
        ("llm", "eva.v1.mic.>", ""),
        ("llm", "eva.v1.evt.>", ""),
        ("llm", "$KV.>", ""),
        ("tts", "eva.v1.mic.>", ""),
        ("tts", "_INBOX.llm-control.>", ""),
        ("gateway", "eva.v1.mic.>", ""),
        ("gateway", "_INBOX.tts-control.>", ""),
        ("gateway", ">", ""),
        ("operator", "eva.v1.>", ""),
    ],
)
@on_one_loop
async def test_a_user_may_not_hear_what_is_not_for_it(
    rights: Rights, user: str, subject: str, queue: str
) -> None:
    async with rights.client(user) as (client, complaints):
        await client.subscribe(subject, queue=queue)
        async with asyncio.timeout(WAIT_S):
            assert "permissions violation for subscription" in (await complaints.get()).lower()


class Free:
    """A consumer that takes whatever comes past the queue."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def knows(self, item_id: str) -> bool:
        return False

    def is_free(self) -> bool:
        return True

    async def accept(self, delivery: Delivery) -> bool:
        self.taken.append(delivery.payload)
        return True

    def rushed_elsewhere(self, item_id: str) -> None:
        pass


@pytest.mark.parametrize(("sender", "worker"), [("gateway", "llm"), ("gateway", "tts"), ("llm", "tts")])
@on_one_loop
async def test_work_may_go_past_a_queue_that_is_held_up(rights: Rights, sender: str, worker: str) -> None:
    buses = {}
    for user in (sender, worker):
        url, password = rights.environment_of(user)["EVA_NATS_URL"], rights.password_of(user)
        buses[user] = await connect(url, name=user, user=user, password=password)
    subject, desk = f"eva.v1.work.{worker}.gw.sid", Free()
    door = asyncio.create_task(NatsDoor(buses[worker]._control, subject).run(desk))
    sending = Sender(buses[sender]._control, patience_s=0.0)
    try:
        async with asyncio.timeout(WAIT_S):
            while not sending.rushed:
                with contextlib.suppress(NoResponders, BusDown):  # nobody at the door yet, or nobody in time
                    await sending.send(subject, b"work", message_id="id")
    finally:
        door.cancel()
        await asyncio.gather(door, return_exceptions=True)
        await sending.close()
        for bus in buses.values():
            await bus.close()
    assert set(desk.taken) == {b"work"}


@pytest.mark.parametrize(("user", "password"), [("gateway", "wrong"), ("nobody", "any"), ("", "")])
@on_one_loop
async def test_whoever_is_no_user_of_the_broker_stays_outside(
    rights: Rights, user: str, password: str
) -> None:
    with pytest.raises(BusDown, match="refuses these credentials"):
        await connect(rights.url, name="stranger", user=user, password=password)


@on_one_loop
async def test_preparing_again_changes_no_password_and_each_service_can_read_only_its_own(
    rights: Rights,
) -> None:
    secrets = rights.folder / "secrets"
    before = {file: file.read_bytes() for file in secrets.rglob("*") if file.is_file()}
    rights.prepare()
    assert {file: file.read_bytes() for file in secrets.rglob("*") if file.is_file()} == before
    assert {stat.S_IMODE(file.stat().st_mode) for file in before} == {0o600}
    drawn = [rights.password_of(user) for user in (*STAGES, "operator")]
    assert len(set(drawn)) == len(drawn)
    assert min(map(len, drawn)) >= 32


@on_one_loop
async def test_a_broker_with_the_certificate_of_another_authority_is_not_trusted(tmp_path: Path) -> None:
    ours, other = Rights(tmp_path / "ours", "tls"), Rights(tmp_path / "other", "tls")
    other.prepare()
    wrong = other.folder / "secrets" / "llm" / "nats_ca.pem"
    try:
        await ours.start()
        told = ours.environment_of("llm") | {
            "EVA_NATS_URL": f"{ours.url}?ca={wrong}",
            "PYTHONPATH": str(ROOT),
        }
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.llm", env=os.environ | told, cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(WAIT_S):
            said, _ = await worker.communicate()
        assert worker.returncode == EXIT_FAILED
        assert b"certificate verify failed" in said, said
    finally:
        await ours.stop()


def test_an_address_names_its_authority_and_one_that_is_none_is_refused(tmp_path: Path) -> None:
    assert read_address("nats://one:1, nats://two:2?ca=/nowhere") == (["nats://one:1", "nats://two:2"], None)
    (tmp_path / "ca.pem").write_text("no certificate")
    for file in ("ca.pem", "none.pem"):
        with pytest.raises(BusDown, match="is no certificate of an authority"):
            read_address(f"tls://one:1?ca={tmp_path / file}")
    servers, tls = read_address("tls://one:1")
    assert servers == ["tls://one:1"]
    assert tls is not None
