"""What is told of an utterance before it is over: partials, and the pieces of it that are settled.

Partials are the first thing to go under load; what is settled is always told. A piece is settled in a pause
that did not end the utterance, where two partials in a row agree, or at its limit; only then is its audio
needed no longer, by this worker and by any that would have to take its place.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from services.stt.chain import Attempt, Heard
from services.stt.desk import Priority
from services.stt.engine import RATE_HZ, Transcript, Word
from services.stt.settle import cut, limit, quietest
from services.stt.utterance import Draft, Reading, Session, Utterance
from shared.messages import Partial

FIRST = RATE_HZ * 320 // 1000
"""Samples of an utterance before its first partial."""
EVERY = RATE_HZ * 400 // 1000
"""Samples between two partials …"""
EVERY_EARLY = RATE_HZ * 200 // 1000
"""… and as long as an interruption may be judged by them: "je" may yet become "je vois", or a sentence.
Not of an engine that is fed: the offline one's first words are guesses, and each guess may stop EVA."""
EARLY = RATE_HZ * 600 // 1000
"""Voiced samples within which that is so."""
AGREE_FROM = 0.6
"""Words with times, which cost more, are asked for from this part of the policy's ``agree_s``."""
BEYOND = RATE_HZ // 10
"""Samples behind the limit that are waited for: the quietest place is looked for before it."""


class Captions:
    """Writes down a session's utterances while they are spoken."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ears, self._desk = session.ears, session.desk

    def consider(self, utterance: Utterance) -> None:
        """More was heard: settles a piece at its limit, or begins a partial when one is due."""
        utterance.feed_some()
        if utterance.settling is not None and not utterance.settling.done():
            return
        length = self._ears.position - utterance.border
        if length >= utterance.policy.limit_s * RATE_HZ + BEYOND:
            self._settle_at_limit(utterance)
            return
        is_first, is_early = utterance.heard_to == utterance.start, self._ears.speech <= EARLY
        is_sooner = is_early and not utterance.is_fed
        every = FIRST if is_first else EVERY_EARLY if is_sooner else EVERY
        if utterance.partial is not None or self._ears.position - utterance.heard_to < every:
            return
        utterance.heard_to, cost_s = self._ears.position, utterance.cost_s()
        if self._desk.admits_partial(cost_s, is_early=is_early):
            reading = utterance.reading(
                self._ears.position,
                Priority.EARLY if is_early else Priority.PARTIAL,
                has_words=length >= AGREE_FROM * utterance.policy.agree_s * RATE_HZ,
            )
            utterance.partial = self._session.spawn(self._partial(utterance, reading, cost_s))
            utterance.partial_reading = reading

    def pause(self, utterance: Utterance) -> None:
        """The draft will say more than a partial that has not been begun with."""
        reading = utterance.partial_reading
        if utterance.partial is not None and reading is not None and not reading.is_taken:
            utterance.partial.cancel()

    def settle_draft(self, utterance: Utterance, draft: Draft) -> bool:
        """Speech goes on behind a pause: settles what was said before it, if that is enough; False: no."""
        is_enough = draft.reading.end - utterance.border >= utterance.policy.pause_s * RATE_HZ
        if is_enough and draft.task is not None:
            self._settle(utterance, draft.reading, draft.task)
        return is_enough

    async def tell(self, utterance: Utterance, reading: Reading, outcome: Attempt | None) -> None:
        """Tells what was understood, as long as it is news."""
        if isinstance(outcome, Heard) and reading.start == utterance.border and not utterance.is_over:
            transcript = outcome.transcript
            text = utterance.text_with(transcript.text)
            # That there is no word so far is news too: the sound may be no more than a sign of listening.
            if transcript.text or not (text or utterance.is_fed):
                self._session.counts.partials += 1
                await self._say(utterance, transcript, text, reading.speech)

    async def _partial(self, utterance: Utterance, reading: Reading, cost_s: float) -> None:
        try:
            outcome = await utterance.read(reading)
        finally:
            utterance.partial = None
            if reading.spent_s or not reading.is_taken:
                self._desk.settle_up(cost_s, reading.spent_s)
        if utterance.is_over or reading.start != utterance.border or not isinstance(outcome, Heard):
            return
        before, utterance.words = utterance.words, outcome.transcript.words
        if not await self._settle_agreed(utterance, reading, outcome, before):
            await self.tell(utterance, reading, outcome)

    async def _settle_agreed(
        self, utterance: Utterance, reading: Reading, heard: Heard, before: tuple[Word, ...]
    ) -> bool:
        """Settles the words that two partials in a row agree on, if there are enough of them."""
        heard_s = len(reading.pcm) / RATE_HZ
        if utterance.draft is not None or heard_s < utterance.policy.agree_s:
            return False
        found = cut(before, heard.transcript.words, heard_s)
        if found is None:
            return False
        end = quietest(reading.pcm, int(found.from_s * RATE_HZ), int(found.to_s * RATE_HZ))
        utterance.open_piece(reading.start + end)
        piece = replace(heard.transcript, text=found.text)
        await self._commit(utterance, piece, reading.start + end, reading.speech, rest=found.rest)
        return True

    def _settle_at_limit(self, utterance: Utterance) -> None:
        if utterance.partial is not None:
            utterance.partial.cancel()
        pcm = self._ears.audio(utterance.border, self._ears.position)
        reading = utterance.reading(utterance.border + limit(pcm, utterance.policy), Priority.SETTLE)
        self._settle(utterance, reading, self._session.spawn(utterance.read(reading)))

    def _settle(self, utterance: Utterance, reading: Reading, text: asyncio.Task[Attempt]) -> None:
        utterance.unsettled.append(reading)
        utterance.settling = self._session.spawn(self._settled(utterance, reading, text))
        utterance.open_piece(reading.end)

    async def _settled(self, utterance: Utterance, reading: Reading, text: asyncio.Task[Attempt]) -> None:
        """Waits for a piece's text; what failed once is tried once more, since its words would be lost."""
        outcome = await text
        if not isinstance(outcome, Heard):
            reading.stream = None
            outcome = await utterance.read(reading)
        utterance.unsettled.remove(reading)
        if isinstance(outcome, Heard):
            await self._commit(utterance, outcome.transcript, reading.end, reading.speech)
        else:
            utterance.failure = outcome

    async def _commit(
        self, utterance: Utterance, piece: Transcript, end: int, speech: int, *, rest: str = ""
    ) -> None:
        """Takes the text of a piece that ends at ``end`` for good."""
        utterance.settled = utterance.settled.add(piece.text, end)
        self._session.counts.settled += 1
        settled = len(utterance.settled.text)
        if piece.text:
            utterance.language = utterance.language or piece.language or None
            await self._say(utterance, piece, utterance.text_with(rest), speech)
        if not utterance.is_over:
            utterance.needed_seq, utterance.settled_there = self._ears.seq_at(end), settled
            self._ears.settle(end)

    async def _say(self, utterance: Utterance, transcript: Transcript, text: str, speech: int) -> None:
        await self._session.teller.say(
            Partial(
                lease=self._session.lease,
                utterance=utterance.number,
                text=text,
                stable=len(utterance.settled.text),
                speech_ms=speech * 1000 // RATE_HZ,
                language=transcript.language,
            )
        )
