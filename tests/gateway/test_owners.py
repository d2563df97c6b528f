"""A session belongs to the key that made it; to any other key its id is one that nobody has used yet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from services.gateway.chat_protocol import AudioOut, ErrorEvent, Ready, Start, TurnDone, UserText
from services.gateway.hub import Hub
from services.gateway.lasting import ERASED, TAKEN_OVER
from services.gateway.memory import Memory, name_of
from services.gateway.session import Session
from services.gateway.surroundings import Surroundings
from shared.errors import BadInput
from shared.keys import KEY_PREFIX, id_of, new_secret
from shared.messages import ChatMessage, SessionRecord
from tests.fakes.gateway import WAIT_S, RunningGateway, running_gateway
from tests.gateway.rig import POLICY, Client, Leaving, Place, Reports

MINE, THEIRS = (new_secret(KEY_PREFIX) for _ in range(2))
NAMED = Start(session_id="same", audio_out=AudioOut(rate_hz=16000))
SECRET = "my name is Ada"


def test_each_owner_has_names_of_its_own() -> None:
    names = {(sid, owner): name_of(sid, owner) for sid in ("a", "key_1") for owner in ("", "key_1", "a")}
    assert len(set(names.values())) == len(names)
    assert name_of("kitchen", "") == "kitchen"
    with pytest.raises(BadInput) as raised:
        name_of("key_1=kitchen", "")
    assert raised.value.param == "session_id"


def is_resumed(client: Client) -> list[bool]:
    """What it was told at each beginning."""
    return [event.is_resumed for event in client.events if isinstance(event, Ready)]


async def talk(session: Session, client: Client) -> None:
    session.handle(UserText(text=SECRET))
    await client.sees(TurnDone)


def hub_beside(place: Place) -> Hub:
    """Another gateway at the same broker."""
    bus = place.broker.connect("other")
    return Hub(
        Surroundings(
            bus=bus,
            gw="OTHER",
            memory=Memory(bus, ttl_s=60),
            observer=Reports(),
            policy=POLICY,
            clock=place.clock,
        )
    )


@pytest.mark.parametrize("owner", ["theirs", ""])
@pytest.mark.parametrize("is_elsewhere", [False, True])
@pytest.mark.parametrize("kind", [Client, Leaving])
async def test_a_session_that_goes_on_is_neither_taken_over_nor_handed_over_to_another_key(
    place: Place, owner: str, is_elsewhere: bool, kind: type[Client]
) -> None:
    mine, theirs = kind(), kind()
    hub = hub_beside(place) if is_elsewhere else place.hub
    subscriptions = await hub.subscribe() if is_elsewhere else []
    async with place.hub.session(NAMED, mine, owner="mine") as session:
        await talk(session, mine)
        async with hub.session(NAMED, theirs, owner=owner) as other:
            assert is_resumed(theirs) == [False]
            assert other is not session
            await talk(session, mine)
        assert mine.of(ErrorEvent) == []
        await mine.sees(TurnDone, 2)
        assert not session.is_finished
    for subscription in subscriptions:
        await subscription.close()


async def test_what_was_said_is_remembered_for_its_owner_only(place: Place) -> None:
    mine, theirs, again = Client(), Client(), Client()
    async with place.hub.session(NAMED, mine, owner="mine") as session:
        await talk(session, mine)
    for owner in ("theirs", ""):
        assert await place.hub.recall("same", owner=owner) is None
        async with place.hub.session(NAMED, theirs, owner=owner) as session:
            session.handle(UserText(text="who am I?"))
            await theirs.sees(TurnDone)
        assert SECRET not in [message.content for message in place.workers.generated[-1].messages]
        assert await place.memory.erase("same", owner=owner)
    assert is_resumed(theirs) == [False, False]
    record = await place.hub.recall("same", owner="mine")
    assert record is not None
    assert record.messages[0].content == SECRET
    async with place.hub.session(NAMED, again, owner="mine"):
        assert is_resumed(again) == [True]


async def test_an_owner_s_own_second_client_takes_over_at_another_gateway(place: Place) -> None:
    mine, again, other = Client(), Client(), hub_beside(place)
    subscriptions = await other.subscribe()
    async with place.hub.session(NAMED, mine, owner="mine") as session:
        await talk(session, mine)
        async with other.session(NAMED, again, owner="mine"):
            assert is_resumed(again) == [True]
            assert mine.of(ErrorEvent) == [TAKEN_OVER]
    for subscription in subscriptions:
        await subscription.close()


@pytest.mark.parametrize("is_here", [True, False])
async def test_what_is_erased_is_over_and_forgotten_wherever_it_goes_on(place: Place, is_here: bool) -> None:
    mine, other = Client(), hub_beside(place)
    subscriptions = await other.subscribe()
    assert not await other.erase("same", owner="mine")
    async with place.hub.session(NAMED, mine, owner="mine") as session:
        await talk(session, mine)
        assert await (place.hub if is_here else other).erase("same", owner="mine")
        assert mine.of(ErrorEvent) == [ERASED]
        assert session.is_finished
    for hub in (place.hub, other):
        assert await hub.around.memory.load("same", owner="mine") is None
    again = Client()
    async with other.session(NAMED, again, owner="mine") as anew:
        assert is_resumed(again) == [False]
        await talk(anew, again)
    record = await place.hub.around.memory.load("same", owner="mine")
    assert record is not None, "what is said behind that is remembered again"
    for subscription in subscriptions:
        await subscription.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """A gateway that asks for keys, and knows two."""
    file = tmp_path / "keys"
    file.write_text(f"{MINE}\n{THEIRS}\n")
    file.chmod(0o600)
    async with running_gateway(gateway_auth="on", api_keys_file=file) as running:
        yield running


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def chat(house: RunningGateway, key: str) -> dict[str, Any]:
    body = {"message": SECRET, "session_id": "same", "include_audio": False}
    answer = await house.http.post("/chat", json=body, headers=bearer(key))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def erased(house: RunningGateway, key: str) -> tuple[int, str]:
    answer = await house.http.delete("/sessions/same", headers=bearer(key))
    return answer.status_code, answer.json()["error"]["code"] if answer.content else ""


async def test_another_key_is_told_nothing_of_a_session_that_goes_on(house: RunningGateway) -> None:
    async with (
        house.client(additional_headers=bearer(MINE)) as mine,
        house.client(additional_headers=bearer(THEIRS)) as theirs,
    ):
        await mine.send(type="start", session_id="same")
        await mine.expect("ready")
        assert await erased(house, THEIRS) == (404, "not_found")
        assert (await chat(house, THEIRS))["turn_id"] == "same-1"
        await theirs.send(type="start", session_id="same")
        ready = await theirs.expect("ready")
        assert (ready["turns"], ready["session_id"]) == (1, "same")
        assert await erased(house, THEIRS) == (204, "")
        assert (await theirs.expect("error"))["code"] == "session_erased"
        await mine.send(type="message", text="hello")
        events = await mine.until("turn_done")
        assert "error" not in {event["type"] for event in events}
        assert events[-1]["turn_id"] == "same-1"


async def test_another_key_finds_nothing_of_a_session_that_is_over(house: RunningGateway) -> None:
    await chat(house, MINE)
    mine = Memory(house.broker.connect("test"), ttl_s=60)
    assert await erased(house, THEIRS) == (404, "not_found")
    async with house.client(additional_headers=bearer(THEIRS)) as theirs:
        await theirs.send(type="start", session_id="same")
        assert not (await theirs.expect("ready"))["is_resumed"]
    record = await mine.load("same", owner=id_of(MINE))
    assert record is not None
    assert [message.content for message in record.messages][:1] == [SECRET]
    assert await erased(house, MINE) == (204, "")
    assert await erased(house, MINE) == (404, "not_found")


async def test_the_realtime_api_goes_on_for_the_owner_only(house: RunningGateway) -> None:
    memory = Memory(house.broker.connect("test"), ttl_s=60)
    said = [ChatMessage(role="user", content=SECRET)]
    await memory.save("same", SessionRecord(turns=1, messages=said), owner=id_of(MINE))
    async with realtime(house, MINE) as mine, realtime(house, THEIRS) as theirs:
        assert await told_the_mind(house, theirs) == ["who am I?"]
        assert await told_the_mind(house, mine) == [SECRET, "who am I?"]


def realtime(house: RunningGateway, key: str) -> connect:
    url = f"ws://{house.address}/v1/realtime?session_id=same"
    return connect(url, proxy=None, additional_headers=bearer(key))


async def told_the_mind(house: RunningGateway, socket: ClientConnection) -> list[str]:
    """What the mind is told of the conversation when its client asks the next question."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "who am I?"}]}
    await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await socket.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))
    async with asyncio.timeout(WAIT_S):
        while json.loads(await socket.recv())["type"] != "response.done":
            pass
    return [message.content for message in house.workers.generated[-1].messages]
