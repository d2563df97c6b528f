"""An STT worker on any bus that hears what a test tells it to, and keeps the frames that it was sent."""

from __future__ import annotations

import asyncio

from shared import subjects
from shared.bus import Bus, Subscription
from shared.messages import (
    AnyMessage,
    EarsAlive,
    EarsClaimed,
    EndUtterance,
    Final,
    Message,
    MicFrame,
    OpenEars,
    SpeechStarted,
)


class FakeEars:
    """Listens to one session at a time."""

    def __init__(self, bus: Bus, worker: str) -> None:
        self.worker = worker
        self.opened: OpenEars | None = None
        self.frames: list[MicFrame] = []
        self.got: list[AnyMessage] = []
        self.heard = asyncio.Event()
        self.claimed = asyncio.Event()
        self._bus = bus
        self._open: Subscription | None = None
        self._replies: list[Message] = []

    async def start(self) -> None:
        """Is there to be claimed."""
        self._open = await self._bus.serve(subjects.STT_OPEN, self._claim, queue=subjects.STT_QUEUE)
        await self._bus.subscribe(f"eva.v1.mic.{self.worker}.>", self._hear)

    async def beat(self, *, needed_seq: int = 0) -> None:
        """Says that it is alive."""
        assert self.opened is not None
        seen = self.frames[-1].seq + 1 if self.frames else 0
        await self.say(
            EarsAlive(lease=self.opened.lease, worker=self.worker, next_seq=seen, needed_seq=needed_seq)
        )

    async def hears(self, text: str, *, end_ms: int = 0, needed_seq: int = 0) -> None:
        """Reports a whole utterance."""
        assert self.opened is not None
        lease = self.opened.lease
        await self.say(SpeechStarted(lease=lease, utterance=1, at_ms=0))
        await self.say(
            Final(
                lease=lease, utterance=1, text=text, language="en", end_ms=end_ms, endpoint_ms=100.0,
                needed_seq=needed_seq, engine="fake", device="cpu", model="m",
            )
        )  # fmt: skip

    async def say(self, message: Message) -> None:
        """Sends an event to the session's gateway."""
        assert self.opened is not None
        await self._bus.publish(subjects.event(self.opened.gw, self.opened.sid, "stt"), message)

    async def frames_up_to(self, seq: int) -> None:
        """Waits until the frame has come."""
        while not self.frames or self.frames[-1].seq < seq:
            self.heard.clear()
            await asyncio.wait_for(self.heard.wait(), 60)

    def _claim(self, message: AnyMessage) -> Message:
        assert isinstance(message, OpenEars)
        self.opened = message
        self.claimed.set()
        return EarsClaimed(worker=self.worker, engine="fake", device="cpu", is_degraded=True)

    def _hear(self, _subject: str, message: AnyMessage) -> None:
        self.got.append(message)
        if isinstance(message, MicFrame):
            self.frames.append(message)
        self.heard.set()

    @property
    def ends(self) -> int:
        """How often the client said that its utterance was over."""
        return sum(isinstance(message, EndUtterance) for message in self.got)
