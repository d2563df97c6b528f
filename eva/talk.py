"""``eva talk``: spoken turns, from the microphone until Ctrl-C, or from a file in real time.

From the microphone it is half duplex: while EVA's answer sounds, nothing is sent, because a terminal has no
echo cancelling and EVA would interrupt itself. A file is followed by silence until all that was said in it
has been answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from eva.chat_client import ChatSocket, conversation
from eva.dialogue import Dialogue, track
from eva.output import complain, progress, result, result_json
from eva.say import RATE_HZ, NoAnswer, report, show_token, verdict
from eva.sound import Player, device_name, microphone, open_output
from eva.strip import served_by, strip
from eva.wav import FRAME_MS, Sound, frames, read_wav, resampled, write_wav
from services.gateway.chat_protocol import (
    AudioEvent,
    AudioIn,
    AudioOut,
    FinalEvent,
    Flush,
    Interrupted,
    PartialEvent,
    ServerEvent,
    Start,
    Stop,
    Token,
    TurnDone,
)
from shared.errors import EvaError

INPUT_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
MIC_RATE_HZ = 16000
UNHEARD_S = 4.0
"""So much silence behind a file in which nothing was heard ends the conversation."""
ANSWER_TIMEOUT_S = 60.0


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


class Line:
    """One conversation over a socket: what was said, shown as it comes."""

    def __init__(self, socket: ChatSocket, *, show: Callable[[Dialogue, ServerEvent], None]) -> None:
        self.socket = socket
        self.dialogue = Dialogue()
        self.changed = asyncio.Event()
        self._show = show

    async def listen(self, player: Player | None = None) -> None:
        """Takes events until cancelled. Raises ``SocketLost``."""
        while True:
            event, payload = await self.socket.receive()
            self.dialogue.take(event, payload, time.monotonic())
            if player is not None and isinstance(event, AudioEvent):
                player.play(payload)
            if player is not None and isinstance(event, Flush):
                player.drop()
            self._show(self.dialogue, event)
            self.changed.set()

    async def speak(self, sound: Sound) -> float:
        """Sends a sound in real time; returns when it began, on the monotonic clock."""
        began_s = time.monotonic()
        for number, frame in enumerate(frames(sound)):
            await asyncio.sleep(max(0.0, began_s + number * FRAME_MS / 1000 - time.monotonic()))
            await self.socket.send_frame(frame)
        return began_s

    async def keep_silent(self, rate_hz: int, *, finals: int) -> None:
        """Sends silence in real time until ``finals`` utterances were understood and all turns are over.

        Raises:
            NoAnswer: nothing was heard, or no answer came in time.
        """
        frame = bytes(rate_hz * FRAME_MS // 1000 * 2)
        began_s = time.monotonic()
        sent = 0
        while self.dialogue.finals < finals or not self.dialogue.is_settled:
            waited_s = time.monotonic() - began_s
            is_unheard = self.dialogue.finals == 0 and not self.dialogue.is_person_speaking
            if waited_s > ANSWER_TIMEOUT_S or (is_unheard and waited_s > UNHEARD_S):
                raise NoAnswer(self.dialogue.last_error or "no speech was heard")
            await self.socket.send_frame(frame)
            sent += 1
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                pause_s = began_s + sent * FRAME_MS / 1000 - time.monotonic()
                await asyncio.wait_for(self.changed.wait(), max(0.001, pause_s))
                await asyncio.sleep(max(0.0, began_s + sent * FRAME_MS / 1000 - time.monotonic()))


def usable(sound: Sound) -> Sound:
    """Returns the sound at a rate that EVA takes."""
    return sound if sound.rate_hz in INPUT_RATES else resampled(sound, MIC_RATE_HZ)


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
                if self._shown:
                    result("")
                self._shown = ""
                progress("  " + strip(event.timeline))
                if isinstance(event, TurnDone):
                    progress("  " + served_by(event.engines))
            case _:
                pass


@contextlib.asynccontextmanager
async def line(
    url: str, start: Start, show: Callable[[Dialogue, ServerEvent], None], *, player: Player | None = None
) -> AsyncIterator[Line]:
    """Opens a conversation that is listened to as long as the caller stays inside."""
    async with conversation(url, start) as socket, asyncio.TaskGroup() as tasks:
        talk_line = Line(socket, show=show)
        listening = tasks.create_task(talk_line.listen(player), name="listen")
        yield talk_line
        listening.cancel()
        await socket.send(Stop())


async def talk(options: TalkOptions) -> int:
    """Has the conversation; returns the exit code."""
    return await (_talk_from_file(options, options.wav) if options.wav else _talk_live(options))


async def _talk_from_file(options: TalkOptions, wav: Path) -> int:
    sound = usable(read_wav(wav))
    captions = Captions(is_quiet=options.is_json)
    start = Start(
        language=options.language,
        audio_in=AudioIn(rate_hz=sound.rate_hz),  # type: ignore[arg-type]  # usable() made it one of these
        audio_out=AudioOut(format="pcm", rate_hz=RATE_HZ),
    )
    async with line(options.url, start, captions.show) as talk_line:
        began_s = await talk_line.speak(sound)
        await talk_line.keep_silent(sound.rate_hz, finals=1)
    turns = talk_line.dialogue.turns
    if options.out is not None:
        write_wav(options.out, RATE_HZ, track(turns, rate_hz=RATE_HZ, starts_s=began_s + sound.duration_s))
        progress(f"Wrote {options.out}.")
    if options.is_json:
        result_json({"turns": [report(turn, talk_line.socket.ready.session_id) for turn in turns]})
    problems = [problem for turn in turns if (problem := verdict(turn, wants_audio=True))]
    if not turns:
        problems = [talk_line.dialogue.last_error or "no words were understood"]
    for problem in problems:
        complain(problem)
    return 1 if problems else 0


async def _talk_live(options: TalkOptions) -> int:
    if device_name("input") is None:
        raise NoMicrophone("there is no microphone on this machine: use --wav FILE")
    output = open_output(RATE_HZ)
    start = Start(
        language=options.language,
        audio_in=AudioIn(rate_hz=MIC_RATE_HZ),
        audio_out=AudioOut(format="pcm", rate_hz=RATE_HZ),
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    progress("Speak; Ctrl-C ends the conversation.")
    captions = Captions(is_quiet=options.is_json)
    began_s = time.monotonic()
    with contextlib.ExitStack() as stack:
        player = stack.enter_context(Player(output)) if output is not None else None
        async with line(options.url, start, captions.show, player=player) as talk_line:
            async with asyncio.TaskGroup() as tasks:
                speaking = tasks.create_task(_send_microphone(talk_line), name="microphone")
                await stop.wait()
                speaking.cancel()
    turns = talk_line.dialogue.turns
    if options.is_json:
        result_json({"turns": [report(turn, talk_line.socket.ready.session_id) for turn in turns]})
    if options.out is not None and turns:
        write_wav(options.out, RATE_HZ, track(turns, rate_hz=RATE_HZ, starts_s=began_s))
    return 0


async def _send_microphone(talk_line: Line) -> None:
    """Sends what the microphone hears, and silence while EVA's answer sounds."""
    dialogue = talk_line.dialogue
    async for frame in microphone(MIC_RATE_HZ):
        is_sounding = bool(dialogue.turns) and time.monotonic() < dialogue.turns[-1].plays_until_s
        await talk_line.socket.send_frame(bytes(len(frame)) if is_sounding else frame)
