"""One segment from its text to its chunks: blocking, pulled chunk by chunk in a worker's thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.tts.chain import Chain
from services.tts.encode import Chunk, Encoder
from services.tts.engine import Engine, Voice
from services.tts.speech_text import sentences, speech_text
from shared.errors import EngineFailed
from shared.messages import Synthesize


@dataclass(frozen=True)
class Made:
    """A chunk and who spoke it."""

    chunk: Chunk
    engine: Engine
    voice: Voice


def make(chain: Chain, item: Synthesize, *, chunk_ms: int, asked: list[Engine]) -> Iterator[Made]:
    """Yields the chunks of a segment; none if its text has nothing to say. ``asked``: see ``Chain.speak``.

    Raises:
        EngineFailed: a sentence could not be said; what was said before it has been yielded.
    """
    language = chain.language(item.language, item.voice)
    encoder = Encoder(item.audio, chunk_ms=chunk_ms)
    piece = None
    failure: EngineFailed | None = None
    try:
        for sentence in sentences(speech_text(item.text, language)):
            pieces = chain.speak(
                sentence, language=language, wanted=item.voice, speed=item.speed, asked=asked
            )
            for piece in pieces:
                for chunk in encoder.push(piece.samples, piece.rate_hz):
                    yield Made(chunk, piece.engine, piece.voice)
    except EngineFailed as error:
        failure = error
    if piece is not None:
        for chunk in encoder.finish():
            yield Made(chunk, piece.engine, piece.voice)
    if failure is not None:
        raise failure
