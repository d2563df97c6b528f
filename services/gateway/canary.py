"""The canary: a turn of EVA's own that proves the whole way to audible sound.

At start again and again until it succeeds, later only while nobody else's turn has proven it. One at a
time, in a session that nobody remembers; the answer is a fixed sentence, so it costs no provider anything.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from services.gateway.chat_protocol import AudioOut, ErrorEvent, Interrupted, Start, TurnDone
from services.gateway.hub import Hub
from services.gateway.outbox import Outbox
from services.gateway.watch import Watch
from shared.observe import Log

log = Log("eva.gateway")

DEADLINE_S = 10.0
LOOK_EVERY_S = 0.25
AGAIN_S = 1.0
START = Start(audio_out=AudioOut(format="pcm", rate_hz=16000))


class Canary:
    """Sings when it is time to."""

    def __init__(self, hub: Hub, watch: Watch, *, every_s: float, deadline_s: float = DEADLINE_S) -> None:
        self._hub, self._watch, self._every_s, self._deadline_s = hub, watch, every_s, deadline_s

    async def run(self) -> NoReturn:
        """Watches until cancelled."""
        while True:
            if self.is_due() and not await self.sing():
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(LOOK_EVERY_S)

    async def sing(self) -> bool:
        """Takes one turn; returns whether it ended well. Its end is reported by the session."""
        outbox = Outbox(_ignore)
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                self._hub.session(START, outbox, remember=False) as session,
            ):
                session.canary()
                while (item := await outbox.get()) is not None:
                    match item.event:
                        case TurnDone(has_audio=has_audio):
                            return has_audio
                        case Interrupted() | ErrorEvent(turn_id=str()):
                            return False
                        case _:
                            pass
        except TimeoutError:
            self._watch.canary_failed("the self-test did not end")
        return False

    def is_due(self) -> bool:
        """Whether nobody else has proven lately that EVA is audible, and a turn could."""
        if not (self._watch.is_broker_up and self._watch.is_up("llm") and self._watch.is_up("tts")):
            return False  # what is missing is known already
        return not self._watch.was_audible or self._watch.idle_s >= self._every_s


def _ignore(_code: str) -> None:
    """The canary's errors are told to nobody."""
