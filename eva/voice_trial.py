"""A text spoken by one voice: through a running EVA, or by the voice's engines in a process of their own."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from eva.gateway_client import Gateway
from eva.output import complain, progress, result_json
from eva.sound import Player, open_output
from eva.voice_rows import VoiceRow
from eva.wav import write_wav
from services.tts.one_line import Event, Wish

RATE_HZ: Final = 24000
LOAD_WITHIN_S: Final = 120.0
_SILENCE_DBFS: Final = -100.0
_BAR: Final = 30
_TEXTS = {
    "en": "Hello, I am EVA. This is how I sound when I talk to you.",
    "fr": "Bonjour, je suis EVA. Voilà comment je parle quand je m'adresse à toi.",
}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What ``eva voices try`` was asked for."""

    text: str
    voice: str
    language: str = ""
    out: Path | None = None
    mood: str = ""
    speed: float = 1.0
    url: str = ""
    """Of the EVA that runs; empty: none does."""
    due: VoiceRow | None = None
    """Whose turn it is, by what the EVA that runs tells of its voices."""
    is_json: bool = False


@dataclass
class Heard:
    """What came of it."""

    pcm: bytearray = field(default_factory=bytearray)
    first_audio_ms: float = 0.0
    """From the wish to its first sound; loading does not count."""
    load_ms: float = 0.0
    """0: an EVA had it loaded."""
    engine: str = ""
    device: str = ""
    voice: str = ""
    """That spoke at the end; of a running EVA the one that is due, empty where it does not tell."""
    is_degraded: bool = False
    problem: str = ""
    hint: str = ""


def trial_text(language: str) -> str:
    """Returns something to say in a language; English where EVA has nothing of its own."""
    return _TEXTS.get(language, _TEXTS["en"])


def level_dbfs(pcm: bytes) -> float:
    """Returns the root mean square of PCM of 16 bits against full scale, dB; -100 for silence."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64) / 32768
    rms = math.sqrt(float(np.mean(samples**2))) if len(samples) else 0.0
    return max(_SILENCE_DBFS, 20 * math.log10(rms)) if rms > 0 else _SILENCE_DBFS


def bar(dbfs: float) -> str:
    """Returns a level as a bar, from -60 dBFS to full scale."""
    filled = round(_BAR * min(1.0, max(0.0, (dbfs + 60) / 60)))
    return "█" * filled + "░" * (_BAR - filled)


async def try_voice(trial: Trial) -> int:
    """Speaks; plays or writes the sound, tells how it went. Returns the exit code.

    Raises:
        NotRunning: the EVA has gone meanwhile.
        GatewayRefused: EVA cannot speak it; says why.
    """
    heard = Heard()
    pieces = _through_eva(trial, heard) if trial.url else _by_process(trial, heard)
    with contextlib.ExitStack() as stack:
        player = _player(stack) if trial.out is None and not trial.is_json else None
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                heard.pcm += piece
                if player is not None:
                    player.play("voice", piece)
    return _tell(trial, heard)


async def _through_eva(trial: Trial, heard: Heard) -> AsyncGenerator[bytes]:
    wish: dict[str, Any] = {
        "text": trial.text, "voice": trial.voice, "language": trial.language, "speed": trial.speed,
        "mood": trial.mood, "format": "pcm", "sample_rate_hz": RATE_HZ,
    }  # fmt: skip
    began_s = time.monotonic()
    async with Gateway(trial.url) as gateway, gateway.spoken(wish) as answer:
        heard.engine = answer.headers.get("x-eva-engine", "")
        heard.device = answer.headers.get("x-eva-device", "")
        if trial.due is not None:
            heard.voice, heard.is_degraded = trial.due.name, trial.due.is_degraded
            heard.engine, heard.device = trial.due.engine, trial.due.device
        async for piece in _whole_samples(answer.aiter_bytes()):
            heard.first_audio_ms = heard.first_audio_ms or 1000 * (time.monotonic() - began_s)
            yield piece


async def _whole_samples(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held = b""
    async for part in parts:
        held += part
        even = len(held) & ~1
        if even:
            yield held[:even]
        held = held[even:]


async def _by_process(trial: Trial, heard: Heard) -> AsyncGenerator[bytes]:
    progress("No EVA runs here: loading the voices for this once…")
    wish = Wish(
        text=trial.text, rate_hz=RATE_HZ, language=trial.language, voice=trial.voice, speed=trial.speed,
        mood=trial.mood,
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.tts.one_line",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(wish))
        process.stdin.close()
        async with asyncio.timeout(LOAD_WITHIN_S):
            while line := await process.stdout.readline():
                event = msgspec.json.decode(line, type=Event)
                _note(event, heard)
                if event.size_bytes:
                    yield await process.stdout.readexactly(event.size_bytes)
            await process.wait()
    except (TimeoutError, asyncio.IncompleteReadError, msgspec.DecodeError) as error:
        heard.problem = f"the voice's process broke off: {type(error).__name__}"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _note(event: Event, heard: Heard) -> None:
    if event.event == "loaded":
        heard.load_ms = event.ms
    elif event.event == "sound":
        heard.first_audio_ms = heard.first_audio_ms or event.ms
        heard.engine, heard.device, heard.voice = event.engine, event.device, event.voice
        heard.is_degraded = heard.is_degraded or event.is_degraded
    elif event.event == "failed":
        heard.problem, heard.hint = event.reason, event.hint


def _player(stack: contextlib.ExitStack) -> Player | None:
    output = open_output(RATE_HZ)
    if output is None:
        progress("There is nothing to play sound with on this machine; --out FILE writes it.")
        return None
    return stack.enter_context(Player(output, RATE_HZ))


def _tell(trial: Trial, heard: Heard) -> int:
    pcm = bytes(heard.pcm)
    seconds, dbfs = len(pcm) / 2 / RATE_HZ, level_dbfs(pcm)
    problem = heard.problem or ("" if pcm else "no sound came")
    if trial.out is not None and pcm:
        write_wav(trial.out, RATE_HZ, pcm)
    if trial.is_json:
        result_json(
            {
                "asked": trial.voice,
                "voice": heard.voice,
                "engine": heard.engine,
                "device": heard.device,
                "is_degraded": heard.is_degraded,
                "first_audio_ms": round(heard.first_audio_ms, 1),
                "load_ms": heard.load_ms,
                "audio_s": round(seconds, 3),
                "level_dbfs": round(dbfs, 1),
                "text": trial.text,
                "out": trial.out,
                "error": problem or None,
            }
        )
    elif pcm:
        who = " ".join(filter(None, (heard.engine, heard.voice or f"asked for {trial.voice}")))
        notes = [heard.device, "degraded" if heard.is_degraded else ""]
        progress(f"voice {who} ({', '.join(filter(None, notes))})")
        loading = f", loaded in {heard.load_ms:.0f} ms" if heard.load_ms else ""
        progress(f"first sound after {heard.first_audio_ms:.0f} ms, {seconds:.1f} s in all{loading}")
        progress(f"{bar(dbfs)} {dbfs:.0f} dBFS")
    if trial.out is not None and pcm:
        progress(f"Wrote {trial.out}.")
    if problem:
        complain(problem, hint=heard.hint)
    return 1 if problem else 0
