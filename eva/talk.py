"""``eva talk``: spoken turns, from the microphone until Ctrl-C, or from a file in real time.

From the microphone it is half duplex unless told otherwise: a terminal has no echo cancelling, so while EVA's
answer sounds she is asked not to listen. A file is followed by silence until all that was said in it has been
answered; it has no echo, so what is said over an answer is judged. With push-to-talk a press of the key means
what it says: it stops the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from eva.captions import Captions
from eva.dialogue import Turn, track
from eva.keyboard import on_press
from eva.line import Line, line
from eva.output import complain, progress, result_json
from eva.say import RATE_HZ, report, verdict
from eva.sound import Player, Room
from eva.wav import Sound, read_wav, resampled, write_wav
from eva.wishes import BargeInMode
from services.gateway.chat_protocol import (
    AudioIn,
    AudioOut,
    BargeIn,
    EndOfSpeech,
    InputRate,
    Interrupt,
    Start,
    Timings,
    TurnTaking,
)
from shared.errors import BadInput, EvaError

MIC_RATE_HZ: Final = 16000


@dataclass(frozen=True, kw_only=True)
class TalkOptions:
    """What ``eva talk`` was asked for."""

    url: str
    wav: Path | None = None
    out: Path | None = None
    language: str = ""
    is_json: bool = False
    barge_in: BargeInMode | None = None
    """None: what suits where the speech comes from."""
    is_hands_free: bool = True
    """False: push-to-talk."""
    patience_s: float | None = None
    """The longest silence inside a turn that is waited for; None: EVA's default."""


class NoMicrophone(EvaError):
    """This machine has none, and no file was given."""

    code = "no_microphone"


def usable(sound: Sound) -> Sound:
    """Returns the sound at a rate that EVA takes."""
    return sound if sound.rate_hz in get_args(InputRate) else resampled(sound, MIC_RATE_HZ)


def spoken_start(
    rate_hz: int,
    language: str = "",
    *,
    turn_taking: TurnTaking | None = None,
    barge_in: BargeIn | None = None,
) -> Start:
    """Returns the opening of a spoken conversation; ``rate_hz`` is one that EVA takes."""
    rate: Any = rate_hz
    return Start(
        language=language,
        audio_in=AudioIn(rate_hz=rate),
        audio_out=AudioOut(format="pcm", rate_hz=RATE_HZ),
        turn_taking=turn_taking or TurnTaking(),
        barge_in=barge_in or BargeIn(),
        timings=Timings(words=True),
    )


def wished_start(options: TalkOptions, rate_hz: int) -> Start:
    """Returns the opening that the options ask for. Raises ``BadInput``."""
    is_open = options.wav is None and options.is_hands_free
    fitting: BargeInMode = "half_duplex" if is_open else "judge" if options.is_hands_free else "immediate"
    barge_in = BargeIn(mode=options.barge_in or fitting)
    return spoken_start(rate_hz, options.language, turn_taking=turn_taking(options), barge_in=barge_in)


def turn_taking(options: TalkOptions) -> TurnTaking:
    """Returns how the end of a turn is decided. Raises ``BadInput``: a patience that is out of bounds."""
    if not options.is_hands_free:
        return TurnTaking(mode="manual")
    if options.patience_s is None:
        return TurnTaking()
    if not 0.1 <= options.patience_s <= 5.0:
        raise BadInput("patience is 0.1 to 5 seconds", param="patience")
    most_ms = round(options.patience_s * 1000)
    return TurnTaking(min_silence_ms=min(TurnTaking().min_silence_ms, most_ms), max_silence_ms=most_ms)


async def talk(options: TalkOptions, room: Room | None = None) -> int:
    """Has the conversation; returns the exit code."""
    captions = Captions(is_quiet=options.is_json)
    if options.wav is not None:
        return await _talk_from_file(options, options.wav, captions)
    return await _talk_live(options, captions, room or Room())


async def _talk_from_file(options: TalkOptions, wav: Path, captions: Captions) -> int:
    sound = usable(read_wav(wav))
    async with line(options.url, wished_start(options, sound.rate_hz), captions.show) as talked:
        talked.speak(sound)
        ended_s = await talked.spoken()
        if not options.is_hands_free:
            await talked.socket.send(EndOfSpeech())
        await talked.answered(finals=1)
    _keep(options, talked, since_s=ended_s)
    turns = talked.dialogue.turns
    gave_way = gave_way_to_the_tape(turns)
    rest = [turn for turn in turns if turn not in gave_way]
    problems = [problem for turn in rest if (problem := verdict(turn, wants_audio=True))]
    if gave_way:
        answers = "an answer" if len(gave_way) == 1 else f"{len(gave_way)} answers"
        progress(
            f"{wav.name} goes on behind a pause: {answers} gave way to it (--push-to-talk hears it whole)"
        )
    if not any(turn.heard for turn in turns):
        problems = [talked.dialogue.last_error or "no words were understood"]
    for problem in problems:
        complain(problem)
    return 1 if problems else 0


def gave_way_to_the_tape(turns: Sequence[Turn]) -> list[Turn]:
    """Returns the turns whose answer was interrupted by what was said next and answered: no failures."""
    is_answered = any(turn.outcome == "done" for turn in turns)
    return [turn for turn in turns if is_answered and turn.outcome == "interrupted"]


async def _talk_live(options: TalkOptions, captions: Captions, room: Room) -> int:
    if not room.has_microphone():
        raise NoMicrophone("there is no microphone on this machine: use --wav FILE")
    start = wished_start(options, MIC_RATE_HZ)
    began_s = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        output = room.output(RATE_HZ)
        player = stack.enter_context(Player(output, RATE_HZ)) if output is not None else None
        talked = await stack.enter_async_context(
            line(options.url, start, captions.show, player=player, is_streaming=False)
        )
        talking = hands_free if options.is_hands_free else push_to_talk
        with _until_interrupted() as stop:
            async with asyncio.TaskGroup() as tasks:
                speaking = tasks.create_task(talking(talked, room), name="microphone")
                await stop.wait()
                speaking.cancel()
    _keep(options, talked, since_s=began_s)
    return 0


@contextlib.contextmanager
def _until_interrupted() -> Iterator[asyncio.Event]:
    """Yields what is set by Ctrl-C."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    try:
        yield stop
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def hands_free(talked: Line, room: Room) -> None:
    """Sends what the microphone hears."""
    progress("Speak; Ctrl-C ends the conversation.")
    async for frame in room.microphone(MIC_RATE_HZ):
        await talked.socket.send_frame(frame)


async def push_to_talk(talked: Line, room: Room) -> None:
    """Sends what the microphone hears between one press of the key and the next; nothing else leaves here."""
    progress("Space or Enter: speak, and again: done; Ctrl-C ends the conversation.")
    presses: asyncio.Queue[None] = asyncio.Queue()
    is_open = asyncio.Event()
    async with on_press(room.keyboard, lambda: presses.put_nowait(None)), asyncio.TaskGroup() as tasks:
        tasks.create_task(_send_open(talked, room, is_open), name="open microphone")
        while True:
            await presses.get()
            if is_open.is_set():
                is_open.clear()
                await _close_microphone(talked)
            else:
                await _open_microphone(talked)
                is_open.set()


async def _send_open(talked: Line, room: Room, is_open: asyncio.Event) -> None:
    async for frame in room.microphone(MIC_RATE_HZ):
        if is_open.is_set():
            await talked.socket.send_frame(frame)


async def _open_microphone(talked: Line) -> None:
    """The person wants to speak: EVA's answer ends."""
    turn_id, ms = talked.sounded()
    last = talked.dialogue.turns[-1] if talked.dialogue.turns else None
    if last is not None and last.turn_id == turn_id and ms < round(last.duration_ms):
        await talked.socket.send(Interrupt(played_ms=ms))
    elif last is not None and last.outcome == "open":
        await talked.socket.send(Interrupt())
    progress("● speak")


async def _close_microphone(talked: Line) -> None:
    progress("○ done")
    await talked.socket.send(EndOfSpeech())


def _keep(options: TalkOptions, talked: Line, *, since_s: float) -> None:
    """Writes what was asked for: EVA's side as sound, the turns as JSON."""
    turns = talked.dialogue.turns
    if options.out is not None and turns:
        write_wav(options.out, RATE_HZ, track(turns, rate_hz=RATE_HZ, starts_s=since_s))
        progress(f"Wrote {options.out}.")
    if options.is_json:
        session_id = talked.socket.ready.session_id
        result_json({"session_id": session_id, "turns": [report(turn, session_id) for turn in turns]})
