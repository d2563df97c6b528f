"""The text of one utterance as it comes: what is settled, what is being settled, and the piece still open.

Everything before ``border`` is transcribed once and never again; what lies behind it is the open piece, over
which drafts, partials and the final are made. Text before and behind never overlap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.stt.chain import Attempt, Heard
from services.stt.desk import Desk, Priority, Work
from services.stt.ears import Ears
from services.stt.engine import RATE_HZ, Clip, EngineInfo, Pcm, Transcript, UnsupportedLanguage, Word
from services.stt.language import Belief, Detected
from services.stt.settle import Settled, SettlePolicy, joined, policy_for
from services.stt.stream import Stream
from services.stt.teller import Counts, Teller
from shared.errors import EngineFailed
from shared.meter import UNMETERED, Meter, Outcome

T = TypeVar("T")

FEED = RATE_HZ // 5
"""Samples that are handed to a decoding at once."""


@dataclass(kw_only=True, eq=False)
class Session:
    """What belongs to one session and is shared by those who write down what is said in it."""

    lease: int
    ears: Ears
    desk: Desk
    teller: Teller
    counts: Counts
    meter: Meter = UNMETERED
    language: str | None = None
    """As the client or the operator wants it; None: to be detected."""
    belief: Belief = field(default_factory=Belief)
    learnt: str = ""
    """How the person sounds, as the engine that decodes while they speak has it."""
    tasks: asyncio.TaskGroup = field(init=False)
    """Owns everything that is begun for the session."""

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begins something that ends with the session at the latest.

        Raises ``RuntimeError`` where a defect is ending the session just now, while it still hears.
        """
        try:
            return self.tasks.create_task(work, name="stt-scribe")
        except RuntimeError:
            work.close()
            raise


@dataclass(kw_only=True, eq=False)
class Reading:
    """Some audio of the open piece on its way to becoming text."""

    start: int
    end: int
    """Where its audio ends."""
    pcm: Pcm
    speech: int
    """Voiced samples of the utterance up to there."""
    speech_s: float
    """Voiced audio of this piece."""
    priority: Priority
    has_words: bool = False
    stream: Stream | None = None
    """The decoding that has heard exactly this."""
    after: asyncio.Task[None] | None = None
    """What settles the audio before it."""
    work: Work | None = None
    spent_s: float = 0.0
    """Thread time that it took."""

    @property
    def is_taken(self) -> bool:
        """Whether a thread has begun with it."""
        return self.spent_s > 0 or (self.work is not None and self.work.is_taken)


@dataclass(kw_only=True, eq=False)
class Draft:
    """What was said up to a pause, as the final would have it."""

    pause: int
    reading: Reading
    task: asyncio.Task[Attempt] | None = None
    outcome: Attempt | None = None
    was_told: bool = False
    """As ``TurnLikely``."""


class Utterance:
    """One utterance of a session."""

    def __init__(self, session: Session, number: int, *, start: int, first_seq: int) -> None:
        self.number, self.start, self.first_seq = number, start, first_seq
        self.needed_seq = first_seq
        """The first frame that another worker would need …"""
        self.settled_there = 0
        """… who knows so many characters."""
        self.settled = Settled(position=start)
        self.border = start
        """Where the open piece begins."""
        self.settling: asyncio.Task[None] | None = None
        """The newest of those that settle what is before the border; each waits for the one before."""
        self.unsettled: list[Reading] = []
        """What they read."""
        self.failure: EngineFailed | UnsupportedLanguage | None = None
        """Why a piece of it has no text."""
        self.is_over = False
        self.draft: Draft | None = None
        self.partial: asyncio.Task[None] | None = None
        self.partial_reading: Reading | None = None
        self.heard_to = start
        """Up to where partials have been made, or shed."""
        self.words: tuple[Word, ...] = ()
        """Of the newest partial of the open piece."""
        self.language: str | None = None
        """Of what is settled; the rest is taken to be in it too."""
        self.detected: Detected | None = None
        """What the newest reading made of the language, where it had to find out."""
        self._session, self._ears, self._desk = session, session.ears, session.desk
        self._stream: Stream | None = None
        self._fed_to = start
        self._speech_before = 0
        """Voiced samples before the border, about."""

    @property
    def is_fed(self) -> bool:
        """Whether the open piece is being decoded while it is spoken."""
        return self._stream is not None and not self._stream.has_failed

    @property
    def policy(self) -> SettlePolicy:
        """When its pieces are settled."""
        return policy_for(self._desk.info, is_fed=self.is_fed)

    def open_piece(self, border: int) -> None:
        """The open piece begins here; an engine that can do so decodes it while it is spoken."""
        self.close_stream()
        self.border = self._fed_to = border
        self._speech_before = max(0, self._ears.speech - max(0, self._ears.position - border))
        self.words = ()
        language = self._session.language or self.language or self._session.belief.language
        self._stream = self._desk.begin(language or None, self._session.learnt)

    def close_stream(self) -> None:
        """The decoding, if there is one, is of no use any more."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def feed(self, end: int) -> None:
        """Hands the open piece's audio up to ``end`` to the decoding."""
        if self._stream is not None and end > self._fed_to:
            self._stream.feed(self._ears.audio(self._fed_to, end))
            self._fed_to = end

    def feed_some(self) -> None:
        """Hands on what has gathered."""
        if self._stream is not None and self._ears.position - self._fed_to >= FEED:
            self.feed(self._ears.position)

    def cost_s(self) -> float:
        """Returns how long reading the open piece is expected to take."""
        if self._stream is not None and self.is_fed:
            return self._stream.draft_s
        return self._desk.cost_s(self._ears.position - self.border)

    def reading(self, end: int, priority: Priority, *, has_words: bool = False) -> Reading:
        """Takes the open piece up to ``end``, to be read now or later."""
        self.feed(end)
        return Reading(
            start=self.border,
            end=end,
            pcm=self._ears.audio(self.border, end),
            speech=self._ears.speech,
            speech_s=max(0, self._ears.speech - self._speech_before) / RATE_HZ,
            priority=priority,
            has_words=has_words,
            stream=self._stream if self._fed_to == end else None,
            after=self.settling,
        )

    async def read(self, reading: Reading) -> Attempt:
        """Returns what is said in it, behind what is settled by then."""
        if reading.priority.can_wait:
            return await self._read(reading)
        began_s = asyncio.get_running_loop().time()
        ending: Outcome = "cancelled"
        try:
            attempt = await self._read(reading)
            ending = "completed" if isinstance(attempt, Heard) else "failed"
        finally:
            self._session.meter.ended(asyncio.get_running_loop().time() - began_s, ending)
        return attempt

    async def _read(self, reading: Reading) -> Attempt:
        if reading.after is not None:
            await asyncio.wait({reading.after})
        try:
            if not reading.speech:
                return Heard(transcript=Transcript(text=""), info=self._desk.info or NOBODY)
            heard = await self._by_stream(reading)
            return await self._in_its_language(reading, heard or await self._by_desk(reading))
        except (EngineFailed, UnsupportedLanguage) as error:
            return error

    async def _by_stream(self, reading: Reading) -> Heard | None:
        if reading.stream is None:
            return None
        heard = await reading.stream.draft()
        reading.spent_s += reading.stream.draft_s
        self._session.learnt = reading.stream.learnt or self._session.learnt
        return heard

    async def _by_desk(self, reading: Reading, language: str | None = None) -> Heard:
        belief = self._session.belief.language
        language = language or self._session.language or self.language
        if reading.priority.can_wait:
            language = language or belief or None
        clip = Clip(
            pcm=reading.pcm,
            language=language,
            likely=belief,
            prompt=self.settled.prompt,
            speech_s=reading.speech_s,
            has_words=reading.has_words,
        )
        reading.work = self._desk.submit(clip, reading.priority)
        heard = await reading.work.done
        reading.spent_s += reading.work.spent_s
        return heard

    async def _in_its_language(self, reading: Reading, heard: Heard) -> Heard:
        """Reads it once more where it seems to be in a language that there is no evidence for."""
        transcript, belief = heard.transcript, self._session.belief
        is_given = self._session.language or self.language or reading.priority.can_wait
        if is_given or len(heard.info.languages) == 1 or not transcript.text:
            return heard
        self.detected = Detected(
            language=transcript.language,
            probability=transcript.language_probability,
            speech_s=reading.speech / RATE_HZ,
        )
        chosen = belief.choose(self.detected)
        return heard if chosen == transcript.language else await self._by_desk(reading, chosen)

    def promote(self, draft: Draft) -> None:
        """The end is decided: a draft that still waits goes first."""
        self._hurry(draft.reading, Priority.FINAL)

    def hurry(self, priority: Priority) -> None:
        """Something of this priority stands behind what is being settled, which must not wait longer."""
        for reading in self.unsettled:
            self._hurry(reading, priority)

    def _hurry(self, reading: Reading, priority: Priority) -> None:
        reading.priority = min(reading.priority, priority)
        if reading.work is not None:
            self._desk.promote(reading.work, priority)

    def text_with(self, text: str) -> str:
        """Returns what is settled and the text of the open piece in one."""
        return joined(self.settled.text, text)


NOBODY = EngineInfo(name="", model="", device="")
