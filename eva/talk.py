"""``eva talk``: spoken turns, from the microphone until Ctrl-C, or from a file in real time.

From the microphone it is half duplex: while EVA's answer sounds, silence is sent, because a terminal has no
echo cancelling and EVA would interrupt itself. A file is followed by silence until all that was said in it
has been answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from eva.dialogue import Dialogue, track
from eva.line import Line, line
from eva.output import complain, progress, result, result_json
from eva.say import RATE_HZ, report, show_token, verdict
from eva.sound import Player, device_name, microphone, open_output
from eva.strip import served_by, strip
from eva.wav import Sound, read_wav, resampled, write_wav
from services.gateway.chat_protocol import (
    AudioIn,
    AudioOut,
    ErrorEvent,
    FinalEvent,
    InputRate,
    Interrupted,
    PartialEvent,
    ServerEvent,
    Start,
    Token,
    TurnDone,
)
from shared.errors import EvaError

MIC_RATE_HZ: Final = 16000


@dataclass(frozen=True, kw_only=True)
class TalkOptions:
    """What ``eva talk`` was asked for."""

    url: str
    wav: Path | None = None
    out: Path | None = None
    language: str = ""
    is_json: bool = False


class NoMicrophone(EvaError):
    """This machine has none, and no file was given."""

    code = "no_microphone"


def usable(sound: Sound) -> Sound:
    """Returns the sound at a rate that EVA takes."""
    return sound if sound.rate_hz in get_args(InputRate) else resampled(sound, MIC_RATE_HZ)


def spoken_start(rate_hz: int, language: str = "") -> Start:
    """Returns the opening of a spoken conversation; ``rate_hz`` is one that EVA takes."""
    rate: Any = rate_hz
    return Start(
        language=language,
        audio_in=AudioIn(rate_hz=rate),
        audio_out=AudioOut(format="pcm", rate_hz=RATE_HZ),
    )


class Captions:
    """Shows a conversation on the terminal: what was heard, what is answered, the strip of each turn."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._shown = ""
        self._is_quiet = is_quiet

    def show(self, dialogue: Dialogue, event: ServerEvent) -> None:
        """Shows one event."""
        if not self._is_quiet:
            self._write(dialogue, event)

    def _write(self, dialogue: Dialogue, event: ServerEvent) -> None:
        match event:
            case PartialEvent(text=text):
                progress(f"  … {text}")
            case FinalEvent(text=text) if text:
                result(f"You: {text}")
            case Token(turn_id=turn_id):
                if not self._shown:
                    result("EVA: ", end="")
                self._shown = show_token(dialogue.turn(turn_id).text, self._shown)
            case TurnDone() | Interrupted():
                if isinstance(event, TurnDone) and not self._shown:
                    result(f"EVA: {event.text}", end="")
                    self._shown = event.text
                self._end_line()
                progress("  " + strip(event.timeline))
                if isinstance(event, TurnDone):
                    progress("  " + served_by(event.engines))
            case ErrorEvent(message=message):
                self._end_line()
                complain(message)
            case _:
                pass

    def _end_line(self) -> None:
        if self._shown:
            result("")
        self._shown = ""


async def talk(options: TalkOptions) -> int:
    """Has the conversation; returns the exit code."""
    captions = Captions(is_quiet=options.is_json)
    if options.wav is not None:
        return await _talk_from_file(options, options.wav, captions)
    return await _talk_live(options, captions)


async def _talk_from_file(options: TalkOptions, wav: Path, captions: Captions) -> int:
    sound = usable(read_wav(wav))
    async with line(options.url, spoken_start(sound.rate_hz, options.language), captions.show) as talked:
        talked.speak(sound)
        ended_s = await talked.spoken()
        await talked.answered(finals=1)
    _keep(options, talked, since_s=ended_s)
    turns = talked.dialogue.turns
    problems = [problem for turn in turns if (problem := verdict(turn, wants_audio=True))]
    if not any(turn.heard for turn in turns):
        problems = [talked.dialogue.last_error or "no words were understood"]
    for problem in problems:
        complain(problem)
    return 1 if problems else 0


async def _talk_live(options: TalkOptions, captions: Captions) -> int:
    if device_name("input") is None:
        raise NoMicrophone("there is no microphone on this machine: use --wav FILE")
    output = open_output(RATE_HZ)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    progress("Speak; Ctrl-C ends the conversation.")
    began_s = time.monotonic()
    start = spoken_start(MIC_RATE_HZ, options.language)
    with contextlib.ExitStack() as stack:
        player = stack.enter_context(Player(output)) if output is not None else None
        async with (
            line(options.url, start, captions.show, player=player, is_streaming=False) as talked,
            asyncio.TaskGroup() as tasks,
        ):
            speaking = tasks.create_task(_send_microphone(talked), name="microphone")
            await stop.wait()
            speaking.cancel()
    _keep(options, talked, since_s=began_s)
    return 0


async def _send_microphone(talked: Line) -> None:
    """Sends what the microphone hears, and silence while EVA's answer sounds."""
    dialogue = talked.dialogue
    async for frame in microphone(MIC_RATE_HZ):
        is_sounding = bool(dialogue.turns) and time.monotonic() < dialogue.turns[-1].plays_until_s
        await talked.socket.send_frame(bytes(len(frame)) if is_sounding else frame)


def _keep(options: TalkOptions, talked: Line, *, since_s: float) -> None:
    """Writes what was asked for: EVA's side as sound, the turns as JSON."""
    turns = talked.dialogue.turns
    if options.out is not None and turns:
        write_wav(options.out, RATE_HZ, track(turns, rate_hz=RATE_HZ, starts_s=since_s))
        progress(f"Wrote {options.out}.")
    if options.is_json:
        session_id = talked.socket.ready.session_id
        result_json({"session_id": session_id, "turns": [report(turn, session_id) for turn in turns]})
