"""The worker's life: prove an engine, hear the claimed sessions, say what is true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from msgspec import structs

from services.stt.chain import Chain, Heard, Link
from services.stt.choose import slots_for
from services.stt.claims import Claims
from services.stt.desk import Desk, Priority
from services.stt.ears import Ears
from services.stt.endpoint import Endpointer, EndpointPolicy
from services.stt.engine import Clip, Resampler, TurnModel, VoiceActivity, short_language
from services.stt.file_job import FileJob
from services.stt.lease import Lease
from services.stt.scribe import Scribe
from services.stt.teller import Counts, Teller
from services.stt.threads import DaemonPool
from services.stt.turn_sense import TurnSense
from services.stt.utterance import Session
from shared.bus import Bus
from shared.errors import EngineFailed, EngineRefused
from shared.instruments import Instruments
from shared.messages import EngineFact, Facts, OpenEars, OpenFile, Stage, State
from shared.observe import Log
from shared.service import tell_facts

log = Log("eva.stt")

MIN_SILENCE_MS, MAX_SILENCE_MS = 100, 5000
MIN_ONSET, MAX_ONSET = 0.2, 0.95


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """What the operator decides."""

    worker: str
    pid: int
    device_wanted: str = "auto"
    slots: int = 0
    """0: as the engine's device allows."""
    language: str = ""
    """Of sessions that name none."""
    idle_s: float = 60.0
    warmup_s: float = 60.0
    engine_timeout_s: float = 30.0
    policy: EndpointPolicy = field(default_factory=EndpointPolicy)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What ``__main__`` brings: the vendors' parts behind our protocols."""

    make_chain: Callable[[], Chain]
    """Looks at what is there; blocks; raises ``EngineRefused``."""
    load_voice_activity: Callable[[], VoiceActivity]
    """Loads the voice activity detector; blocks."""
    make_resampler: Callable[[int], Resampler]
    """For a rate in Hz."""
    load_turn_model: Callable[[], TurnModel | None] = lambda: None
    """Loads and proves the turn model, where there is one; blocks; raises ``EngineRefused``."""
    clock_s: Callable[[], float] = time.monotonic
    """Tells what an engine's calls cost."""


class SttWorker:
    """Hears the sessions that it has claimed."""

    stage: Stage = "stt"

    def __init__(
        self, options: WorkerOptions, parts: Parts, *, instruments: Instruments | None = None
    ) -> None:
        self._options, self._parts = options, parts
        self.instruments = instruments or Instruments()
        self._counts = Counts()
        self._chain: Chain | None = None
        self._desk: Desk | None = None
        self._claims: Claims | None = None
        self._voice_activity: VoiceActivity
        self._sense: TurnSense | None = None
        self._slots = options.slots
        self._warm_at: float | None = None
        self._is_draining = False

    async def warm_up(self) -> None:
        """Loads the detector and the first engine of the chain that proves itself."""
        self._voice_activity = await asyncio.to_thread(self._parts.load_voice_activity)
        chain = await asyncio.to_thread(self._parts.make_chain)
        self._chain = chain
        for link in chain.starters():
            if await self._prove(link):
                break
        info = chain.info
        if info is None:
            chain.close()
            raise chain.refusal()
        self._slots = self._options.slots or slots_for(info)
        self._desk = Desk(
            chain,
            parallel=info.parallel,
            timeout_s=self._options.engine_timeout_s,
            meter=self.instruments.meter,
            clock_s=self._parts.clock_s,
        )
        await self._load_turn_model()
        self._warm_at = asyncio.get_running_loop().time()
        log.info("stt.engine", engine=info.name, model=info.model, device=info.device)

    async def _prove(self, link: Link) -> bool:
        thread = DaemonPool(1, "stt-proof")
        try:
            async with asyncio.timeout(self._options.warmup_s):
                await asyncio.wrap_future(thread.submit(link.prove))
        except (EngineRefused, EngineFailed) as error:
            link.refuse(error.reason, getattr(error, "hint", ""))
        except TimeoutError:
            link.refuse(f"not warm within {self._options.warmup_s:g} s")
        finally:
            thread.close()
        return link.state == "proven"

    async def _load_turn_model(self) -> None:
        """The turn model is a witness more: without it the words and the silence decide."""
        try:
            model = await asyncio.to_thread(self._parts.load_turn_model)
        except (EngineRefused, EngineFailed) as error:
            hint = getattr(error, "hint", "")
            log.warning("stt.turn_model_refused", engine=error.engine, reason=error.reason, hint=hint)
            return
        if model is not None:
            self._sense = TurnSense(model)
            log.info("stt.turn_model", model=model.info.model)

    async def serve(self, bus: Bus) -> None:
        """Hears sessions until drained. Raises ``EngineFailed`` when no engine answers any more."""
        desk = self._desk
        assert desk is not None
        self._claims = Claims(
            bus,
            self._options.worker,
            slots=self._slots,
            make=self._lease,
            make_file=self._file_job,
            info=lambda: desk.info,
        )
        if self._is_draining:
            self._claims.drain()
        try:
            await self._unless_lost(bus, desk, self._claims)
        finally:
            desk.close()
            if self._sense is not None:
                self._sense.close()

    async def _unless_lost(self, bus: Bus, desk: Desk, claims: Claims) -> None:
        """Runs the claims until they are drained; raises ``EngineFailed`` as soon as no engine answers."""
        async with asyncio.TaskGroup() as tasks:
            lost = tasks.create_task(desk.lost.wait(), name="stt-lost")
            running = tasks.create_task(claims.run(), name="stt-claims")
            telling = tasks.create_task(self._tell_ready(bus, claims), name="stt-ready")
            await asyncio.wait({lost, running}, return_when=asyncio.FIRST_COMPLETED)
            telling.cancel()
            if lost.done():
                raise EngineFailed("stt", "no engine answers any more; the process is to be started anew")
            lost.cancel()

    async def _tell_ready(self, bus: Bus, claims: Claims) -> None:
        """Who says that they are ready can be claimed: the facts say so when the subscription stands."""
        await claims.listening.wait()
        await tell_facts(bus, self)

    def drain(self) -> None:
        """Claims no session more and gives up those it has."""
        self._is_draining = True
        if self._claims is not None:
            self._claims.drain()

    def facts(self) -> Facts:
        """Returns what is true now."""
        chain, desk, counts = self._chain, self._desk, self._counts
        info = chain.info if chain is not None else None
        numbers: dict[str, float] = {
            "frames_dropped": counts.frames_dropped,
            "frames_lost": counts.frames_lost,
            "frames_unusable": counts.frames_unusable,
            "drafts": counts.drafts,
            "drafts_used": counts.drafts_used,
            "partials": counts.partials,
            "settled": counts.settled,
        }
        if desk is not None:
            numbers |= {
                "transcribe_ms": 1000 * desk.wall_s,
                "rtf": desk.rtf,
                "partials_shed": desk.partials_shed,
                "batches": desk.batches,
            }
        if chain is not None and chain.serving is not None:
            numbers["warmup_ms"] = chain.serving.warmup_ms
        success_at = counts.succeeded_at or self._warm_at
        return Facts(
            stage=self.stage,
            worker=self._options.worker,
            state=self._state(),
            pid=self._options.pid,
            engines=self._engines(),
            device_wanted=self._options.device_wanted,
            slots=self._slots,
            busy=len(self._claims) if self._claims is not None else 0,
            done=counts.done,
            failed=counts.failed,
            last_success_s=None if success_at is None else asyncio.get_running_loop().time() - success_at,
            languages=list(info.languages) if info is not None else [],
            numbers=numbers,
        )

    def _engines(self) -> list[EngineFact]:
        """The chain, and behind an engine that serves, what helps it to tell the end of a turn."""
        if self._chain is None:
            return []
        sense = self._sense if self._chain.info is not None else None
        return self._chain.facts() + ([sense.fact] if sense is not None else [])

    def _state(self) -> State:
        if self._is_draining:
            return "draining"
        is_listening = self._claims is not None and self._claims.listening.is_set()
        if self._chain is None or self._desk is None or not is_listening:
            return "starting"
        info = self._chain.info
        if info is None:
            return "failed"
        is_first = self._chain.serving is self._chain.links[0]
        return "ready" if is_first and not info.is_degraded else "degraded"

    def _lease(self, opened: OpenEars, teller: Teller) -> Lease:
        assert self._desk is not None
        options = self._options
        endpointer = Endpointer(policy=_policy(options.policy, opened))
        ears = Ears(self._parts.make_resampler(opened.rate_hz), endpointer, rate_hz=opened.rate_hz)
        session = Session(
            lease=opened.lease,
            ears=ears,
            desk=self._desk,
            teller=teller,
            counts=self._counts,
            meter=self.instruments.meter,
            language=short_language(opened.language or options.language),
        )
        scribe = Scribe(session, detection=opened.turn_detection, sense=self._sense)
        voice = self._voice_activity.open()
        return Lease(opened, session, voice, scribe, worker=options.worker, idle_s=options.idle_s)

    def _file_job(self, opened: OpenFile, teller: Teller) -> FileJob:
        desk = self._desk
        assert desk is not None
        assert desk.info is not None
        language = opened.language or self._options.language
        opened = structs.replace(opened, language=language or None)

        async def transcribe(clip: Clip) -> Heard:
            return await desk.transcribe(clip, Priority.FILE)

        return FileJob(opened, transcribe, self._voice_activity.open(), teller, desk.info)


def _policy(policy: EndpointPolicy, opened: OpenEars) -> EndpointPolicy:
    """Returns the operator's policy with what the session wants, within bounds."""

    def bounded(milliseconds: int) -> int:
        return min(max(milliseconds, MIN_SILENCE_MS), MAX_SILENCE_MS)

    shortest_ms = bounded(opened.min_silence_ms)
    return replace(
        policy,
        onset=min(max(opened.onset, MIN_ONSET), MAX_ONSET),
        detection=opened.turn_detection,
        end_silence_ms=bounded(opened.end_silence_ms),
        min_silence_ms=shortest_ms,
        max_silence_ms=max(shortest_ms, bounded(opened.max_silence_ms)),
        pace_ms=max(0.0, opened.pace_ms),
    )
