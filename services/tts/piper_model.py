"""A Piper voice's network, in one piece or in parts; sessions of ``device``, no words and no phonemes here.

``decode`` is the one place where sound is made of frames: of a window, in tiles that several threads compute
side by side. A thread that is busy with something else is not waited for: what it has not begun by the time
that it is needed is made by who needs it.

Windows have the same few shapes for everybody, so those of several listeners can be decoded together
(``decode_batch``). Measured with the true architecture (medium, random weights, 2 cores of a Xeon at 2.1 GHz
that other work shared, N = 5, median): a window of 20 frames takes 18 ms alone, 35 ms for 2, 87 ms for 4,
165 ms for 8 together; of 88 frames 87, 189 and 370 ms. On a CPU a batch buys nothing and makes the first of
its listeners wait for the last; a GPU was not at hand.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from services.tts.crops import NOTHING, Dropped, dropped
from services.tts.device import NAME, Device, Session
from services.tts.gathering import Gathering, gathering
from services.tts.split_crop import BEGIN, END
from services.tts.split_graph import Section
from services.tts.split_nodes import TO_THE_END
from services.tts.split_store import Split
from services.tts.threads import Threads
from services.tts.windows import Window, tiles
from shared.audio import Samples
from shared.errors import EngineNotReady, EngineRefused

OPENING_WAIT_S = 0.5
"""The longest that a listener waits in mid-sentence for a graph to be opened, which takes 0.4 to 7 s: such a
pause passes for a breath, a longer one for the end, and the offline engine speaks within 0.05 s."""
Array = npt.NDArray[Any]
T = TypeVar("T")
Borders = Mapping[str, Array]
"""What all windows of a line need besides their frames: the speaker."""


@dataclass(frozen=True, kw_only=True)
class Voicing:
    """How the network is asked to speak."""

    noise: float
    length: float
    noise_w: float
    speaker: int = 0

    def inputs(self, ids: Sequence[int], names: Sequence[str]) -> dict[str, Array]:
        """Returns what a graph with these inputs takes."""
        values: dict[str, Array] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array([self.noise, self.length, self.noise_w], np.float32),
        }
        return {name: values.get(name, np.array([self.speaker], np.int64)) for name in names}


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What the text part makes of a run of ids."""

    columns: Array
    """``[1, channels, frames]``."""
    durations: tuple[int, ...]
    """Frames of each id; empty: the voice does not tell."""
    borders: Borders


class WholeModel:
    """The graph as it was exported: all of a sentence at once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names = [item.name for item in session.get_inputs()]

    def sound(self, ids: Sequence[int], voicing: Voicing) -> Samples:
        """Returns a sentence's samples, floats. Raises one of ``SESSION_ERRORS``."""
        (samples,) = self._session.run(None, voicing.inputs(ids, self._names))[:1]
        return _flat(samples)


class LazyModel:
    """The whole graph, opened in a thread of its own when it is first needed; until then it costs nothing."""

    def __init__(self, model: Path, device: Device, *, wait_s: float = OPENING_WAIT_S) -> None:
        self.path, self._device, self._wait_s = model, device, wait_s
        self._lock = threading.Lock()
        self._threads = Threads(1, f"eva-tts-open-{model.stem}")
        self._opening: Future[WholeModel] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it takes memory by now."""
        opening = self._opening
        return opening is not None and opening.done() and opening.exception() is None

    def sound(self, ids: Sequence[int], voicing: Voicing) -> Samples:
        """As ``WholeModel.sound``; the first call has the model opened and waits for ``wait_s`` at most.

        Raises:
            EngineNotReady: it is not open by then; a later call finds it so.
            EngineRefused: it cannot be opened.
        """
        opening = self._open()
        wait([opening], self._wait_s)
        if not opening.done():
            raise EngineNotReady(NAME, f"{self.path.name} is being opened")
        return self._opened(opening).sound(ids, voicing)

    def open(self) -> WholeModel:
        """Returns the graph, opened if it was not, however long that takes. Raises ``EngineRefused``."""
        return self._opened(self._open())

    def _open(self) -> Future[WholeModel]:
        with self._lock:
            if self._opening is None:
                self._opening = self._threads.submit(lambda: WholeModel(self._device.open(self.path)))
            return self._opening

    def _opened(self, opening: Future[WholeModel]) -> WholeModel:
        try:
            return opening.result()
        except EngineRefused:
            with self._lock:
                if self._opening is opening:
                    self._opening = None  # the next call tries again
            raise


class SplitModel:
    """The graph in parts; several threads may use it at once.

    On a CPU it has its device's number of threads: who calls, and helpers beside.
    """

    def __init__(self, made: Split, device: Device) -> None:
        """Opens the sessions; blocks. Raises ``EngineRefused``."""
        self.cut = made.cut
        self.note = "; ".join(filter(None, [made.note, made.cut.why_no_crop]))
        self.is_fixed = device.is_cuda
        """Whether windows of few different shapes are quicker here."""
        self._tiles = 1 if device.is_cuda else device.threads
        alone = replace(device, threads=1) if self._tiles > 1 else device
        self._sessions = {
            name: (device if name == "flow" else alone).open(content) for name, content in made.parts.items()
        }
        self._names = [item.name for item in self._sessions["text"].get_inputs()]
        self._leaving = [item.name for item in self._sessions["text"].get_outputs()]
        self._gathering = Gathering(self, size=1)
        self._beside = Threads(max(1, self._tiles - 1), "eva-tts-tile")

    @property
    def batch(self) -> int:
        """How many windows of several listeners are decoded in one call at most."""
        return self._gathering.size

    def gather(self, ids: Sequence[int]) -> None:
        """Has windows decoded together from now on, if that pays here; measures, which blocks."""
        encoded = self.text(ids, Voicing(noise=0.0, length=1.0, noise_w=0.0))
        frames = self.flow(encoded.columns, encoded.borders) if self.cut.flow else encoded.columns
        self._gathering = gathering(self, channels=frames.shape[1], borders=encoded.borders, lanes=1)

    def text(self, ids: Sequence[int], voicing: Voicing) -> Encoded:
        """Returns the columns of a run of ids, and how long each id is."""
        made = self._sessions["text"].run(self._leaving, voicing.inputs(ids, self._names))
        found = dict(zip(self._leaving, made, strict=True))
        columns = found.pop(self.cut.begin)
        durations = found.pop(self.cut.durations, None)
        told = () if durations is None else tuple(int(n) for n in np.asarray(durations).reshape(-1))
        return Encoded(
            columns=columns, durations=told if sum(told) == columns.shape[2] else (), borders=found
        )

    def text_ahead(self, ids: Sequence[int], voicing: Voicing) -> Callable[[], Encoded] | None:
        """Has a run of ids encoded beside what is made now; returns what waits for it. None: not here."""
        return self._begun(functools.partial(self.text, ids, voicing)) if self._tiles > 1 else None

    def flow(self, columns: Array, borders: Borders, *, is_retry: bool = False) -> Array:
        """Returns the decoder's frames of a window of columns ``[batch, channels, frames]``."""
        section = self.cut.flow
        assert section is not None
        return self._run("flow", section, columns, borders, is_retry=is_retry)

    def decode(self, columns: Array, window: Window, borders: Borders, *, is_retry: bool = False) -> Array:
        """Returns samples ``[1, window.keep * hop]`` of a line's frames ``[1, channels, all]``, floats."""
        free = self._tiles - 1 - self._beside.busy
        first, *others = tiles(window, 1 + max(0, free), self.cut.decoder.margin)
        make = functools.partial(self._tile, columns, borders, is_retry=is_retry)
        waiting = [self._begun(functools.partial(make, tile)) for tile in others]
        return np.concatenate([make(first), *(made() for made in waiting)], axis=1)

    def _begun(self, make: Callable[[], T]) -> Callable[[], T]:
        """Has something made beside what the caller does; returns what waits for it, or makes it itself."""
        future = self._beside.submit(make)
        return lambda: make() if future.cancel() else future.result()

    def _tile(self, columns: Array, borders: Borders, window: Window, *, is_retry: bool) -> Array:
        section = self.cut.decoder
        drop = dropped(section.crops, hop=section.hop, **window.around(section.margin))
        part = columns[:, :, window.begin : window.end]
        made = (
            self._decode(part, borders, drop, is_retry=True)
            if is_retry
            else self._gathering.decode(part, borders, drop)
        )
        begin = window.skip * section.hop - drop.samples
        return made[:, begin : begin + window.keep * section.hop]

    def _decode(self, columns: Array, borders: Borders, drop: Dropped, *, is_retry: bool = False) -> Array:
        made = self._run("decoder", self.cut.decoder, columns, borders, drop, is_retry=is_retry)
        return made.reshape(len(columns), -1)

    def decode_batch(
        self, windows: Sequence[Array], borders: Sequence[Borders], drop: Dropped = NOTHING
    ) -> list[Array]:
        """Returns ``[1, samples]`` of each window ``[1, channels, frames]`` less what is dropped on the way.

        All windows are of one shape and lose the same.
        """
        together = {name: np.concatenate([each[name] for each in borders]) for name in borders[0]}
        return list(self._decode(np.concatenate(windows), together, drop)[:, np.newaxis])

    def _run(
        self, part: str, section: Section, columns: Array, borders: Borders, drop: Dropped = NOTHING,
        *, is_retry: bool,
    ) -> Array:  # fmt: skip
        inputs = section_inputs(section, columns, borders, drop)
        return self._sessions[part].run([section.result], inputs, is_retry=is_retry)[0]


def section_inputs(
    section: Section, columns: Array, borders: Borders, drop: Dropped = NOTHING
) -> dict[str, Array]:
    """Returns what a section's part takes for windows of columns ``[batch, channels, frames]``."""
    inputs: dict[str, Array] = {section.source: columns}
    if section.mask:
        inputs[section.mask] = np.ones((len(columns), 1, columns.shape[2]), np.float32)
    inputs |= {name: borders[name] for name in section.borders}
    for number, (left, right) in enumerate(drop.columns or ((0, 0),) * len(section.crops)):
        inputs[BEGIN.format(number)] = np.array([left], np.int64)
        inputs[END.format(number)] = np.array([-right or TO_THE_END], np.int64)
    return inputs


def _flat(samples: Array) -> Samples:
    return np.ascontiguousarray(samples, np.float32).reshape(-1)
