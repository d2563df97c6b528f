"""What becomes of one session's utterances: drafts in their pauses, and their finals.

Transcribing begins in the pause, 130 ms after the last word, while the silence is still being confirmed.
The draft's words say how much silence is waited for; if nothing follows, the draft is the final and nobody
waits for the model. If speech goes on, the draft is settled where the piece is long enough, so that the work
left at the end does not grow, or else serves as a partial. Finals are told in the order of their utterances.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from services.stt.captions import Captions
from services.stt.chain import Attempt, Heard
from services.stt.desk import Priority
from services.stt.endpoint import Cue, Ended, Paused
from services.stt.engine import RATE_HZ
from services.stt.settle import Settled
from services.stt.turn_sense import TurnSense
from services.stt.turn_text import completeness
from services.stt.utterance import Draft, Session, Utterance
from shared.messages import EarsFailed, Final, Message, SpeechResumed, TurnDetection, TurnLikely


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What another worker would need to hear the oldest utterance that is not over yet."""

    seq: int
    settled: int = 0
    is_midway: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class _Over:
    utterance: Utterance
    ended: Ended
    text: asyncio.Task[Attempt]
    was_ready: bool
    decided_at: float
    pace_ms: float


class Scribe:
    """Transcribes one session's utterances; ``run`` tells the finals."""

    def __init__(
        self, session: Session, *, detection: TurnDetection = "auto", sense: TurnSense | None = None
    ) -> None:
        self._session, self._ears, self._teller = session, session.ears, session.teller
        self._detection = detection
        self._sense = sense if detection == "auto" else None
        self._captions = Captions(session)
        self._over: asyncio.Queue[_Over] = asyncio.Queue()
        self._waiting: deque[Utterance] = deque()
        """Utterances whose final has not been told yet, oldest first."""
        self._current: Utterance | None = None
        self._utterances = 0

    @property
    def is_idle(self) -> bool:
        """Whether no utterance is in flight or waits for its final."""
        return not self._waiting

    @property
    def needed(self) -> Needed:
        """What another worker would need."""
        if not self._waiting:
            return Needed(seq=self._ears.needed_seq)
        oldest = self._waiting[0]
        is_midway = oldest.needed_seq != oldest.first_seq or oldest.settled_there > 0
        return Needed(seq=oldest.needed_seq, settled=oldest.settled_there, is_midway=is_midway)

    def begin(self, start: int, prefix: str = "") -> int:
        """Opens an utterance whose audio begins at ``start``, behind ``prefix``; returns its number."""
        self._utterances += 1
        seq = self._ears.seq_at(start)
        current = Utterance(self._session, self._utterances, start=start, first_seq=seq)
        current.settled, current.settled_there = Settled(text=prefix, position=start), len(prefix)
        current.open_piece(start)
        self._current = current
        self._waiting.append(current)
        return self._utterances

    def skip(self) -> int:
        """Returns a number for an utterance in which nothing was said."""
        self._utterances += 1
        return self._utterances

    def hear(self) -> None:
        """More of the utterance in flight is there."""
        if self._current is not None and self._current.draft is None:
            self._captions.consider(self._current)

    def pause(self, paused: Paused) -> None:
        """Starts the draft."""
        utterance = self._current
        assert utterance is not None
        self._session.counts.drafts += 1
        self._captions.pause(utterance)
        utterance.hurry(Priority.DRAFT)
        reading = utterance.reading(paused.audio_to, Priority.DRAFT)
        draft = utterance.draft = Draft(pause=paused.pause, reading=reading)
        draft.task = self._session.spawn(self._draft(utterance, draft))

    async def resume(self) -> None:
        """Speech goes on: what the draft says is settled or a partial now, or was for nothing."""
        utterance = self._current
        assert utterance is not None
        draft, utterance.draft = utterance.draft, None
        if draft is None:
            return
        if draft.was_told:
            await self._teller.say(SpeechResumed(lease=self._session.lease, utterance=utterance.number))
        if self._captions.settle_draft(utterance, draft):
            return
        if draft.outcome is not None:
            await self._captions.tell(utterance, draft.reading, draft.outcome)
        elif draft.task is not None and not draft.reading.is_taken:
            draft.task.cancel()

    def end(self, ended: Ended) -> None:
        """Closes the utterance in flight; its final follows those before it."""
        utterance, self._current = self._current, None
        assert utterance is not None
        utterance.is_over = True
        if utterance.partial is not None:
            utterance.partial.cancel()
        draft = utterance.draft
        utterance.hurry(Priority.FINAL)
        if draft is not None and draft.task is not None:
            utterance.promote(draft)
            text = draft.task
            self._session.counts.drafts_used += 1
        else:
            reading = utterance.reading(ended.audio_to, Priority.FINAL)
            text = self._session.spawn(utterance.read(reading))
        over = _Over(
            utterance=utterance,
            ended=ended,
            text=text,
            was_ready=draft is not None and draft.outcome is not None,
            decided_at=asyncio.get_running_loop().time(),
            pace_ms=self._ears.pace_ms,
        )
        self._over.put_nowait(over)

    async def all_told(self) -> None:
        """Waits until the finals of all utterances that are over have been told."""
        await self._over.join()

    async def room(self, most: int) -> None:
        """Waits while more than ``most`` samples of the utterance in flight wait for their text."""
        utterance = self._current
        while (
            utterance is not None
            and utterance is self._current
            and self._ears.position - utterance.settled.position > most
            and utterance.settling is not None
            and not utterance.settling.done()
        ):
            await asyncio.wait({utterance.settling})

    def close(self) -> None:
        """The session is over: what is being decoded is of no use any more."""
        for utterance in self._waiting:
            utterance.close_stream()

    async def run(self) -> None:
        """Tells finals, in order, until cancelled; drafts and partials end with it."""
        async with asyncio.TaskGroup() as tasks:
            self._session.tasks = tasks
            while True:
                over = await self._over.get()
                outcome = await over.text
                utterance = over.utterance
                if utterance.settling is not None:
                    await asyncio.wait({utterance.settling})
                utterance.close_stream()
                await self._teller.insist(self._outcome(over, utterance.failure or outcome))
                self._waiting.popleft()
                self._over.task_done()

    async def _draft(self, utterance: Utterance, draft: Draft) -> Attempt:
        outcome, probability = await asyncio.gather(utterance.read(draft.reading), self._sensed(draft))
        draft.outcome = outcome
        if utterance.draft is draft and not utterance.is_over:
            await self._weigh(utterance, draft, outcome, probability)
        elif utterance.draft is not draft:
            await self._captions.tell(utterance, draft.reading, outcome)
        return outcome

    async def _sensed(self, draft: Draft) -> float | None:
        if self._sense is None or not draft.reading.speech:
            return None
        return await self._sense.probability(draft.reading.pcm)

    async def _weigh(
        self, utterance: Utterance, draft: Draft, outcome: Attempt, probability: float | None
    ) -> None:
        """Tells the endpoint what the draft says; it may end the utterance at once."""
        text, language = "", ""
        if isinstance(outcome, Heard):
            text, language = utterance.text_with(outcome.transcript.text), outcome.transcript.language
        cue = Cue(pause=draft.pause, text=completeness(text, language), probability=probability)
        ended = self._ears.hint(cue)
        if ended is not None:
            self.end(ended)
        elif cue.text == "open":
            await self._captions.tell(utterance, draft.reading, outcome)
        elif text and self._detection != "manual":
            draft.was_told = True
            silence = self._ears.silence
            await self._teller.say(
                TurnLikely(
                    lease=self._session.lease,
                    utterance=utterance.number,
                    text=text,
                    language=language,
                    end_ms=(self._ears.position - silence) * 1000 // RATE_HZ,
                    silence_ms=silence * 1000 // RATE_HZ,
                )
            )

    def _outcome(self, over: _Over, outcome: Attempt) -> Message:
        utterance, counts = over.utterance, self._session.counts
        if isinstance(outcome, Heard):
            counts.done += 1
            self._measure(over)
            counts.succeeded_at = asyncio.get_running_loop().time()
            if utterance.detected is not None and outcome.transcript.text:
                self._session.belief = self._session.belief.heard(utterance.detected)
            return self._final(over, outcome)
        counts.failed += 1
        self._session.meter.failed(outcome.code)
        lease, code, text = self._session.lease, outcome.code, str(outcome)
        return EarsFailed(lease=lease, utterance=utterance.number, code=code, message=text)

    def _measure(self, over: _Over) -> None:
        meter = self._session.meter
        meter.first_output(over.ended.waited / RATE_HZ, "endpoint")
        meter.first_output(asyncio.get_running_loop().time() - over.decided_at)

    def _final(self, over: _Over, heard: Heard) -> Final:
        utterance, ended, transcript = over.utterance, over.ended, heard.transcript
        # Those that follow are to be heard again from their beginning: their settled text is not told here.
        following = [other.first_seq for other in self._waiting if other is not utterance]
        return Final(
            lease=self._session.lease,
            utterance=utterance.number,
            text=utterance.text_with(transcript.text),
            language=transcript.language or utterance.language or "",
            start_ms=ended.start * 1000 // RATE_HZ,
            end_ms=ended.end * 1000 // RATE_HZ,
            endpoint_ms=ended.waited * 1000 / RATE_HZ,
            transcribe_ms=1000 * (asyncio.get_running_loop().time() - over.decided_at),
            needed_seq=min([self._ears.needed_seq, *following]),
            engine=heard.info.name,
            device=heard.info.device,
            model=heard.info.model,
            speech_ms=ended.speech * 1000 // RATE_HZ,
            was_ready=over.was_ready,
            ended_by=ended.ended_by,
            pace_ms=over.pace_ms,
        )
