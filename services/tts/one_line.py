"""``python -m services.tts.one_line``: speaks one text without a broker, for `eva voices try`.

Reads a wish as JSON from stdin. Writes to stdout one line of JSON for each event, and behind each ``sound``
the announced number of bytes of PCM; what goes wrong is an event too.
"""

from __future__ import annotations

import sys
import time
from typing import BinaryIO

import msgspec

from services.tts.choose import choose
from services.tts.lanes import Listener
from services.tts.segment import Orders, make
from services.tts.settings import TtsSettings
from shared.errors import EvaError
from shared.messages import AudioFormat, Synthesize


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said, and how."""

    text: str
    rate_hz: int = 24000
    language: str = ""
    voice: str = ""
    speed: float = 1.0
    mood: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened: ``loaded``, ``sound``, ``done`` or ``failed``."""

    event: str
    ms: float = 0.0
    """``loaded``: since the process began to load; ``sound``: since it began to speak."""
    size_bytes: int = 0
    """Of the sound behind this line, PCM of 16 bits."""
    engine: str = ""
    device: str = ""
    voice: str = ""
    is_degraded: bool = False
    reason: str = ""
    hint: str = ""


def speak(wish: Wish, settings: TtsSettings, out: BinaryIO) -> int:
    """Speaks a wish; returns the exit code. Blocks."""
    began_s = time.monotonic()
    try:
        chain = choose(settings)
        _tell(out, Event(event="loaded", ms=_since_ms(began_s)))
        began_s = time.monotonic()
        item = Synthesize(
            gw="", sid="", turn=1, attempt=1, segment=0, text=wish.text, remaining_ms=0,
            audio=AudioFormat(rate_hz=wish.rate_hz), language=wish.language, voice=wish.voice,
            speed=wish.speed, mood=wish.mood,
        )  # fmt: skip
        orders = Orders(chunk_ms=settings.tts_chunk_ms, listener=Listener(), asked=[], moods=settings.moods)
        for made in make(chain, item, orders):
            sound = Event(
                event="sound", ms=_since_ms(began_s), size_bytes=len(made.chunk.data),
                engine=made.engine.name, device=made.engine.device, voice=made.voice.name,
                is_degraded=made.engine.is_degraded,
            )  # fmt: skip
            _tell(out, sound, made.chunk.data)
    except EvaError as error:
        _tell(out, Event(event="failed", reason=str(error), hint=str(getattr(error, "hint", ""))))
        return 1
    _tell(out, Event(event="done", ms=_since_ms(began_s)))
    return 0


def _since_ms(began_s: float) -> float:
    return round(1000 * (time.monotonic() - began_s), 1)


def _tell(out: BinaryIO, event: Event, sound: bytes = b"") -> None:
    out.write(msgspec.json.encode(event) + b"\n" + sound)
    out.flush()


if __name__ == "__main__":
    sys.exit(
        speak(msgspec.json.decode(sys.stdin.buffer.read(), type=Wish), TtsSettings.read(), sys.stdout.buffer)
    )
