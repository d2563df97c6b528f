"""A session's listening side: which ears it has now, and what they heard as inputs of the turn machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from services.gateway import phrases
from services.gateway.chat_protocol import (
    MAX_FRAME_BYTES,
    AudioIn,
    EngineReport,
    ErrorEvent,
    PartialEvent,
    Start,
)
from services.gateway.discards import Discards
from services.gateway.ears import Ears, EarsEvent, EarsWanted, Heard, NoEars
from services.gateway.loudspeaker import Sink
from services.gateway.surroundings import Surroundings
from services.gateway.turn_io import (
    Ask,
    Discarded,
    HeardNothing,
    Input,
    Likely,
    Onset,
    Say,
    Spoken,
    Understood,
    UtteranceKey,
    WentOn,
    Wish,
)
from shared.errors import BadInput, EvaError
from shared.messages import (
    EarsAlive,
    EarsClaimed,
    EarsFailed,
    Final,
    Partial,
    SpeechProgress,
    SpeechResumed,
    SpeechStarted,
    TurnLikely,
)

DEFAULT_AUDIO_IN = AudioIn()
AGAIN_MS = 1000
"""When somebody may be able to listen, where nothing better is known."""


class Listening:
    """Claims ears when they are wanted, and others when the settings change."""

    __slots__ = (
        "_around", "_before", "_discards", "_ears", "_feed", "_open", "_settings", "_sid", "_sink", "_wanted",
        "ready", "wish",
    )  # fmt: skip

    def __init__(self, around: Surroundings, sid: str, sink: Sink, feed: Callable[[Input], object]) -> None:
        self.ready: Callable[[], None] = lambda: None
        """Told when a worker begins to listen."""
        self.wish = Wish()
        """How what is said is to be answered."""
        self._around, self._sid = around, sid
        self._sink = sink
        self._feed = feed
        self._settings = Start()
        self._ears: Ears | None = None
        self._open: UtteranceKey | None = None
        """The newest utterance, until its final has come."""
        self._discards = Discards()
        self._before: Ears | None = None
        """The ears that were given back; others count on from them."""
        self._wanted: asyncio.Queue[Ears | None] = asyncio.Queue()

    @property
    def engine(self) -> str | None:
        """The engine that listens now."""
        claimed = self._ears.claimed if self._ears is not None else None
        return claimed.engine if claimed is not None else None

    def configure(self, start: Start) -> bool:
        """Takes the client's settings; True if ears are being claimed, so that ``ready`` will be told."""
        before, self._settings = self._settings, start
        is_alike = (before.audio_in, _wanted(before)) == (start.audio_in, _wanted(start))
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

    def release(self) -> None:
        """Nobody is there to be listened to: what was being said is over, and the ears are given back."""
        if self._ears is None:
            return
        self._end_open(self._ears)
        self._before, self._ears = self._ears, None
        self._wanted.put_nowait(None)

    def end_utterance(self) -> None:
        """The client says that the utterance is over."""
        if self._ears is not None:
            self._discards.end_at(self._ears.heard_ms)
            self._ears.end_utterance()

    def discard(self) -> None:
        """Throws away what was heard since the last end of an utterance."""
        ears = self._ears
        if ears is None or self._discards.is_empty(ears.heard_ms):
            return
        for key in self._discards.discard(ears.heard_ms):
            self._feed(Discarded(utterance=key))
            self._open = None if key == self._open else self._open
        ears.end_utterance(is_discarded=True)

    def deliver(self, event: EarsEvent) -> None:
        """Takes an event of a worker; those of another lease are ignored."""
        ears = self._ears
        if ears is None or not ears.is_current(event) or isinstance(event, EarsAlive):
            return  # that it is alive concerns nobody else
        if self._is_discarded(event, ears):
            return
        match event:
            case SpeechStarted(at_ms=at_ms):
                self._open = _key(event)
                began_at = ears.arrived_at(at_ms)
                at_ms = ears.session_ms(at_ms)
                self._feed(Onset(at_ms=at_ms, utterance=_key(event), began_at=began_at))
            case SpeechProgress(speech_ms=speech_ms, silence_ms=silence_ms):
                self._feed(Spoken(utterance=_key(event), speech_ms=speech_ms, silence_ms=silence_ms))
            case Partial(text=text, stable=stable):
                if text:
                    self._sink.emit(PartialEvent(text=text, stable=stable))
                self._feed(Understood(utterance=_key(event), text=text))
            case TurnLikely():
                self._feed(Likely(ask=self._asked(event, ears)))
            case SpeechResumed():
                self._feed(WentOn(utterance=_key(event)))
            case Final():
                self._final(event, ears)
            case EarsFailed(utterance=utterance) if utterance:
                self._failed(event, ears)
            case _:
                pass

    def _is_discarded(self, event: Heard, ears: Ears) -> bool:
        """Whether it tells of an utterance that the client has thrown away."""
        if not event.utterance:
            return False
        key = _key(event)
        if not _is_empty(event):
            began_ms = event.at_ms if isinstance(event, SpeechStarted) else 0
            self._discards.begin(key, ears.session_ms(began_ms))
        is_discarded = self._discards.covers(key)
        if isinstance(event, Final | EarsFailed):
            self._discards.over(key)
            if isinstance(event, Final) and is_discarded:
                ears.spoke_until(event)  # lets go of its frames
        return is_discarded

    async def run(self) -> None:
        """Keeps the ears claimed and fed, until cancelled; their slot is freed then."""
        ears: Ears | None = None
        running: asyncio.Task[None] | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    before, ears = ears, await self._wanted.get()
                    if running is not None:
                        running.cancel()
                    if ears is not None:
                        running = tasks.create_task(ears.run(), name=f"ears {self._sid}")
                    elif before is not None:
                        await _close(before)
        finally:
            if ears is not None:
                await _close(ears)

    def _listen(self, audio_in: AudioIn) -> Ears:
        wanted = replace(_wanted(self._settings), rate_hz=audio_in.rate_hz)
        before = self._ears or self._before
        self._end_open(before)
        self._ears = Ears(self._around, self._sid, wanted, self._changed, after=before)
        self._wanted.put_nowait(self._ears)
        return self._ears

    def _end_open(self, leaving: Ears | None) -> None:
        """The ears that leave will not bring an utterance to its end."""
        if self._open is not None:
            end_ms = leaving.heard_ms if leaving is not None else 0
            self._over(HeardNothing(utterance=self._open, is_failure=True, end_ms=end_ms))

    def _changed(self, now: EarsClaimed | EvaError) -> None:
        if isinstance(now, EvaError):
            why = now.reason if isinstance(now, NoEars) else "nobody can listen right now"
            message = f"{why}; what is said is kept until somebody can"
            retry_after_ms = now.retry_after_ms if isinstance(now, NoEars) else AGAIN_MS
            self._sink.emit(ErrorEvent(code="no_ears", message=message, retry_after_ms=retry_after_ms))
        else:
            self.ready()

    def _final(self, final: Final, ears: Ears) -> None:
        spoke_until = ears.spoke_until(final)
        if not final.text.strip():
            end_ms = ears.heard_ms if _is_empty(final) else ears.session_ms(final.end_ms)
            self._over(HeardNothing(utterance=_key(final), end_ms=end_ms))
            return
        is_degraded = ears.claimed is not None and ears.claimed.is_degraded
        report = EngineReport(
            engine=final.engine, model=final.model, device=final.device, is_degraded=is_degraded
        )
        asked = self._asked(final, ears)
        self._over(
            replace(
                asked,
                spoke_until=spoke_until,
                start_ms=ears.session_ms(final.start_ms),
                endpoint_ms=final.endpoint_ms,
                ears=report,
                is_deliberate=final.ended_by == "manual",
            )
        )

    def _over(self, event: Ask | HeardNothing) -> None:
        """Tells the end of an utterance."""
        if self._open is not None and event.utterance >= self._open:
            self._open = None
        self._feed(event)

    def _asked(self, heard: Final | TurnLikely, ears: Ears) -> Ask:
        return Ask(
            text=heard.text.strip(),
            wants_audio=self._settings.audio_out is not None,
            language=heard.language or self._settings.language,
            voice=self._settings.voice,
            is_spoken=True,
            utterance=_key(heard),
            end_ms=ears.session_ms(heard.end_ms),
            wish=self.wish,
        )

    def _failed(self, failed: EarsFailed, ears: Ears) -> None:
        """Says that the utterance was not understood: as an event, and aloud where EVA answers."""
        language = self._settings.language
        is_foreign = failed.code == "unsupported_language"
        text = phrases.unsupported_language(language) if is_foreign else phrases.misheard(language)
        aloud = Say(text=text, language=language, voice=self._settings.voice)
        self._over(  # each onset has one final
            HeardNothing(
                utterance=_key(failed),
                is_failure=True,
                end_ms=ears.heard_ms,
                code=failed.code,
                message=failed.message,
                say=aloud if self._settings.turn_taking.answers else None,
            )
        )


async def _close(ears: Ears) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):  # `wait_for` would forget a cancellation that comes with its end
            await ears.close()


def _wanted(start: Start) -> EarsWanted:
    """Returns what the ears must know of a client's settings, at the usual rate."""
    turns = start.turn_taking
    return EarsWanted(
        rate_hz=DEFAULT_AUDIO_IN.rate_hz,
        language=start.language,
        end_silence_ms=start.end_silence_ms,
        turn_detection=turns.mode,
        min_silence_ms=turns.min_silence_ms,
        max_silence_ms=turns.max_silence_ms,
        onset=turns.threshold,
    )


def _is_empty(event: Heard) -> bool:
    """Whether it answers an end that nothing was said before."""
    return isinstance(event, Final) and not (event.text or event.end_ms)


def _key(event: Heard) -> UtteranceKey:
    return event.lease, event.utterance
