"""The engines that the ears are measured with, for EVA's worker and for the peer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.known_words import known
from benchmarks.random_whisper import Size, build
from benchmarks.speech import Utterance
from benchmarks.workplace import Workplace, workplace

SLOTS = "64"
"""More than any measurement needs: what is measured is where it breaks."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine."""

    name: str
    model: str
    """``sphinx``, or a folder."""
    folder: Path
    """For what the measurements write."""

    @property
    def is_real(self) -> bool:
        """Whether its text means anything."""
        return self.model == "sphinx"

    @contextlib.asynccontextmanager
    async def ours(self, heard: Iterable[Utterance], **environment: str) -> AsyncIterator[Workplace]:
        """Runs EVA's speech recognition worker."""
        command = ["services.stt"] if self.is_real else ["benchmarks.known_ears"]
        told = {"EVA_STT_MODEL": self.model, "EVA_STT_SLOTS": SLOTS, "EVA_STT_DEVICE": "cpu"}
        async with workplace(command, self.knowing(heard) | told | environment) as place:
            yield place

    async def slots(self, **environment: str) -> int:
        """Returns how many sessions the worker gives itself here, by what it measures at its start."""
        async with self.ours([], EVA_STT_SLOTS="0", **environment) as place:
            return (await place.ready()).slots

    @contextlib.asynccontextmanager
    async def peer(self, heard: Iterable[Utterance]) -> AsyncIterator[Workplace]:
        """Runs the peer."""
        async with workplace(["benchmarks.peer", self.model], self.knowing(heard)) as place:
            yield place

    def knowing(self, heard: Iterable[Utterance]) -> dict[str, str]:
        """Writes down which words are in the audio; returns the variable that says where."""
        path = self.folder / "known.json"
        known(heard).write(path)
        return {"EVA_BENCH_KNOWN": str(path)}


def sphinx(folder: Path) -> Engine:
    """Returns the offline engine."""
    return Engine("pocketsphinx", "sphinx", folder)


def whisper(folder: Path, size: Size) -> Engine:
    """Makes a Whisper of real size and random weights."""
    return Engine(f"Whisper {size.name} int8", str(build(folder / size.name, size)), folder)
