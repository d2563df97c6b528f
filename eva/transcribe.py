"""``eva transcribe``: a recording as text, with times if wanted, or as subtitles; any container.

The text is the result and goes to stdout (or to a file); how far it has got and what it took goes to stderr.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from eva.gateway_client import Gateway
from eva.output import is_plain, progress, result
from eva.strip import describe
from eva.wishes import TranscriptForm
from services.gateway.chat_protocol import EngineReport
from services.gateway.transcript import Transcription
from shared.errors import BadInput

MOST_BYTES = 25 * 1024 * 1024
"""EVA takes no more; a test holds both together."""

Sent = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class TranscribeOptions:
    """What ``eva transcribe`` was asked for."""

    url: str
    file: Path
    form: TranscriptForm = "text"
    language: str = ""
    has_words: bool = False
    out: Path | None = None


async def transcribe(options: TranscribeOptions) -> int:
    """Has the recording transcribed; returns the exit code.

    Raises:
        BadInput: the file cannot be read, is empty or too long, or the result cannot be written.
        NotRunning, GatewayRefused: no EVA is there, or she says no.
    """
    data = read_recording(options.file)
    wishes: dict[str, str] = {"response_format": "json" if options.form == "text" else options.form}
    if options.language:
        wishes["language"] = options.language
    if options.has_words:
        wishes["words"] = "true"
    with showing(options.file.name, is_live=not is_plain(sys.stderr)) as sent:
        async with Gateway(options.url) as gateway:
            answer = await gateway.transcribe(data, wishes, sent)
    if options.form in {"srt", "vtt"}:
        _write(answer.decode(), options.out)
        return 0
    told = msgspec.json.decode(answer, type=Transcription)
    if options.form == "json":
        _write(answer.decode() + "\n", options.out)
    else:
        _write(plain(told, has_words=options.has_words), options.out)
        progress(strip(told) if told.text else "There is no speech in it.")
    return 0


def read_recording(path: Path) -> bytes:
    """Returns the bytes of a recording. Raises ``BadInput``: it cannot be read, is empty or too long."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise BadInput(f"{path} is empty")
    if len(data) > MOST_BYTES:
        raise BadInput(f"{path} has {len(data) / 2**20:.0f} MiB, and a recording may have {MOST_BYTES >> 20}")
    return data


def plain(told: Transcription, *, has_words: bool) -> str:
    """Returns the text in lines: one a segment, or one a word with its times in seconds."""
    if not has_words:
        return "".join(f"{segment.text}\n" for segment in told.segments)
    return "".join(f"{start / 1000:8.2f} {end / 1000:8.2f}  {text}\n" for start, end, text in _times(told))


def _times(told: Transcription) -> Iterator[tuple[int, int, str]]:
    """Yields the words, or the segment where the engine tells none."""
    for segment in told.segments:
        if not segment.words:
            yield segment.start_ms, segment.end_ms, segment.text
        for word in segment.words:
            yield word.start_ms, word.end_ms, word.text


def strip(told: Transcription) -> str:
    """Returns one line: how long the recording is, how long it took, who listened."""
    report = EngineReport(
        engine=told.engine, model=told.model, device=told.device, is_degraded=told.is_degraded
    )
    times = told.duration_ms / told.total_ms if told.total_ms else 0.0
    speed = f"{told.duration_ms / 1000:.1f} s in {told.total_ms / 1000:.1f} s ({times:.0f} × real time)"
    return " · ".join(part for part in (speed, told.language, f"ears {describe(report)}") if part)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        result(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror or error}") from error
    progress(f"Wrote {out}.")


@contextlib.contextmanager
def showing(name: str, *, is_live: bool) -> Iterator[Sent]:
    """Shows how much was sent, and that EVA is at it; yields what is to be told so.

    ``is_live``: on a terminal that can be written over.
    """
    if not is_live:
        progress(f"Transcribing {name}…")
        yield lambda _sent, _total: None
        return
    console = Console(file=sys.stderr, force_terminal=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    )
    with bar:
        task = bar.add_task(f"Sending {name}…", total=1.0)

        def sent(done: int, total: int) -> None:
            is_sent = done >= total
            what = f"Listening to {name}…" if is_sent else f"Sending {name}…"
            bar.update(task, description=what, completed=done / total, total=None if is_sent else 1.0)

        yield sent
