"""The worker's life: prove an engine, hear the claimed sessions, say what is true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from services.stt.chain import Chain, Link
from services.stt.choose import default_slots
from services.stt.claims import Claims
from services.stt.desk import Desk
from services.stt.ears import Ears
from services.stt.endpoint import Endpointer, EndpointPolicy
from services.stt.engine import Resampler, SpeechDetector
from services.stt.lease import Lease
from services.stt.scribe import Counts, Scribe, Teller
from services.stt.threads import DaemonPool
from shared.bus import Bus
from shared.errors import EngineFailed, EngineRefused
from shared.messages import Facts, OpenEars, Stage, State
from shared.observe import Log

log = Log("eva.stt")

MIN_SILENCE_MS, MAX_SILENCE_MS = 100, 5000


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
    make_detectors: Callable[[], Callable[[], SpeechDetector]]
    """Loads the voice activity detector (blocks); what it returns makes one for each session."""
    make_resampler: Callable[[int], Resampler]
    """For a rate in Hz."""


class SttWorker:
    """Hears the sessions that it has claimed."""

    stage: Stage = "stt"

    def __init__(self, options: WorkerOptions, parts: Parts) -> None:
        self._options, self._parts = options, parts
        self._counts = Counts()
        self._chain: Chain | None = None
        self._desk: Desk | None = None
        self._claims: Claims | None = None
        self._make_detector: Callable[[], SpeechDetector]
        self._slots = options.slots
        self._warm_at: float | None = None
        self._is_draining = False

    async def warm_up(self) -> None:
        """Loads the detector and the first engine of the chain that proves itself."""
        self._make_detector = await asyncio.to_thread(self._parts.make_detectors)
        chain = await asyncio.to_thread(self._parts.make_chain)
        self._chain = chain
        for link in chain.starters():
            if await self._prove(link):
                break
        info = chain.info
        if info is None:
            chain.close()
            raise chain.refusal()
        self._slots = self._options.slots or default_slots(info)
        self._desk = Desk(chain, parallel=info.parallel, timeout_s=self._options.engine_timeout_s)
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

    async def serve(self, bus: Bus) -> None:
        """Hears sessions until drained. Raises ``EngineFailed`` when no engine answers any more."""
        desk = self._desk
        assert desk is not None
        self._claims = Claims(
            bus, self._options.worker, slots=self._slots, make=self._lease, info=lambda: desk.info
        )
        if self._is_draining:
            self._claims.drain()
        try:
            await _unless_lost(desk, self._claims)
        finally:
            desk.close()

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
        }
        if desk is not None:
            numbers |= {
                "transcribe_ms": 1000 * desk.wall_s,
                "rtf": desk.rtf,
                "partials_shed": desk.partials_shed,
            }
        if chain is not None and chain.serving is not None:
            numbers["warmup_ms"] = chain.serving.warmup_ms
        success_at = counts.succeeded_at or self._warm_at
        return Facts(
            stage=self.stage,
            worker=self._options.worker,
            state=self._state(),
            pid=self._options.pid,
            engines=chain.facts() if chain is not None else [],
            device_wanted=self._options.device_wanted,
            slots=self._slots,
            busy=len(self._claims) if self._claims is not None else 0,
            done=counts.done,
            failed=counts.failed,
            last_success_s=None if success_at is None else asyncio.get_running_loop().time() - success_at,
            languages=list(info.languages) if info is not None else [],
            numbers=numbers,
        )

    def _state(self) -> State:
        if self._is_draining:
            return "draining"
        if self._chain is None or self._desk is None:
            return "starting"
        info = self._chain.info
        if info is None:
            return "failed"
        is_first = self._chain.serving is self._chain.links[0]
        return "ready" if is_first and not info.is_degraded else "degraded"

    def _lease(self, opened: OpenEars, teller: Teller) -> Lease:
        assert self._desk is not None
        options = self._options
        silence_ms = min(max(opened.end_silence_ms, MIN_SILENCE_MS), MAX_SILENCE_MS)
        endpointer = Endpointer(policy=replace(options.policy, end_silence_ms=silence_ms))
        resampler = self._parts.make_resampler(opened.rate_hz)
        ears = Ears(self._make_detector(), resampler, endpointer, rate_hz=opened.rate_hz)
        language = opened.language or options.language
        scribe = Scribe(opened.lease, language, self._desk, teller, self._counts)
        return Lease(opened, ears, scribe, teller, self._counts, worker=options.worker, idle_s=options.idle_s)


async def _unless_lost(desk: Desk, claims: Claims) -> None:
    """Runs the claims until they are drained; raises ``EngineFailed`` as soon as no engine answers."""
    async with asyncio.TaskGroup() as tasks:
        lost = tasks.create_task(desk.lost.wait(), name="stt-lost")
        running = tasks.create_task(claims.run(), name="stt-claims")
        await asyncio.wait({lost, running}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            raise EngineFailed("stt", "no engine answers any more; the process is to be started anew")
        lost.cancel()
