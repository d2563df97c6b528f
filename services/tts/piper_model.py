"""A Piper voice's network, in one piece or in parts; sessions of ``device``, no words and no phonemes here.

``decode`` is the one place where sound is made of frames. Its windows have the same few shapes for
everybody, so windows of several listeners can go through it together (``decode_batch``). Measured with the
true architecture (medium, random weights, 2 cores of a Xeon at 2.1 GHz that other work shared, N = 5,
median): a window of 20 frames takes 18 ms alone, 35 ms for 2, 87 ms for 4, 165 ms for 8 together; of 88
frames 87, 189 and 370 ms. On a CPU a batch buys nothing and makes the first of its listeners wait for the
last; a GPU was not at hand.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from services.tts.crops import NOTHING, Dropped, dropped
from services.tts.device import NAME, SESSION_ERRORS, Device, Session, one_line
from services.tts.gathering import Gathering, gathering
from services.tts.split_crop import BEGIN, END
from services.tts.split_graph import NotSplit, Section
from services.tts.split_nodes import TO_THE_END
from services.tts.split_store import Split, split
from services.tts.threads import Threads
from services.tts.windows import Walk, Window, tiles
from shared.audio import Samples
from shared.errors import EngineNotReady, EngineRefused

BOUND = 1e-4
"""Of the loudest sample: by so much the parts may differ from the whole in their proof. Measured: 1e-6."""
_PROOF_IDS = 48
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
    """The graph in parts."""

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
        """Has something made beside what the caller does; returns what waits for it, or makes it after all."""
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


def split_model(
    model: Path, device: Device, *, ids: Sequence[int], sha256: str = "", cache: Path | None = None
) -> SplitModel:
    """Returns a voice in parts on a device; blocks.

    Args:
        model: the voice's file.
        device: to run on.
        ids: that the voice knows: with these the parts are compared with the whole when they are new.
        sha256: of the model; empty: it is computed.
        cache: see ``split_store.split``.

    Raises:
        NotSplit: why it is not cut.
        EngineRefused: the device is not there.
    """

    def proof(made: Split) -> None:
        prove(made, model, ids)

    parts = SplitModel(split(model, sha256=sha256, cache=cache, proof=proof), device)
    if device.is_cuda:
        parts.gather(ids[:_PROOF_IDS])
    return parts


def prove(made: Split, model: Path, ids: Sequence[int]) -> float:
    """Compares the parts, in windows, with the whole on the CPU; returns the largest difference, relative.

    Raises:
        NotSplit: it is more than ``BOUND``, or one of the two cannot speak.
    """
    device = Device.of("cpu")
    voicing = Voicing(noise=0.0, length=1.0, noise_w=0.0)
    ids = ids[:_PROOF_IDS]
    try:
        whole = WholeModel(device.open(model)).sound(ids, voicing)
        parts = SplitModel(made, device)
        encoded = parts.text(ids, voicing)
        columns = encoded.columns
        if parts.cut.flow:
            columns = _flown(parts, columns, encoded.borders)
        sound = _decoded(parts, columns, encoded.borders)
    except SESSION_ERRORS as error:
        raise NotSplit(f"its parts do not run: {one_line(error)}") from error
    sound = _flat(sound)
    if len(sound) != len(whole):
        raise NotSplit(f"its parts make {len(sound)} samples of {len(whole)}")
    difference = float(np.abs(sound - whole).max() / max(float(np.abs(whole).max()), 1e-9))
    if not difference <= BOUND:
        raise NotSplit(f"its parts differ from the whole by {difference:.1e}")
    return difference


def _flown(parts: SplitModel, columns: Array, borders: Borders) -> Array:
    assert parts.cut.flow is not None
    made = []
    for window in _windows(columns.shape[2], parts.cut.flow.margin):
        part = parts.flow(columns[:, :, window.begin : window.end], borders)
        made.append(part[:, :, window.skip : window.skip + window.keep])
    return np.concatenate(made, axis=2)


def _decoded(parts: SplitModel, columns: Array, borders: Borders) -> Array:
    windows = _windows(columns.shape[2], parts.cut.decoder.margin)
    return np.concatenate([parts.decode(columns, window, borders) for window in windows], axis=1)


def _windows(total: int, margin: int) -> Iterator[Window]:
    walk = Walk((8, 16), margin)
    while walk.done < total:
        yield walk.next(total)


def _flat(samples: Array) -> Samples:
    return np.ascontiguousarray(samples, np.float32).reshape(-1)
