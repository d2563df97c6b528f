"""(d) What a listener hears of voices that break, and of a worker that is killed: real processes.

The voices are the small ones of the tests, whose words can be read back from their sound; they are whole
until somebody asks for faster speech. The worker is killed in the middle of a sentence of the measured voice.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.voice_load import Playout
from benchmarks.voice_models import TEXTS, Model, now_ms
from shared.audio import from_pcm16
from shared.messages import AudioChunk, SegmentDone, Working
from tests.e2e.house import OWN, RATE_HZ, STAGES, House, Service
from tests.e2e.spy import Spy, spying
from tests.models import broken_voice, tiny_voice, tiny_whisper
from tests.models.broken_voice import SPEED, Fault

WHOLE, FRENCH = "en_US-whole-low", "fr_FR-nan-low"
TEXT = "Hello there, nothing of this is lost today."
FRENCH_TEXT = "Bonjour, rien de tout cela ne se perd."
KILL_TEXT = " ".join([TEXTS[40]] * 2)
START_S = 180.0
NAMES: dict[Fault, str] = {
    "nan": "NaN in the weights' product",
    "silent": "silence",
    "memory": "out of memory (ONNX Runtime's allocator fails)",
    "clipped": "all samples at full scale",
    "short": "ends after 23 ms",
    "endless": "60 times too long",
}


@dataclass(frozen=True)
class Fate:
    """What one request came to."""

    fault: str
    heard_from: str
    words: str
    first_ms: float
    silence_ms: float
    """The longest silence within the sound."""


def install(models_dir: Path, model: Model) -> None:
    """Puts the voices where EVA looks for them."""
    tiny_whisper.install(models_dir)
    tiny_voice.install(models_dir, WHOLE, rate_hz=RATE_HZ)
    for fault in NAMES:
        broken_voice.install(models_dir, fault, f"en_US-{fault}-low", rate_hz=RATE_HZ)
    broken_voice.install(models_dir, "nan", FRENCH, rate_hz=RATE_HZ, language="fr_FR", espeak_voice="fr")
    broken_voice.truncate(tiny_voice.install(models_dir, "en_US-truncated-low", rate_hz=RATE_HZ))
    shutil.copytree(model.path.parent, models_dir / "tts" / model.name, dirs_exist_ok=True)


@contextlib.asynccontextmanager
async def _home(model: Model) -> AsyncIterator[House]:
    """Two workers of the voice."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        install(folder / "models", model)
        variables = {
            "EVA_TTS_VOICE": WHOLE, "EVA_TTS_DEVICE": "cpu", "EVA_TTS_THREADS": str(model.threads),
        }  # fmt: skip
        home = House(folder, deadlines=OWN, **variables)
        try:
            await home.server.start()
            await asyncio.gather(*(home.start(name) for name in (*STAGES, "tts2")))
            await _ready(home)
            yield home
        finally:
            await home.close()


async def _ready(home: House) -> None:
    """Waits until both workers are; a voice of true size says some long lines before it is."""
    async with asyncio.timeout(START_S):
        while True:
            with contextlib.suppress(httpx.TransportError, StopIteration):
                if (await home.http.get(f"{home.url}/readyz")).is_success:
                    health = await home.health()
                    if health["stages"]["tts"]["workers"] == 2:
                        return
            await asyncio.sleep(0.2)


async def hear(home: House, playout: Playout, text: str, **fields: object) -> bytes:
    """Returns a text's sound; notes when it came."""
    asked = {"text": text, "format": "pcm", "sample_rate_hz": RATE_HZ, **fields}
    pcm = b""
    async with home.http.stream("POST", f"{home.url}/tts", json=asked) as answer:
        answer.raise_for_status()
        async for piece in answer.aiter_bytes():
            playout.take(len(piece) / 2 / RATE_HZ, now_ms())
            pcm += piece
    return pcm


async def _spoken(home: House, fault: str, promised: Sequence[str], text: str, **fields: object) -> Fate:
    playout = Playout(now_ms())
    async with spying(home) as spy:
        pcm = await hear(home, playout, text, **fields)
        by = await spy.hears(SegmentDone, lambda done: done.samples == len(pcm) // 2)
    heard = tiny_voice.decode(from_pcm16(pcm), RATE_HZ)
    words = "all, exactly" if heard == promised else f"{len(heard)} of {len(promised)} sounds read back"
    return _fate(fault, f"{by.engine} {by.model}", words if promised else "in the offline voice", playout)


def _fate(fault: str, heard_from: str, words: str, playout: Playout) -> Fate:
    return Fate(fault, heard_from, words, playout.first_ms or 0.0, max(playout.gaps_ms, default=0.0))


async def _killed(home: House, model: Model, undisturbed_s: float) -> Fate:
    playout = Playout(now_ms())
    async with spying(home) as spy:
        speaking = asyncio.create_task(hear(home, playout, KILL_TEXT, voice=model.name, language="en"))
        await spy.hears(AudioChunk)
        lost = next(it for it in home.services.values() if it.worker == spy.of(Working)[-1].worker)
        await lost.kill()
        pcm = await speaking
        await _back(spy, lost)
    share = len(pcm) / 2 / RATE_HZ / undisturbed_s
    return _fate(
        "worker killed in mid-sentence",
        f"the other worker, {model.name}",
        f"{share:.0%} of the length",
        playout,
    )


async def _back(spy: Spy, lost: Service) -> None:
    """Starts a killed worker again and waits until it takes work."""
    await lost.start()
    async with asyncio.timeout(START_S):
        while True:
            with contextlib.suppress(TimeoutError):
                return await spy.sees_ready(lost.worker)


async def fates(model: Model, count: int) -> list[Fate]:
    """Returns what became of each request, ``count`` of each kind."""
    async with _home(model) as home:
        usual: dict[str, object] = {"language": "en", "speed": SPEED}
        pcm = await hear(home, Playout(now_ms()), TEXT, voice=WHOLE, **usual)
        promised = tiny_voice.decode(from_pcm16(pcm), RATE_HZ)
        asked: list[tuple[str, Sequence[str], str, dict[str, object]]] = [
            ("none", promised, TEXT, {"voice": WHOLE, **usual}),
            *(
                (name, promised, TEXT, {"voice": f"en_US-{fault}-low", **usual})
                for fault, name in NAMES.items()
            ),
            ("NaN, and no other voice of the language", (), FRENCH_TEXT, {"language": "fr", "speed": SPEED}),
            ("truncated file, asked for by name", promised, TEXT, {"voice": "en_US-truncated-low", **usual}),
        ]
        found = [
            await _spoken(home, fault, words, text, **fields)
            for fault, words, text, fields in asked
            for _ in range(count)
        ]
        whole = await hear(home, Playout(now_ms()), KILL_TEXT, voice=model.name, language="en")
        found += [await _killed(home, model, len(whole) / 2 / RATE_HZ) for _ in range(count)]
    return found
