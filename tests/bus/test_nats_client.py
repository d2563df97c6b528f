"""The short way of messages through nats-py's client: whatever way they take, all come, in order."""

import asyncio
import contextlib
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client as NatsClient
from nats.aio.client import Srv
from nats.aio.subscription import Subscription

from shared.bus.dispatch import Counts
from shared.bus.nats_client import Client
from shared.bus.nats_link import Link
from shared.bus.nats_socket import _Reader

Read = tuple[str, bytes]
TAKEN, OTHER = 7, 8


@pytest.mark.parametrize("result", [OSError("refused"), None])
async def test_connecting_that_is_cancelled_in_the_instant_of_its_result_ends(
    monkeypatch: pytest.MonkeyPatch, result: OSError | None
) -> None:
    attempts, begun = 0, asyncio.Event()

    async def forgets(_client: NatsClient, _server: Srv) -> None:
        nonlocal attempts
        attempts += 1
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        if result is not None:
            raise result

    monkeypatch.setattr(NatsClient, "_connect_to_server", forgets)
    link = Link("x", is_live=False, counts=Counts(), on_change=lambda: None)
    opening = asyncio.create_task(link.open("nats://127.0.0.1:1", user="", password=""))
    await begun.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert attempts == 1


class Reading(Client):
    """A client that is connected to nothing and keeps what it has read."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Read] = []
        self.others: list[Read] = []
        self.pongs = 0
        for sid in (TAKEN, OTHER):
            self._subs[sid] = Subscription(self, sid, f"s{sid}")
        self.take_at_once(self._subs[TAKEN], lambda subject, payload: self.taken.append((subject, payload)))

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None
    ) -> None:
        if sid == OTHER:
            self.others.append((subject.decode(), data))
        else:
            await super()._process_msg(sid, subject, reply, data, headers)

    async def _process_pong(self) -> None:
        self.pongs += 1

    async def read(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self._ps.parse(piece)

    async def read_as_it_comes(self, pieces: Iterable[bytes], breaths: Iterable[bool]) -> None:
        """Each piece comes when what was before it is read, or at the same time as the one before."""
        reader = _Reader(self._ps.take, limit=2**16)

        async def reading() -> None:
            while data := await reader.read(20):
                await self._ps.parse(data)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reading())
            for piece, is_breath in zip(pieces, breaths, strict=False):
                for _ in range(3 * is_breath):
                    await asyncio.sleep(0)
                reader.feed_data(piece)
            reader.feed_eof()


def message(sid: int, payload: bytes, *, reply: bytes = b"") -> bytes:
    return b"MSG s.%d %d %b%d\r\n%b\r\n" % (sid, sid, reply, len(payload), payload)


payloads = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"MSG s.7 7 3\r\n", b"PONG\r\n", b"\r\n", b"M"])
)
things = st.lists(st.tuples(st.sampled_from(["taken", "other", "asked", "pong"]), payloads), max_size=8)


@given(things=things, cuts=st.lists(st.integers(0, 500)), breaths=st.none() | st.lists(st.booleans()))
def test_messages_are_read_in_order_wherever_the_stream_is_cut(
    things: list[tuple[str, bytes]], cuts: list[int], breaths: list[bool] | None
) -> None:
    written = {
        "taken": lambda payload: message(TAKEN, payload),
        "other": lambda payload: message(OTHER, payload),
        "asked": lambda payload: message(TAKEN, payload, reply=b"r "),
        "pong": lambda _: b"PONG\r\n",
    }
    stream = b"".join(written[kind](payload) for kind, payload in things)
    at = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})

    async def run() -> Reading:
        client = Reading()
        pieces = [stream[begin:end] for begin, end in itertools.pairwise(at)]
        if breaths is None:
            await client.read(*pieces)
        else:
            await client.read_as_it_comes(pieces, itertools.chain(breaths, itertools.repeat(True)))
        return client

    client = asyncio.run(run())
    assert client.taken == [("s.7", payload) for kind, payload in things if kind in {"taken", "asked"}]
    assert client.others == [("s.8", payload) for kind, payload in things if kind == "other"]
    assert client.pongs == sum(kind == "pong" for kind, _ in things)


async def test_what_was_cut_off_by_a_lost_connection_is_forgotten() -> None:
    client = Reading()
    await client.read(message(TAKEN, b"whole") + message(TAKEN, b"cut off")[:-3])
    client._ps.reset()
    await client.read(message(TAKEN, b"anew"))
    assert client.taken == [("s.7", b"whole"), ("s.7", b"anew")]


async def test_a_subscription_that_ends_is_taken_from_no_more() -> None:
    client = Reading()
    client._remove_sub(TAKEN)
    await client.read(message(OTHER, b"x"))
    assert not client.takers
    assert client.taken == []
