"""``eva say``: a typed turn: the text as it streams, the sound played or written, the latency strip."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from eva.chat_client import ChatSocket, conversation
from eva.dialogue import Dialogue, Turn
from eva.line import NoAnswer
from eva.output import complain, progress, result, result_json
from eva.sound import Player, open_output
from eva.strip import served_by, strip, way
from eva.wav import write_wav
from services.gateway.chat_protocol import AudioEvent, AudioOut, Start, Stop, Token, UserText

TURN_TIMEOUT_S = 60.0
RATE_HZ: Final = 24000


@dataclass(frozen=True, kw_only=True)
class SayOptions:
    """What ``eva say`` was asked for."""

    text: str
    url: str
    out: Path | None = None
    voice: str = ""
    session: str | None = None
    is_json: bool = False
    with_audio: bool = True


def report(turn: Turn, session_id: str) -> dict[str, Any]:
    """Returns a turn as JSON shows it."""
    return {
        "session_id": session_id,
        "turn_id": turn.turn_id,
        "heard": turn.heard,
        "text": turn.text,
        "outcome": turn.outcome,
        "error": turn.error or None,
        "kept": turn.kept,
        "has_audio": turn.is_audible,
        "audio_s": round(len(turn.pcm) / 2 / turn.rate_hz, 3),
        "timeline": msgspec.to_builtins(turn.timeline),
        "engines": msgspec.to_builtins(turn.engines),
        "route": msgspec.to_builtins(turn.route),
    }


def verdict(turn: Turn, *, wants_audio: bool) -> str:
    """Returns why the turn is no success, or nothing."""
    if turn.outcome == "failed":
        return f"the turn failed: {turn.error}"
    if turn.outcome != "done":
        return f"the turn was {turn.outcome}"
    return "the answer came without audible sound" if wants_audio and not turn.is_audible else ""


async def say(options: SayOptions) -> int:
    """Has one typed turn; returns the exit code."""
    start = Start(
        session_id=options.session,
        voice=options.voice,
        audio_out=AudioOut(format="pcm", rate_hz=RATE_HZ) if options.with_audio else None,
    )
    with contextlib.ExitStack() as stack:
        async with conversation(options.url, start) as socket:
            is_played = options.with_audio and options.out is None and not options.is_json
            player = _player(stack) if is_played else None
            try:
                async with asyncio.timeout(TURN_TIMEOUT_S):
                    turn = await _turn(socket, options, player)
            except TimeoutError as error:
                raise NoAnswer(f"no answer within {TURN_TIMEOUT_S:.0f} s") from error
            await socket.send(Stop())
    return _tell(turn, options, socket.ready.session_id)


def _player(stack: contextlib.ExitStack) -> Player | None:
    output = open_output(RATE_HZ)
    if output is None:
        progress("There is nothing to play sound with on this machine; --out FILE writes it.")
        return None
    return stack.enter_context(Player(output, RATE_HZ))


async def _turn(socket: ChatSocket, options: SayOptions, player: Player | None) -> Turn:
    dialogue = Dialogue()
    dialogue.say(options.text)
    await socket.send(UserText(text=options.text, include_audio=options.with_audio))
    shown = ""
    while not dialogue.turns or not dialogue.is_settled:
        event, payload = await socket.receive()
        dialogue.take(event, payload, time.monotonic())
        if isinstance(event, Token) and not options.is_json:
            shown = show_token(dialogue.turns[-1].text, shown)
        if isinstance(event, AudioEvent) and player is not None:
            player.play(event.turn_id, payload)
        if dialogue.last_error and not dialogue.turns:
            raise NoAnswer(dialogue.last_error)
    if shown:
        result("")
    return dialogue.turns[-1]


def show_token(text: str, shown: str) -> str:
    """Writes what is new of an answer; begins a new line where an answer was begun anew. Returns ``text``."""
    if text.startswith(shown):
        result(text[len(shown) :], end="")
    else:
        result(f"\n{text}", end="")
    return text


def _tell(turn: Turn, options: SayOptions, session_id: str) -> int:
    if options.out is not None and turn.pcm:
        write_wav(options.out, turn.rate_hz, bytes(turn.pcm))
    problem = verdict(turn, wants_audio=options.with_audio)
    if options.is_json:
        result_json(report(turn, session_id))
    elif not problem:
        for line in filter(None, (strip(turn.timeline), way(turn.route), served_by(turn.engines))):
            progress(line)
    if options.out is not None and turn.pcm:
        progress(f"Wrote {options.out}.")
    if problem:
        complain(problem)
    return 1 if problem else 0
