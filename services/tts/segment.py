"""One segment from its text to its chunks: blocking, pulled chunk by chunk in a worker's thread.

Text → passages → the chain's sound → edges and loudness → encoder; the times of words and visemes go with
the first chunk in which they can be heard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from services.tts.chain import Chain, Piece
from services.tts.encode import Chunk, Encoder
from services.tts.engine import Engine, Line, Prosody, Voice
from services.tts.finish import Finish
from services.tts.lanes import Listener
from services.tts.moods import DEFAULT, prosody
from services.tts.passage import Passage
from services.tts.speech_text import passages
from services.tts.timing import LineTimes, Marks, Timekeeper
from services.tts.voices import language_for
from shared.audio import Samples
from shared.errors import EngineFailed
from shared.messages import Synthesize


@dataclass(frozen=True)
class Made:
    """A chunk and who spoke it."""

    chunk: Chunk
    engine: Engine
    voice: Voice
    marks: tuple[Marks, ...] = ()
    """To be told before the chunk."""


@dataclass(frozen=True, kw_only=True)
class Orders:
    """How a segment is made."""

    chunk_ms: int
    listener: Listener
    asked: list[Engine]
    """See ``Chain.speak``."""
    moods: Mapping[str, Prosody] = field(default_factory=lambda: DEFAULT)


def make(chain: Chain, item: Synthesize, orders: Orders) -> Iterator[Made]:
    """Yields the chunks of a segment; none if its text has nothing to say.

    Raises:
        EngineFailed: a sentence could not be said; what was said before it has been yielded.
    """
    making = _Making(chain, item, orders)
    failure: EngineFailed | None = None
    try:
        for passage in passages(item.text, making.language):
            yield from making.say(passage)
    except EngineFailed as error:
        failure = error
    yield from making.finish()
    if failure is not None:
        raise failure


def behind(passage: Passage, begin: int) -> Passage:
    """Returns what is said of a passage from the spoken character ``begin`` on."""
    if not begin:
        return passage
    words = tuple(
        replace(word, spoken_begin=max(word.spoken_begin - begin, 0), spoken_end=word.spoken_end - begin)
        for word in passage.words
        if word.spoken_end > begin
    )
    return replace(passage, text=passage.text[begin:], words=words)


class _Making:
    """One segment on its way."""

    def __init__(self, chain: Chain, item: Synthesize, orders: Orders) -> None:
        self.language = chain.language(language_for(item.text, item.language, item.voice), item.voice)
        self._chain, self._item, self._orders = chain, item, orders
        self._encoder = Encoder(item.audio, chunk_ms=orders.chunk_ms)
        self._piece: Piece | None = None
        self._pushed_s = 0.0
        """Sound handed to the encoder, seconds."""
        self._times = Timekeeper(item.text, self._encoder.rate_hz)
        self._marks: list[Marks] = []

    def say(self, passage: Passage) -> Iterator[Made]:
        """Yields the chunks that one passage completes."""
        line = Line(
            text=passage.text, speed=self._item.speed, prosody=prosody(self._item.mood, self._orders.moods)
        )
        passage = self._times.mapped(passage)
        finish: Finish | None = None
        times: LineTimes | None = None
        for piece in self._spoken(line):
            if finish is None or times is None or self._piece is None or piece.voice is not self._piece.voice:
                yield from self._end(finish, times)
                finish = Finish(piece.rate_hz, piece.left, voice_gain_db=piece.gain_db)
                times = self._times.line(
                    behind(passage, piece.begin),
                    from_sample=self._here(),
                    pace=line.speed / line.prosody.length,
                )
            self._piece = piece
            ready = finish.push(piece.sound.samples)
            times.hear(finish.heard(piece.sound), finish.rate_hz)
            if ready.size:
                self._marks += times.tell(finish.shift_s)
            yield from self._push(ready, finish.rate_hz)
        yield from self._end(finish, times)
        if self._piece is not None and passage.pause_s > 0:
            rate_hz = self._piece.rate_hz
            yield from self._push(np.zeros(int(passage.pause_s * rate_hz), np.float32), rate_hz)

    def finish(self) -> Iterator[Made]:
        """Yields what is left."""
        if self._piece is not None:
            for chunk in self._encoder.finish():
                yield self._made(chunk)

    def _spoken(self, line: Line) -> Iterator[Piece]:
        if not line.text:
            return iter(())
        orders = self._orders
        return self._chain.speak(
            line, orders.listener, language=self.language, wanted=self._item.voice, asked=orders.asked
        )

    def _end(self, finish: Finish | None, times: LineTimes | None) -> Iterator[Made]:
        if finish is not None and times is not None:
            rest = finish.end()
            self._marks += times.end(self._here(len(rest) / finish.rate_hz), finish.shift_s)
            yield from self._push(rest, finish.rate_hz)

    def _push(self, samples: Samples, rate_hz: int) -> Iterator[Made]:
        self._pushed_s += len(samples) / rate_hz
        for chunk in self._encoder.push(samples, rate_hz):
            yield self._made(chunk)

    def _here(self, ahead_s: float = 0.0) -> int:
        """Returns the sample that is heard when the sound pushed so far, and so much more, has ended."""
        rate_hz = self._encoder.rate_hz
        return round((self._pushed_s + ahead_s) * rate_hz) + self._encoder.delay

    def _made(self, chunk: Chunk) -> Made:
        assert self._piece is not None
        told, self._marks = tuple(self._marks), []
        return Made(chunk, self._piece.engine, self._piece.voice, told)
