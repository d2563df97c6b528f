"""A sentence on its way through a split voice: encoded in spans, decoded in windows, when they are asked for.

What it costs until the first sound: the text part for the first words, one window of the flow, one of the
decoder; none of them grows with the sentence. Behind it, where nobody else is spoken to, the next span's text
is encoded beside the windows of this one. The text part draws its random numbers once for each span, so
windows of one span agree; spans meet between two words, before flow and decoder, which smooth over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from services.tts.device import OutOfMemory
from services.tts.piper_model import Array, Borders, Encoded, Voicing
from services.tts.piper_phones import Span, frames_of, ids_of, spans
from services.tts.split_graph import Cut
from services.tts.windows import (
    CROWDED_FLOW_FRAMES,
    CROWDED_SOUND_FRAMES,
    FLOW_FRAMES,
    SOUND_FRAMES,
    Walk,
    Window,
)
from shared.audio import Samples


class Parts(Protocol):
    """A network in parts."""

    cut: Cut
    is_fixed: bool

    def text(self, ids: Sequence[int], voicing: Voicing) -> Encoded:
        """Returns the columns of a run of ids."""

    def text_ahead(self, ids: Sequence[int], voicing: Voicing) -> Callable[[], Encoded] | None:
        """Has them made beside what the caller makes; returns what waits for them. None: not here."""

    def flow(self, columns: Array, borders: Borders, *, is_retry: bool = False) -> Array:
        """Returns the decoder's frames of a window."""

    def decode(self, columns: Array, window: Window, borders: Borders, *, is_retry: bool = False) -> Array:
        """Returns the samples of a window's used frames, of all those of a line."""


class Sentence:
    """One sentence of a voice."""

    def __init__(
        self,
        parts: Parts,
        phonemes: Sequence[str],
        id_map: Mapping[str, Sequence[int]],
        voicing: Voicing,
        *,
        is_crowded: bool = False,
    ) -> None:
        """``is_crowded``: see ``Line``."""
        self._parts, self._id_map, self._voicing = parts, id_map, voicing
        self.phonemes = list(phonemes)
        self.frames: list[int | None] = [None] * (len(self.phonemes) + 2)
        """Of the beginning, of each phoneme, of the end; None: not yet known."""
        is_cut = bool(parts.cut.durations)
        whole = [Span(begin=0, end=len(self.phonemes), first=0, last=len(self.phonemes))]
        self._spans = spans(self.phonemes) if is_cut else whole
        cut = parts.cut
        sound = CROWDED_SOUND_FRAMES if is_crowded else SOUND_FRAMES
        flow = CROWDED_FLOW_FRAMES if is_crowded else FLOW_FRAMES
        self._sound = Walk(sound, cut.decoder.margin, is_fixed=parts.is_fixed)
        self._flow = Walk(flow, cut.flow.margin, is_fixed=parts.is_fixed) if cut.flow else None
        self._columns: Array | None = None
        self._latent: Array | None = None
        self._borders: Borders = {}
        self._is_crowded = is_crowded
        self._ahead: Callable[[], Encoded] | None = None
        """Waits for the next span's columns."""

    def pieces(self) -> Iterator[Samples]:
        """Yields the samples of each window. Raises what a session raises."""
        while (total := self._total()) is None or self._sound.done < total:
            latent = self._frames(self._sound.needs(total))
            if self._total() != total:
                continue  # now the end is known, and the window may reach to it
            yield self._decoded(latent, self._sound.next(total))
            self._look_ahead()

    def _decoded(self, latent: Array, window: Window) -> Samples:
        try:
            made = self._parts.decode(latent, window, self._borders)
        except OutOfMemory:
            self._sound.retry(window)
            window = self._sound.next(self._total())
            made = self._parts.decode(latent, window, self._borders, is_retry=True)
        return np.ascontiguousarray(made[0], np.float32)

    def _total(self) -> int | None:
        """Returns how many frames the sentence has; None: not all of it is encoded."""
        return None if self._spans or self._columns is None else int(self._columns.shape[2])

    def _frames(self, upto: int) -> Array:
        """Returns the decoder's frames, at least so many unless the sentence ends before."""
        if self._flow is None:
            return self._encoded(upto)
        while self._flow.done < min(upto, self._total() or upto):
            total = self._total()
            is_fixed = self._parts.is_fixed
            columns = self._encoded(self._flow.needs(total) if is_fixed else upto + self._flow.margin)
            if self._total() != total:
                continue
            there = int(columns.shape[2])
            window = self._flow.next(total) if is_fixed else self._flow.stretch(upto, there, total)
            made = self._parts.flow(columns[:, :, window.begin : window.end], self._borders)
            self._latent = _joined(self._latent, made[:, :, window.skip : window.skip + window.keep])
        assert self._latent is not None
        return self._latent

    def _encoded(self, upto: int) -> Array:
        """Returns the text part's columns, at least so many unless the sentence ends before."""
        while self._columns is None or (self._spans and self._columns.shape[2] < upto):
            self._columns = _joined(self._columns, self._encode(self._spans.pop(0)))
        return self._columns

    def _ids(self, span: Span) -> tuple[list[int], list[int]]:
        return ids_of(self.phonemes[span.first : span.last], self._id_map)

    def _look_ahead(self) -> None:
        """Has the next span encoded while windows of this one are made; nobody waits for the first sound."""
        if self._ahead is None and self._spans and not self._is_crowded:
            self._ahead = self._parts.text_ahead(self._ids(self._spans[0])[0], self._voicing)

    def _encode(self, span: Span) -> Array:
        ids, owners = self._ids(span)
        ahead, self._ahead = self._ahead, None
        made = self._parts.text(ids, self._voicing) if ahead is None else ahead()
        phonemes = self.phonemes[span.first : span.last]
        self._borders = made.borders
        if not made.durations:
            return made.columns
        frames = frames_of(len(phonemes), owners, made.durations)
        begin = 0 if span.begin == 0 else span.begin - span.first + 1
        end = span.end - span.first + (2 if span.end == len(self.phonemes) else 1)
        at = span.first + begin
        self.frames[at : at + end - begin] = frames[begin:end]
        return made.columns[:, :, sum(frames[:begin]) : sum(frames[:end])]


def _joined(before: Array | None, more: Array) -> Array:
    return more if before is None else np.concatenate([before, more], axis=2)
