"""``eva demo``: starts an EVA of its own, has a short spoken conversation with it, stops it.

The person's lines are spoken by EVA's own voice service, a little slower and higher so that the two can be
told apart. They are lines that the offline ears understand: the demo shows the whole path on a machine that
has no models, and is the same, better heard, on one that has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from eva.dialogue import Dialogue, Turn, track
from eva.gateway_client import Gateway
from eva.line import Line, NoAnswer, line
from eva.output import columns, complain, progress, result, result_json
from eva.passing import is_ready, passing
from eva.say import RATE_HZ, report, verdict
from eva.stack import Stack
from eva.status import stage_rows
from eva.strip import strip, way
from eva.talk import MIC_RATE_HZ, spoken_start
from eva.wav import Sound, read_wav, resampled, write_wav
from services.gateway.chat_protocol import ServerEvent

LINES = ("Hello, how are you today?", "My name is Victoria.", "What is my name?")
PITCH = 1.08
SPEED = 0.9
PAUSE_S = 0.4


async def demo(out: Path, data_dir: Path, *, is_json: bool, lines: Sequence[str] = LINES) -> int:
    """Runs the demonstration; returns 1 if a turn was mute."""
    async with passing(data_dir) as stack:
        if not await is_ready(stack):
            return 1
        return await _converse(stack, out, lines, is_json=is_json)


async def _converse(stack: Stack, out: Path, lines: Sequence[str], *, is_json: bool) -> int:
    if stack.health is not None:
        for row in columns(stage_rows(stack.health)):
            progress(row)
    async with Gateway(stack.url) as gateway:
        sounds = [await person(gateway, text) for text in lines]
    async with line(stack.url, spoken_start(MIC_RATE_HZ, "en"), _silently) as talked:
        problems = [await _turn(talked, *said, is_json=is_json) for said in zip(lines, sounds, strict=True)]
        await talked.played()
    turns = talked.dialogue.turns
    left = resampled(Sound(rate_hz=MIC_RATE_HZ, pcm=bytes(talked.sent)), RATE_HZ)
    write_wav(out, RATE_HZ, left.pcm, track(turns, rate_hz=RATE_HZ, starts_s=talked.began_s))
    progress(f"Wrote both voices to {out} (left: person, right: EVA).")
    if is_json:
        said = [report(turn, talked.socket.ready.session_id) for turn in turns]
        result_json({"ok": not any(problems), "turns": said, "file": str(out)})
    return 1 if any(problems) else 0


async def person(gateway: Gateway, text: str) -> Sound:
    """Returns a line in the person's voice, at the microphone's rate."""
    made = read_wav(await gateway.speak(text, speed=SPEED, rate_hz=MIC_RATE_HZ))
    higher = Sound(rate_hz=round(made.rate_hz * PITCH), pcm=made.pcm)
    return resampled(higher, MIC_RATE_HZ)


def _silently(_dialogue: Dialogue, _event: ServerEvent) -> None:
    """Turns are printed when they are over."""


async def _turn(talked: Line, text: str, sound: Sound, *, is_json: bool) -> str:
    """Says one line and awaits the answer to its last sound; returns what went wrong, or nothing."""
    dialogue = talked.dialogue
    finals, turns = dialogue.finals, len(dialogue.turns)
    await talked.played()
    await asyncio.sleep(PAUSE_S)
    talked.speak(sound)
    try:
        await talked.answered(finals=finals + 1)
    except NoAnswer as error:
        complain(f"“{text}”: {error}")
        return str(error)
    new = dialogue.turns[turns:]
    problem = "no words were understood" if not new else verdict(new[-1], wants_audio=True)
    if not is_json:
        for turn in new:
            _print(text, turn)
    if problem:
        complain(f"“{text}”: {problem}")
    return problem


def _print(said: str, turn: Turn) -> None:
    result(f"Person: {said}")
    result(f"        (heard: {turn.heard})")
    result(f"EVA:    {turn.text}")
    result(f"        {strip(turn.timeline)}")
    if line := way(turn.route):
        result(f"        {line}")
