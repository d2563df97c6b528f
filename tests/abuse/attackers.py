"""Clients that mean harm, each in a process of its own.

``python -m tests.abuse.attackers KIND HOST PORT SECONDS``: each goes on for so long, or until all that it
holds was taken from it, and prints one line of JSON: how it was answered (``answers``: statuses, close codes,
``reset``, ``open``, of a storm's ``stayed`` and ``gone``), and how long a connection was left to it at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from services.gateway.server import allow_connections

HEAD = (
    b"GET /ws/chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
CONT, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9
STORM = 2000


def frame(opcode: int, payload: bytes = b"", *, is_final: bool = True, flags: int = 0) -> bytes:
    """A client's frame; its mask is zeros."""
    head = bytes([(0x80 if is_final else 0) | flags | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([0x80 | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", len(payload))
    return head + bytes(4) + payload


@dataclass
class Attack:
    """Where, for how long, and what came of it."""

    host: str
    port: int
    seconds: float
    answers: Counter[str] = field(default_factory=Counter)
    lived_s: float = 0.0
    """The longest that a connection was left to it."""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def upgrade(self, *headers: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
        """Asks for a WebSocket; counts and returns the answer."""
        reader, writer = await self.connect()
        writer.write(HEAD + b"".join(header + b"\r\n" for header in headers) + b"\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        self.answers[answer.split()[1].decode()] += 1
        return reader, writer, answer

    async def flood(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        """Sends the first piece, and then the second until the connection is closed."""
        began_s = time.monotonic()
        reader, writer, _ = await self.upgrade()
        reading = asyncio.create_task(closing(reader))
        writer.write(pieces[0])
        with contextlib.suppress(ConnectionError):
            while not reading.done():
                writer.write(pieces[-1])
                await writer.drain()
                await asyncio.sleep(pause_s)
                if time.monotonic() - began_s > self.seconds:
                    break
        self.answers[await ended(reading)] += 1
        self.lived_s = max(self.lived_s, time.monotonic() - began_s)
        writer.close()


async def closing(reader: asyncio.StreamReader) -> str:
    """Reads frames to the end; returns the close code, or ``reset``."""
    try:
        while True:
            first, length = await reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await reader.readexactly(8))
            payload = await reader.readexactly(length)
            if first & 0xF == CLOSE:
                return str(int.from_bytes(payload[:2], "big"))
    except (ConnectionError, asyncio.IncompleteReadError):
        return "reset"


async def ended(reading: asyncio.Task[str], *, within_s: float = 40.0) -> str:
    """How the connection ended; ``open`` if it does not."""
    try:
        return await asyncio.wait_for(reading, within_s)
    except TimeoutError:
        return "open"


async def slow_loris(attack: Attack) -> None:
    """Heads that never end, a byte at a time."""

    async def crawl() -> None:
        began_s = time.monotonic()
        reader, writer = await attack.connect()
        writer.write(b"GET /health HTTP/1.1\r\nX: ")
        reading = asyncio.create_task(reader.read())
        while not reading.done() and time.monotonic() - began_s < attack.seconds:
            writer.write(b"y")
            await asyncio.wait({reading}, timeout=0.5)
        if not reading.done():
            attack.answers["open"] += 1
        elif reading.exception() is not None:
            attack.answers["reset"] += 1
        else:
            attack.answers[(reading.result().split() or [b"", b"closed"])[1].decode()] += 1
        reading.cancel()
        attack.lived_s = max(attack.lived_s, time.monotonic() - began_s)
        writer.close()

    await asyncio.gather(*(crawl() for _ in range(200)))


async def ping_flood(attack: Attack) -> None:
    """Pings as fast as they can be sent, from one socket after another."""
    until_s = time.monotonic() + attack.seconds
    while time.monotonic() < until_s:
        await attack.flood(frame(PING) * 1000)


async def fragments(attack: Attack) -> None:
    """Messages of single bytes that never end."""
    until_s = time.monotonic() + attack.seconds
    while time.monotonic() < until_s:
        await attack.flood(frame(TEXT, b"{", is_final=False), frame(CONT, b" ", is_final=False) * 1000)


async def deflate_bomb(attack: Attack) -> None:
    """Thirty kilobytes that would become thirty megabytes."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = squeeze.compress(bytes(30_000_000)) + squeeze.flush(zlib.Z_SYNC_FLUSH)[:-4]
    for _ in range(20):
        reader, writer, answer = await attack.upgrade(b"Sec-WebSocket-Extensions: permessage-deflate")
        attack.answers["agreed"] += b"permessage-deflate" in answer.lower()
        writer.write(frame(BINARY, bomb, flags=0x40))
        attack.answers[await ended(asyncio.create_task(closing(reader)))] += 1
        writer.close()


async def never_reads(attack: Attack) -> None:
    """Asks for sound and takes none of it; alive enough to answer pings, if it read them."""

    def hold() -> None:
        with socket.create_connection((attack.host, attack.port)) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.sendall(HEAD + b"\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += deaf.recv(1)
            deaf.sendall(frame(TEXT, b'{"type":"start","audio_out":{"format":"pcm","rate_hz":48000}}'))
            deaf.sendall(frame(TEXT, b'{"type":"message","text":"Hi"}'))
            began_s = time.monotonic()
            end = "open"
            with contextlib.suppress(TimeoutError):
                while time.monotonic() - began_s < attack.seconds:
                    time.sleep(0.25)
                    try:
                        deaf.sendall(frame(PING))
                    except ConnectionError:
                        end = "reset"
                        break
            attack.answers[end] += 1
            attack.lived_s = max(attack.lived_s, time.monotonic() - began_s)

    await asyncio.gather(*(asyncio.to_thread(hold) for _ in range(4)))


async def storm(attack: Attack) -> None:
    """Two thousand at once; who gets in stays."""

    def knock() -> socket.socket:
        caller = socket.create_connection((attack.host, attack.port))
        caller.sendall(HEAD + b"\r\n")  # before the next one: nobody may call it silent
        return caller

    async def answered(caller: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=caller)
        held.append(writer)
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " in answer:
                inside.append(reader)
            has_hint = b" 503 " not in answer or b"\r\nretry-after: " in answer
            attack.answers[answer.split()[1].decode() if has_hint else "no retry-after"] += 1
        except (OSError, asyncio.IncompleteReadError) as error:
            attack.answers[type(error).__name__] += 1

    held: list[asyncio.StreamWriter] = []
    inside: list[asyncio.StreamReader] = []
    began_s = time.monotonic()
    await asyncio.gather(*[answered(caller) for caller in [knock() for _ in range(STORM)]])
    attack.lived_s = time.monotonic() - began_s
    ends = (ended(asyncio.create_task(closing(reader)), within_s=5) for reader in inside)
    for end in await asyncio.gather(*ends):
        attack.answers["stayed" if end == "open" else "gone"] += 1  # nobody answers pings
    for writer in held:
        writer.close()


async def wrong_origin(attack: Attack) -> None:
    """A page of somebody else's."""
    until_s = time.monotonic() + attack.seconds
    while time.monotonic() < until_s:
        (await attack.upgrade(b"Origin: https://evil.example"))[1].close()


async def wrong_key(attack: Attack) -> None:
    """Somebody who guesses."""
    until_s, number = time.monotonic() + attack.seconds, 0
    while time.monotonic() < until_s:
        number += 1
        (await attack.upgrade(b"Authorization: Bearer eva-%032d" % number))[1].close()


async def too_much_sound(attack: Attack) -> None:
    """A microphone that is twenty times as fast as time."""
    await attack.flood(b"", frame(BINARY, bytes(640)) * 50, pause_s=0.05)


ATTACKS: dict[str, Callable[[Attack], Coroutine[None, None, None]]] = {
    attack.__name__: attack
    for attack in (
        slow_loris,
        ping_flood,
        fragments,
        deflate_bomb,
        never_reads,
        storm,
        wrong_origin,
        wrong_key,
        too_much_sound,
    )
}


def main() -> None:
    """Attacks, and prints what came of it."""
    kind, host, port, seconds = sys.argv[1:]
    allow_connections()
    attack = Attack(host, int(port), float(seconds))
    asyncio.run(ATTACKS[kind](attack))
    answers = {answer: count for answer, count in attack.answers.items() if count}
    sys.stdout.write(json.dumps({"answers": answers, "lived_s": round(attack.lived_s, 2)}) + "\n")


if __name__ == "__main__":
    main()
