"""The chain of engines: the first one proven at start serves, the next takes over what it cannot do.

An engine is loaded when it is first needed, off the event loop, and is given up after three failures in a
row; which one serves is always a published fact. All of this blocks and is called in threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from services.stt.choose import PULL, Candidate
from services.stt.engine import (
    RATE_HZ,
    Closable,
    EngineInfo,
    Pcm,
    Transcriber,
    Transcript,
    UnsupportedLanguage,
)
from shared.errors import EngineFailed, EngineRefused
from shared.messages import EngineFact
from shared.observe import Log

log = Log("eva.stt")

MAX_FAILURES = 3
Load = Callable[[Candidate], Transcriber]


class Link:
    """One engine of the chain and what is known of it."""

    def __init__(self, candidate: Candidate, load: Load) -> None:
        self.candidate = candidate
        self._load = load
        self._lock = threading.Lock()
        self.engine: Transcriber | None = None
        self.state: Literal["standby", "proven", "failed"] = "standby"
        self.detail = ""
        self.hint = ""
        self.failures = 0
        self.warmup_ms = 0.0

    def ready(self) -> Transcriber:
        """Returns the engine, loading it if this is the first time. Raises ``EngineRefused``."""
        with self._lock:
            if self.engine is None:
                self.engine = self._load(self.candidate)
            return self.engine

    def prove(self) -> None:
        """Loads the engine and lets it hear a second of quiet noise. Raises what it raises."""
        began = time.perf_counter()
        noise = np.random.default_rng(0).normal(0.0, 0.003, RATE_HZ).astype(np.float32)
        self.ready().transcribe(noise, "en")
        self.warmup_ms = 1000 * (time.perf_counter() - began)
        self.state = "proven"

    def refuse(self, reason: str, hint: str = "") -> None:
        """Takes the engine out of the chain and says why."""
        self.state, self.detail, self.hint = "failed", reason, hint
        log.warning(
            "stt.engine_refused", engine=self.candidate.engine, model=self.candidate.model, reason=reason
        )

    def note(self, failure: EngineFailed | None) -> None:
        """Counts the outcome of a transcription."""
        if failure is None:
            self.failures = 0
            return
        self.failures += 1
        self.detail = failure.reason
        if self.failures >= MAX_FAILURES:
            self.refuse(f"{MAX_FAILURES} failures in a row: {failure.reason}")

    def fact(self, *, is_serving: bool) -> EngineFact:
        """Returns what is published about it."""
        info = self.engine.info if self.engine is not None else None
        standing: Literal["failed", "standby"] = "failed" if self.state == "failed" else "standby"
        return EngineFact(
            name=self.candidate.engine,
            state="serving" if is_serving else standing,
            model=self.candidate.model,
            model_sha256=info.model_sha256 if info else "",
            device=info.device if info else self.candidate.device,
            detail=self.detail,
            hint=self.hint or (PULL if is_serving and info and info.is_degraded else ""),
        )


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A transcript and who made it."""

    transcript: Transcript
    info: EngineInfo


class Chain:
    """The engines of this worker, in order."""

    def __init__(
        self, candidates: Sequence[Candidate], load: Load, *, absent: Sequence[EngineFact] = ()
    ) -> None:
        self.links = [Link(candidate, load) for candidate in candidates]
        self._absent = list(absent)

    @property
    def serving(self) -> Link | None:
        """The engine that gets the next utterance; None: all have failed."""
        return next((link for link in self.links if link.state == "proven"), None)

    @property
    def info(self) -> EngineInfo | None:
        """What serves now."""
        link = self.serving
        return link.engine.info if link is not None and link.engine is not None else None

    def starters(self) -> list[Link]:
        """Those that may serve from the start, best first."""
        return [link for link in self.links if link.candidate.may_start]

    def refusal(self) -> EngineRefused:
        """Returns why nothing can serve: the reason of the engine that was wanted most."""
        first = self.links[0]
        return EngineRefused(first.candidate.engine, first.detail, hint=first.hint)

    def transcribe(self, pcm: Pcm, language: str | None, likely: str) -> Heard:
        """Returns what is said, by the first engine that can.

        Raises:
            UnsupportedLanguage: the engine that serves does not know ``language``.
            EngineFailed: none could.
        """
        unsupported: UnsupportedLanguage | None = None
        failure: EngineFailed | None = None
        for link in self.links:
            if link.state == "failed":
                continue
            try:
                engine = link.ready()
                if language and engine.info.languages and language not in engine.info.languages:
                    unsupported = unsupported or UnsupportedLanguage(
                        engine.info.name, language, engine.info.languages
                    )
                    continue
                transcript = engine.transcribe(pcm, language, likely=likely)
            except EngineRefused as refused:
                link.refuse(refused.reason, refused.hint)
            except EngineFailed as error:
                link.note(error)
                failure = error
                log.warning("stt.engine_failed", engine=error.engine, reason=error.reason)
            else:
                link.note(None)
                link.state = "proven"
                return Heard(transcript=transcript, info=engine.info)
        raise failure or unsupported or EngineFailed("stt", "no engine is left")

    def close(self) -> None:
        """Lets the engines go."""
        for link in self.links:
            if isinstance(link.engine, Closable):
                link.engine.close()

    def facts(self) -> list[EngineFact]:
        """Returns what is published about the engines."""
        serving = self.serving
        return [link.fact(is_serving=link is serving) for link in self.links] + self._absent
