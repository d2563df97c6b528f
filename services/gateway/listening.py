"""A session's listening side: which ears it has now, and what they heard as inputs of the turn machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from services.gateway import phrases
from services.gateway.chat_protocol import (
    MAX_FRAME_BYTES,
    AudioIn,
    EngineReport,
    ErrorEvent,
    PartialEvent,
    Start,
)
from services.gateway.ears import Ears, EarsEvent, EarsWanted
from services.gateway.loudspeaker import Sink
from services.gateway.surroundings import Surroundings
from services.gateway.turn_io import Ask, HeardNothing, Input, Say
from shared.errors import BadInput, EvaError
from shared.messages import EarsClaimed, EarsFailed, Final, Partial, SpeechStarted

DEFAULT_AUDIO_IN = AudioIn()


class Listening:
    """Claims ears when they are wanted, and others when the settings change."""

    def __init__(self, around: Surroundings, sid: str, sink: Sink, feed: Callable[[Input], object]) -> None:
        self.ready: Callable[[], None] = lambda: None
        """Told when a worker begins to listen."""
        self._around, self._sid = around, sid
        self._sink = sink
        self._feed = feed
        self._settings = Start()
        self._ears: Ears | None = None
        self._wanted: asyncio.Queue[Ears] = asyncio.Queue()

    @property
    def engine(self) -> str | None:
        """The engine that listens now."""
        claimed = self._ears.claimed if self._ears is not None else None
        return claimed.engine if claimed is not None else None

    def configure(self, start: Start) -> bool:
        """Takes the client's settings; True if ears are being claimed, so that ``ready`` will be told."""
        before, self._settings = self._settings, start
        is_alike = (before.audio_in, before.language, before.end_silence_ms) == (
            start.audio_in,
            start.language,
            start.end_silence_ms,
        )
        if start.audio_in is None or (self._ears is not None and is_alike):
            return False
        self._listen(start.audio_in)
        return True

    def hear(self, pcm: bytes) -> None:
        """Takes one microphone frame.

        Raises:
            BadInput: it is empty, has half a sample, or is too long.
        """
        if not pcm or len(pcm) % 2:
            raise BadInput(f"a frame is 16-bit samples, this one has {len(pcm)} bytes", param="audio")
        if len(pcm) > MAX_FRAME_BYTES:
            raise BadInput(
                f"a frame may have {MAX_FRAME_BYTES} bytes, this one has {len(pcm)}", param="audio"
            )
        ears = self._ears or self._listen(DEFAULT_AUDIO_IN)
        ears.hear(pcm)

    def end_utterance(self) -> None:
        """The client says that the utterance is over."""
        if self._ears is not None:
            self._ears.end_utterance()

    def deliver(self, event: EarsEvent) -> None:
        """Takes an event of a worker; those of another lease are ignored."""
        ears = self._ears
        if ears is None or not ears.is_current(event):
            return
        match event:
            case SpeechStarted():
                self._feed(event)
            case Partial(text=text):
                self._sink.emit(PartialEvent(text=text))
            case Final():
                self._final(event, ears)
            case EarsFailed(utterance=utterance) if utterance:
                self._failed(event)
            case _:
                pass

    async def run(self) -> None:
        """Keeps the ears claimed and fed, until cancelled; their slot is freed then."""
        ears: Ears | None = None
        running: asyncio.Task[None] | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    ears = await self._wanted.get()
                    if running is not None:
                        running.cancel()
                    running = tasks.create_task(ears.run(), name=f"ears {self._sid}")
        finally:
            if ears is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ears.close(), 1.0)

    def _listen(self, audio_in: AudioIn) -> Ears:
        wanted = EarsWanted(
            rate_hz=audio_in.rate_hz,
            language=self._settings.language,
            end_silence_ms=self._settings.end_silence_ms,
        )
        lease = self._ears.lease if self._ears is not None else 0
        self._ears = Ears(self._around, self._sid, wanted, self._changed, lease=lease)
        self._wanted.put_nowait(self._ears)
        return self._ears

    def _changed(self, now: EarsClaimed | EvaError) -> None:
        if isinstance(now, EvaError):
            message = "nobody can listen right now; what is said is kept until somebody can"
            self._sink.emit(ErrorEvent(code="no_ears", message=message, retry_after_ms=1000))
        else:
            self.ready()

    def _final(self, final: Final, ears: Ears) -> None:
        spoke_until = ears.spoke_until(final)
        if not final.text.strip():
            self._feed(HeardNothing())
            return
        is_degraded = ears.claimed is not None and ears.claimed.is_degraded
        report = EngineReport(
            engine=final.engine, model=final.model, device=final.device, is_degraded=is_degraded
        )
        self._feed(
            Ask(
                text=final.text.strip(),
                wants_audio=self._settings.audio_out is not None,
                language=final.language or self._settings.language,
                voice=self._settings.voice,
                is_spoken=True,
                spoke_until=spoke_until,
                endpoint_ms=final.endpoint_ms,
                ears=report,
            )
        )

    def _failed(self, failed: EarsFailed) -> None:
        """Says that the utterance was not understood: as an event, and aloud."""
        language = self._settings.language
        is_foreign = failed.code == "unsupported_language"
        text = phrases.unsupported_language(language) if is_foreign else phrases.misheard(language)
        self._sink.emit(ErrorEvent(code=failed.code, message=failed.message))
        self._feed(HeardNothing())  # each speech_started is followed by one final
        self._feed(Say(text=text, language=language, voice=self._settings.voice))
