"""Callers for ``benchmarks.edge``, in a process of its own: sound both ways, 20 ms a frame, on bare sockets.

    python -m benchmarks.edge_load chat|realtime|protobuf|raw PORT

Reads orders, one JSON object a line, and answers each with one: ``{"sessions": 40, "settle_s": 1.5,
"measure_s": 3.0, "probes": 0, "pid": 123}``. So many sessions are opened; once all are ready all begin to
speak. Each frame carries the moment at which it was sent; the far end sends the sound back, and the moment
says how long that took. A client library would cost more than the gateway: frames are made and read by hand
here (RFC 6455; the mask is zero, which a server has to undo like any other), in one loop around epoll, and
what that loop itself is late by is told, too.
"""

from __future__ import annotations

import json
import os
import random
import select
import socket
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.edge_talk import FRAME_S, TALKS, Talk
from eva.bench_frames import CLOSE, PING, PONG, TEXT, framed, unframed

OPENED_S = 40.0
"""Sessions that are opened in a second."""
OPEN_WITHIN_S = 20.0
GRAIN_S = 0.001
"""How often it is looked whose frame is due: with each look all are asked."""
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass
class Took:
    """What was measured, milliseconds."""

    trips: list[float] = field(default_factory=list)
    """From the sending of a frame to its return."""
    opens: list[float] = field(default_factory=list)
    """From the first packet to the opened WebSocket."""
    readies: list[float] = field(default_factory=list)
    """From the first packet until the session can be spoken to."""
    lates: list[float] = field(default_factory=list)
    """How much later than planned frames were sent: what this process is at fault for."""
    sent: int = 0
    lost: int = 0
    """Frames that could not be sent, and sessions that ended."""


class Caller:
    """One session."""

    def __init__(self, talk: Talk, port: int, took: Took) -> None:
        self.talk, self.took = talk, took
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = time.perf_counter()
        self.socket.connect_ex(("127.0.0.1", port))
        self.due = 0.0
        """When the next frame is to be sent."""
        self.is_ready = self.is_over = False
        self._steps = list(talk.steps)
        self._out = HANDSHAKE.format(path=talk.path, port=port).encode()
        self._in = b""
        self._is_open = False

    @property
    def has_unsent(self) -> bool:
        """Whether the kernel did not take all."""
        return bool(self._out)

    def write(self, data: bytes = b"") -> None:
        """Sends as much as the kernel takes."""
        self._out += data
        try:
            self._out = self._out[self.socket.send(self._out) :]
        except BlockingIOError:
            pass
        except OSError:
            self.is_over = True

    def speak(self, now: float) -> None:
        """Sends the frame that is due."""
        self.took.sent += 1
        self.took.lates.append(1000 * (now - self.due))
        self.due += FRAME_S
        if self._out or self.is_over:
            self.took.lost += 1
        else:
            self.write(framed(self.talk.opcode, self.talk.say(time.perf_counter_ns())))

    def read(self) -> None:
        """Takes in what has come."""
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.is_over = True
            return
        self._in += data
        if not self._is_open:
            head, found, rest = self._in.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head:
                self.is_over = True
                return
            self._is_open, self._in = True, rest
            self.took.opens.append(1000 * (time.perf_counter() - self.began))
            self._step(b"")
        frames, self._in = unframed(self._in)
        for opcode, payload in frames:
            self._take(opcode, payload)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.write(framed(PONG, payload))
        elif opcode == CLOSE or b'"type":"error"' in payload:
            sys.stderr.write(f"{self.talk.path}: {payload[:300]!r}\n")
            self.is_over = True
        elif not self.is_ready:
            self._step(payload)
        elif (sent_ns := self.talk.heard(payload)) is not None:
            self.took.trips.append((time.perf_counter_ns() - sent_ns) / 1e6)

    def _step(self, payload: bytes) -> None:
        """Goes on with what is said before the first frame, once the server has said what it waits for."""
        while self._steps and self._steps[0].after in payload:
            for line in self._steps.pop(0).say:
                self.write(framed(TEXT, line.encode()))
            payload = b"\0" if self._steps and self._steps[0].after else b""
        if not self._steps and not self.is_ready:
            self.is_ready = True
            self.took.readies.append(1000 * (time.perf_counter() - self.began))


@dataclass(frozen=True)
class Order:
    """What is to be measured."""

    sessions: int
    settle_s: float
    measure_s: float
    probes: int
    """Sessions that are opened meanwhile, one after the other, and say nothing."""
    pid: int
    """The server's."""


class Load:
    """All sessions."""

    def __init__(self, talk: Talk, port: int) -> None:
        self._talk, self._port = talk, port
        self._poll = select.epoll()
        self._callers: dict[int, Caller] = {}
        self._took = Took()
        self._dice = random.Random(0)
        self._speak_at = 0.0

    def measure(self, order: Order) -> dict[str, float]:
        """Has so many sessions speak; returns what came of it."""
        self._took = Took()
        self._open(order.sessions)
        self._begin()
        self._until(time.perf_counter() + order.settle_s)
        took = self._took = self._fresh()
        began, began_cpu, server_cpu = time.perf_counter(), time.process_time(), cpu_s(order.pid)
        for number in range(order.probes):
            self._probe()
            self._until(began + (number + 1) * order.measure_s / order.probes)
        self._until(began + order.measure_s)
        seconds = time.perf_counter() - began
        return {
            "busy": (time.process_time() - began_cpu) / seconds,
            "cpu": (cpu_s(order.pid) - server_cpu) / seconds,
            "memory": resident_kib(order.pid),
            "open": sum(not each.is_over for each in self._callers.values()),
            **figures(took),
        }

    def hang_up(self) -> None:
        """Ends all sessions."""
        for caller in self._callers.values():
            caller.write(framed(CLOSE, b"\x03\xe8"))
            self._poll.unregister(caller.socket)
            caller.socket.close()
        self._callers.clear()

    def _fresh(self) -> Took:
        took = Took()
        for caller in self._callers.values():
            caller.took = took
        return took

    def _call(self) -> Caller:
        caller = Caller(self._talk, self._port, self._took)
        self._callers[caller.socket.fileno()] = caller
        self._poll.register(caller.socket, select.EPOLLIN | select.EPOLLOUT)
        return caller

    def _open(self, sessions: int) -> None:
        began = time.perf_counter()
        for number in range(sessions):
            self._call()
            self._until(began + number / OPENED_S)
        self._until(
            time.perf_counter() + OPEN_WITHIN_S,
            or_when=lambda: all(each.is_ready or each.is_over for each in self._callers.values()),
        )

    def _begin(self) -> None:
        now = time.perf_counter()
        for caller in self._callers.values():
            caller.due = now + FRAME_S * (1 + self._dice.random())

    def _probe(self) -> None:
        """Opens a session that says nothing, and ends it when it is ready."""
        caller = self._call()
        self._until(time.perf_counter() + OPEN_WITHIN_S, or_when=lambda: caller.is_ready or caller.is_over)
        caller.write(framed(CLOSE, b"\x03\xe8"))
        self._poll.unregister(caller.socket)
        del self._callers[caller.socket.fileno()]
        caller.socket.close()

    def _until(self, when: float, *, or_when: Callable[[], bool] = lambda: False) -> None:
        """Sends and takes in what is due until then."""
        while (now := time.perf_counter()) < when and not or_when():
            if now >= self._speak_at:
                self._speak_at = now + GRAIN_S
                for caller in self._callers.values():
                    while caller.due and caller.due <= now and not caller.is_over:
                        caller.speak(now)
            self._take_in(self._poll.poll(max(0.0, self._speak_at - time.perf_counter())))

    def _take_in(self, events: Iterable[tuple[int, int]]) -> None:
        for number, what in events:
            caller = self._callers[number]
            if what & select.EPOLLOUT:
                caller.write()
                if not caller.has_unsent:
                    self._poll.modify(number, select.EPOLLIN)
            if what & ~select.EPOLLOUT:
                caller.read()
            if caller.has_unsent:
                self._poll.modify(number, select.EPOLLIN | select.EPOLLOUT)
            if caller.is_over:
                self._poll.modify(number, 0)


def cpu_s(pid: int) -> float:
    """Returns the processor time that a process has used, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> float:
    """Returns the resident memory of a process, KiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def figures(took: Took) -> dict[str, float]:
    """Returns what was measured as figures: percentiles in ms, counts."""
    told: dict[str, float] = {"sent": took.sent, "lost": took.lost, "heard": len(took.trips)}
    for name in ("trips", "opens", "readies", "lates"):
        values = sorted(getattr(took, name))
        for share in (50, 99):
            rank = min(len(values) - 1, share * len(values) // 100)
            told[f"{name}_p{share}"] = values[rank] if values else float("inf")
    return told


def main() -> None:
    """Does what it is told to, line by line."""
    load = Load(TALKS[sys.argv[1]], int(sys.argv[2]))
    for line in sys.stdin:
        told = load.measure(Order(**json.loads(line)))
        load.hang_up()
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
