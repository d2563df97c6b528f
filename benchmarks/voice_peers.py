"""Who is measured: EVA's voice, piper-tts itself, and wyoming-piper's server, all on the same file."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.voice_models import Model, now_ms
from eva.place import free_port
from services.tts.chain import Chain
from services.tts.lanes import Listener
from services.tts.segment import Orders, make
from shared.errors import EngineFailed
from shared.messages import AudioFormat, Synthesize

CHUNK_MS = 60
RATE_HZ = 22050
START_S = 60.0
ANSWER_S = 60.0


@dataclass(frozen=True)
class Said:
    """One sentence."""

    first_ms: float
    """From the text to the first audio that can be played."""
    whole_ms: float
    audio_s: float
    cpu_ms: float = 0.0
    """Processor time, where it is this process's own."""


Speaker = Callable[[str], Said]


def synthesize(text: str, *, segment: int = 0, turn: int = 1, sid: str = "s", **fields: Any) -> Synthesize:
    """Returns the order for a segment."""
    usual: dict[str, Any] = {"language": "en", "audio": AudioFormat(rate_hz=RATE_HZ), "remaining_ms": 60_000}
    return Synthesize(gw="g", sid=sid, turn=turn, attempt=1, segment=segment, text=text, **(usual | fields))


def eva(chain: Chain, **fields: Any) -> Speaker:
    """EVA: from the written text to encoded chunks, all of a segment's way but the bus.

    Saying raises ``EngineFailed`` where another voice than the first engine's spoke: that would be no figure.
    """

    def say(text: str) -> Said:
        begin, cpu = now_ms(), time.process_time()
        first, samples, rate_hz = 0.0, 0, RATE_HZ
        orders = Orders(chunk_ms=CHUNK_MS, listener=Listener(), asked=[])
        for made in make(chain, synthesize(text, **fields), orders):
            first = first or now_ms() - begin
            if made.engine is not chain.engines[0]:
                raise EngineFailed(chain.engines[0].name, f"{made.engine.name} spoke in its place")
            samples, rate_hz = samples + made.chunk.samples, made.chunk.rate_hz
        return Said(first, now_ms() - begin, samples / rate_hz, 1000 * (time.process_time() - cpu))

    return say


def piper_itself(model: Model) -> Speaker:
    """piper-tts, by its own ``synthesize``."""
    voice = model.piper()

    def say(text: str) -> Said:
        begin, cpu = now_ms(), time.process_time()
        first, audio_s = 0.0, 0.0
        for chunk in voice.synthesize(text):
            chunk.audio_int16_bytes  # noqa: B018 - what is played is made when it is asked for
            first = first or now_ms() - begin
            audio_s += len(chunk.audio_float_array) / chunk.sample_rate
        return Said(first, now_ms() - begin, audio_s, 1000 * (time.process_time() - cpu))

    return say


@contextlib.contextmanager
def wyoming(python: Path, model: Model) -> Iterator[Speaker]:
    """wyoming-piper's server as a process of its own, asked over its own protocol.

    Raises:
        OSError: it did not start, or left.
    """
    port = free_port("127.0.0.1", 0)
    command = [
        str(python), "-m", "wyoming_piper", "--voice", model.name, "--data-dir", str(model.path.parent),
        "--uri", f"tcp://127.0.0.1:{port}",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(model.threads)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            with _connected(port, process) as line:
                line.settimeout(ANSWER_S)
                file = line.makefile("rb")
                yield lambda text: _ask(line, file, text)
        finally:
            process.terminate()


def _connected(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.1)
    raise OSError("wyoming-piper did not start")


def _ask(line: socket.socket, file: Any, text: str) -> Said:
    begin = now_ms()
    line.sendall(json.dumps({"type": "synthesize", "data": {"text": text}}).encode() + b"\n")
    first, count, a_second = 0.0, 0, 1
    while True:
        kind, data, payload = read_event(file)
        if kind == "audio-chunk":
            first = first or now_ms() - begin
            count, a_second = count + len(payload), 2 * int(data["rate"])
        elif kind == "audio-stop":
            return Said(first, now_ms() - begin, count / a_second)
        elif kind == "error":
            raise OSError("wyoming-piper answered with an error")


def read_event(file: Any) -> tuple[str, dict[str, Any], bytes]:
    """Reads one event of the Wyoming protocol: a line of JSON, then as much data and payload as it says.

    Raises:
        OSError: the connection has ended.
    """
    head = file.readline()
    if not head:
        raise OSError("wyoming-piper left")
    event = json.loads(head)
    data = event.get("data") or {}
    if length := event.get("data_length"):
        data = json.loads(file.read(length))
    return str(event["type"]), data, file.read(event.get("payload_length") or 0)
