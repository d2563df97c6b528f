"""A worker that does nothing, as a process of its own: ``python -m tests.fakes.lives``.

``EVA_TEST_MODE`` says how it goes: ``works``, ``refuses``, ``holds`` (has work in hand when it is to stop).
"""

from __future__ import annotations

import asyncio
import os
import sys

from shared.bus import Bus
from shared.bus.nats import NatsBus, connect
from shared.errors import EngineRefused
from shared.instruments import Instruments
from shared.messages import Facts, Stage, State
from shared.service import run
from shared.settings import CommonSettings


class IdleWorker:
    """Counts what happens to it."""

    stage: Stage = "llm"

    def __init__(self, mode: str = "works") -> None:
        self.mode = mode
        self.instruments = Instruments()
        self.state: State = "starting"
        self.did: list[str] = []
        self._drained = asyncio.Event()
        self.may_warm_up = asyncio.Event()
        if mode != "slow":
            self.may_warm_up.set()

    async def warm_up(self) -> None:
        self.did.append("warm-up")
        await self.may_warm_up.wait()
        if self.mode == "refuses":
            raise EngineRefused("voice", "voice.onnx is broken", hint="eva models pull")
        self.state = "ready"

    async def serve(self, bus: Bus) -> None:
        self.did.append("serve")
        await self._drained.wait()
        if self.mode == "holds":
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.did.append("gave back")
                raise
        self.did.append("served")

    def drain(self) -> None:
        self.did.append("drain")
        self.state = "draining"
        self._drained.set()

    def facts(self) -> Facts:
        return Facts(stage=self.stage, worker="W", state=self.state, pid=os.getpid())


async def connected(settings: CommonSettings) -> NatsBus:
    return await connect(
        settings.nats_url,
        name="lives",
        user=settings.nats_user,
        password=settings.nats_password.get_secret_value(),
    )


if __name__ == "__main__":
    if os.environ.get("EVA_TEST_MODE") == "parent":
        import subprocess

        child = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.lives"], env={**os.environ, "EVA_TEST_MODE": ""}
        )
        sys.stdout.write(f"{child.pid}\n")
        sys.stdout.flush()
        child.wait()
    else:
        run(
            CommonSettings.read,
            lambda _settings: IdleWorker(os.environ.get("EVA_TEST_MODE") or "works"),
            connected,
        )
