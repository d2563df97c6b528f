"""What becomes of one session's utterances: drafts, partials and finals.

Transcribing begins in the pause, 200 ms after the last word, while the silence is still being confirmed;
if nothing follows, that draft is the final and the person waits for the model 300 ms less. If speech goes
on, the draft serves as a partial. Finals are told in the order of their utterances and are insisted on
when the broker is away for a moment; everything else is worth telling now or never.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from services.stt.chain import Heard
from services.stt.desk import Desk
from services.stt.endpoint import Ended
from services.stt.engine import RATE_HZ, Pcm, UnsupportedLanguage, short_language
from shared.bus import Bus
from shared.errors import BusDown, EngineFailed
from shared.messages import EarsFailed, Final, Message, Partial

PARTIAL_EVERY_S = 0.7
SURE_LANGUAGE = 0.8
"""A language detected with this probability is kept for what follows."""
INSIST_TIMES, INSIST_EVERY_S = 50, 0.1

Attempt = Heard | EngineFailed | UnsupportedLanguage


@dataclass(kw_only=True)
class Counts:
    """What a worker counts over all its sessions."""

    done: int = 0
    failed: int = 0
    succeeded_at: float | None = None
    """The loop's time of the last final."""
    frames_dropped: int = 0
    frames_lost: int = 0
    frames_unusable: int = 0


class Teller:
    """Publishes one session's events."""

    def __init__(self, bus: Bus, subject: str) -> None:
        self._bus, self._subject = bus, subject

    async def say(self, message: Message) -> bool:
        """Tells now or never; False: never."""
        try:
            await self._bus.publish(self._subject, message)
        except BusDown:
            return False
        return True

    async def insist(self, message: Message) -> None:
        """Tells what must not get lost; gives up when the gateway has certainly gone elsewhere."""
        for _ in range(INSIST_TIMES):
            if await self.say(message):
                return
            await asyncio.sleep(INSIST_EVERY_S)


@dataclass(kw_only=True)
class _Utterance:
    number: int
    needed_seq: int
    told_at: float
    """The loop's time of the last partial."""
    told_samples: int = 0
    draft: asyncio.Task[Attempt] | None = None


class Scribe:
    """Transcribes one session's utterances; ``run`` tells the finals."""

    def __init__(self, lease: int, language: str | None, desk: Desk, teller: Teller, counts: Counts) -> None:
        self._lease = lease
        self._language = short_language(language)
        self._likely = ""
        self._desk, self._teller, self._counts = desk, teller, counts
        self._ended: asyncio.Queue[tuple[_Utterance, Ended, Pcm]] = asyncio.Queue()
        self._waiting: deque[_Utterance] = deque()
        """Utterances whose final has not been told yet, oldest first."""
        self._current: _Utterance | None = None
        self._tasks: asyncio.TaskGroup
        self._utterances = 0

    @property
    def is_idle(self) -> bool:
        """Whether no utterance is in flight or waits for its final."""
        return not self._waiting

    def needed_seq(self, by_ears: int) -> int:
        """Returns the first frame that another worker would need."""
        return min([by_ears, *(utterance.needed_seq for utterance in self._waiting)])

    def begin(self, needed_seq: int) -> int:
        """Opens an utterance; returns its number."""
        self._utterances += 1
        now = asyncio.get_running_loop().time()
        self._current = _Utterance(number=self._utterances, needed_seq=needed_seq, told_at=now)
        self._waiting.append(self._current)
        return self._utterances

    def skip(self) -> int:
        """Returns a number for an utterance in which nothing was said."""
        self._utterances += 1
        return self._utterances

    def pause(self, pcm: Pcm) -> None:
        """Starts the draft."""
        assert self._current is not None
        self._current.draft = self._spawn(self._attempt(pcm))

    def resume(self) -> None:
        """Speech goes on: what the draft says is a partial now."""
        assert self._current is not None
        draft, self._current.draft = self._current.draft, None
        if draft is not None:
            self._spawn(self._tell_partial(self._current, draft))

    def consider_partial(self, spoken: Callable[[], Pcm]) -> None:
        """Starts a partial when one is due and nobody is held up by it."""
        current, now = self._current, asyncio.get_running_loop().time()
        if current is None or current.draft is not None or now - current.told_at < PARTIAL_EVERY_S:
            return
        current.told_at = now
        pcm = spoken()
        has_news = len(pcm) - current.told_samples >= PARTIAL_EVERY_S * RATE_HZ / 2
        if has_news and self._desk.has_room_for_partial(len(pcm)):
            current.told_samples = len(pcm)
            self._spawn(self._tell_partial(current, self._spawn(self._attempt(pcm))))

    def end(self, ended: Ended, pcm: Pcm) -> None:
        """Closes the utterance in flight; its final follows those before it."""
        assert self._current is not None
        self._ended.put_nowait((self._current, ended, pcm))
        self._current = None

    async def settle(self) -> None:
        """Waits until the finals of all utterances that are over have been told."""
        await self._ended.join()

    async def run(self, needed_by_ears: Callable[[], int]) -> None:
        """Tells finals, in order, until cancelled; drafts and partials end with it."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            while True:
                utterance, ended, pcm = await self._ended.get()
                decided_at = asyncio.get_running_loop().time()
                outcome = await (utterance.draft or self._attempt(pcm))
                self._waiting.popleft()
                if isinstance(outcome, Heard):
                    needed_seq = self.needed_seq(needed_by_ears())
                    message: Message = self._final(utterance, ended, outcome, decided_at, needed_seq)
                else:
                    self._counts.failed += 1
                    number, code, text = utterance.number, outcome.code, str(outcome)
                    message = EarsFailed(lease=self._lease, utterance=number, code=code, message=text)
                await self._teller.insist(message)
                self._ended.task_done()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self._tasks.create_task(work, name="stt-scribe")

    async def _attempt(self, pcm: Pcm) -> Attempt:
        try:
            return await self._desk.transcribe(pcm, self._language, self._likely)
        except (EngineFailed, UnsupportedLanguage) as error:
            return error

    async def _tell_partial(self, utterance: _Utterance, attempt: asyncio.Task[Attempt]) -> None:
        outcome = await attempt
        if isinstance(outcome, Heard) and outcome.transcript.text and utterance is self._current:
            text = outcome.transcript.text
            await self._teller.say(Partial(lease=self._lease, utterance=utterance.number, text=text))

    def _final(
        self, utterance: _Utterance, ended: Ended, heard: Heard, decided_at: float, needed_seq: int
    ) -> Final:
        transcript, info = heard.transcript, heard.info
        now = asyncio.get_running_loop().time()
        self._counts.done += 1
        self._counts.succeeded_at = now
        if transcript.text and transcript.language_probability >= SURE_LANGUAGE:
            self._likely = transcript.language
        return Final(
            lease=self._lease,
            utterance=utterance.number,
            text=transcript.text,
            language=transcript.language,
            start_ms=ended.start * 1000 // RATE_HZ,
            end_ms=ended.end * 1000 // RATE_HZ,
            endpoint_ms=ended.waited * 1000 / RATE_HZ,
            transcribe_ms=1000 * (now - decided_at),
            needed_seq=needed_seq,
            engine=info.name,
            device=info.device,
            model=info.model,
        )
