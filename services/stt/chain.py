"""The chain of engines: the first one proven at start serves, the next takes over what it cannot do.

An engine is loaded when it is first needed, off the event loop, and is given up after three failures in a
row; which one serves is always a published fact. A batch that fails is no verdict on its clips: each of them
goes through the chain by itself, the same engine first, since what a batch lacks is mostly memory. All of
this blocks and is called in threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from services.stt.choose import PULL, Candidate
from services.stt.engine import (
    RATE_HZ,
    Batching,
    Clip,
    Closable,
    Decoding,
    EngineInfo,
    Incremental,
    Measuring,
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
        self.batch_failures = 0
        """In a row; so many that none is tried any more are as good as ``max_batch`` 1."""
        self.warmup_ms = 0.0

    @property
    def info(self) -> EngineInfo | None:
        """What the loaded engine is."""
        if self.engine is None:
            return None
        info = self.engine.info
        return info if self.batch_failures < MAX_FAILURES else replace(info, max_batch=1)

    def ready(self) -> Transcriber:
        """Returns the engine, loading it if this is the first time. Raises ``EngineRefused``."""
        with self._lock:
            if self.engine is None:
                self.engine = self._load(self.candidate)
            return self.engine

    def prove(self) -> None:
        """Loads the engine, lets it hear quiet noise and measure itself. Raises what it raises."""
        began = time.perf_counter()
        noise = np.random.default_rng(0).normal(0.0, 0.003, RATE_HZ).astype(np.float32)
        engine = self.ready()
        engine.transcribe(Clip(pcm=noise, language="en"))
        if isinstance(engine, Measuring):
            engine.measure()
        self.warmup_ms = 1000 * (time.perf_counter() - began)
        self.state = "proven"

    def refuse(self, reason: str, hint: str = "") -> None:
        """Takes the engine out of the chain and says why."""
        self.state, self.detail, self.hint = "failed", reason, hint
        log.warning(
            "stt.engine_refused", engine=self.candidate.engine, model=self.candidate.model, reason=reason
        )

    def fail(self, error: EngineFailed) -> None:
        """Counts a failure and says so."""
        log.warning("stt.engine_failed", engine=error.engine, reason=error.reason)
        self.note(error)

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
        info = self.info
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


Attempt = Heard | EngineFailed | UnsupportedLanguage
"""What became of one clip of several."""


class Followed:
    """A decoding whose failures count against its engine; a ``Decoding`` itself.

    What fails because it was closed meanwhile, from another thread, counts against nobody.
    """

    def __init__(self, link: Link, info: EngineInfo, decoding: Decoding) -> None:
        self.info = info
        self._link, self._decoding = link, decoding
        self._is_closed = False

    def feed(self, pcm: Pcm) -> None:
        """Takes more audio. Raises ``EngineFailed``."""
        try:
            self._decoding.feed(pcm)
        except EngineFailed as error:
            self._fail(error)
            raise

    def draft(self) -> Transcript:
        """Returns what was said so far. Raises ``EngineFailed``."""
        try:
            transcript = self._decoding.draft()
        except EngineFailed as error:
            self._fail(error)
            raise
        self._link.note(None)
        return transcript

    def close(self) -> None:
        """Gives its place free; what it does in another thread fails."""
        self._is_closed = True
        self._decoding.close()

    def _fail(self, error: EngineFailed) -> None:
        if not self._is_closed:
            self._link.fail(error)

    @property
    def learnt(self) -> str:
        """See ``engine.Decoding``."""
        return self._decoding.learnt


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
        return link.info if link is not None else None

    def starters(self) -> list[Link]:
        """Those that may serve from the start, best first."""
        return [link for link in self.links if link.candidate.may_start]

    def refusal(self) -> EngineRefused:
        """Returns why nothing can serve: the reason of the engine that was wanted most."""
        first = self.links[0]
        return EngineRefused(first.candidate.engine, first.detail, hint=first.hint)

    def transcribe(self, clip: Clip) -> Heard:
        """Returns what is said, by the first engine that can.

        Raises:
            UnsupportedLanguage: the engine that serves does not know the clip's language.
            EngineFailed: none could.
        """
        language = clip.language
        unsupported: UnsupportedLanguage | None = None
        failure: EngineFailed | None = None
        for link in self.links:
            if link.state == "failed":
                continue
            try:
                engine = link.ready()
                if not knows(engine.info, language):
                    assert language is not None
                    unsupported = unsupported or UnsupportedLanguage(
                        engine.info.name, language, engine.info.languages
                    )
                    continue
                transcript = engine.transcribe(clip)
            except EngineRefused as refused:
                link.refuse(refused.reason, refused.hint)
            except EngineFailed as error:
                link.fail(error)
                failure = error
            else:
                link.note(None)
                link.state = "proven"
                return Heard(transcript=transcript, info=engine.info)
        raise failure or unsupported or EngineFailed("stt", "no engine is left")

    def transcribe_batch(self, clips: Sequence[Clip]) -> list[Attempt]:
        """Returns what became of each clip, in their order; raises nothing that concerns only some of them.

        One call of the engine that serves for as many as pay; those that it cannot take or did not answer go
        through ``transcribe`` one by one.
        """
        attempts: list[Attempt | None] = [None] * len(clips)
        link = self.serving
        info = link.info if link is not None else None
        if link is not None and info is not None:
            fit = [number for number, clip in enumerate(clips) if knows(info, clip.language)]
            for part in (fit[at : at + info.max_batch] for at in range(0, len(fit), info.max_batch)):
                for number, heard in zip(part, _together(link, info, [clips[n] for n in part]), strict=False):
                    attempts[number] = heard
        return [attempt or self._attempt(clip) for attempt, clip in zip(attempts, clips, strict=True)]

    def begin(self, language: str | None, learnt: str = "") -> Followed | None:
        """Returns a decoding by the engine that serves, to be fed while a person speaks.

        None where that engine cannot, does not know the language or has no room; then ``transcribe`` serves.
        """
        link = self.serving
        info = link.info if link is not None else None
        if link is None or info is None or not isinstance(link.engine, Incremental):
            return None
        try:
            decoding = link.engine.begin(language, learnt) if knows(info, language) else None
        except EngineFailed as error:
            link.fail(error)
            return None
        return Followed(link, info, decoding) if decoding is not None else None

    def _attempt(self, clip: Clip) -> Attempt:
        try:
            return self.transcribe(clip)
        except (EngineFailed, UnsupportedLanguage) as error:
            return error

    def close(self) -> None:
        """Lets the engines go."""
        for link in self.links:
            if isinstance(link.engine, Closable):
                link.engine.close()

    def facts(self) -> list[EngineFact]:
        """Returns what is published about the engines."""
        serving = self.serving
        return [link.fact(is_serving=link is serving) for link in self.links] + self._absent


def knows(info: EngineInfo, language: str | None) -> bool:
    """Whether the engine takes audio in that language; None: it has to find out itself."""
    return not language or not info.languages or language in info.languages


def _together(link: Link, info: EngineInfo, clips: Sequence[Clip]) -> list[Heard]:
    """Returns what one call made of all of them; nothing where they have to be tried one by one."""
    if len(clips) < 2 or not isinstance(link.engine, Batching):
        return []
    try:
        transcripts = link.engine.transcribe_batch(clips)
    except EngineFailed as error:
        link.batch_failures += 1
        log.warning("stt.batch_failed", engine=error.engine, clips=len(clips), reason=error.reason)
        return []
    link.batch_failures = 0
    link.note(None)
    return [Heard(transcript=transcript, info=info) for transcript in transcripts]
