"""Turns with a running EVA, as its own client has them, and whether they could be heard."""

from __future__ import annotations

import array
import asyncio
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eva.demo import person
from eva.gateway_client import Gateway
from eva.wav import read_wav, write_wav

SAID = "Hello, how are you today?"
AUDIBLE_RMS = 300.0
"""Of 16-bit samples; silence and noise of encoding are below 10, speech is above 1000."""
TURN_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back from a turn."""

    problem: str
    """Why it is no answer; empty if it is one."""
    text: str = ""
    heard: str = ""
    said_again: str = ""
    """What EVA's ears make of the answer's sound."""
    rms: float = 0.0
    audio_s: float = 0.0
    response_ms: float = 0.0


def _eva(*words: str) -> tuple[int, str, str]:
    """Runs the ``eva`` command of this checkout."""
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(  # noqa: S603 - this Python, this checkout
        [sys.executable, "-m", "eva", *words],
        capture_output=True,
        text=True,
        timeout=TURN_S,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
        cwd=tempfile.gettempdir(),
    )
    return done.returncode, done.stdout, done.stderr


def words_of(text: str) -> set[str]:
    """Returns the words of a text, in lower case."""
    return set(re.findall(r"[a-z']+", text.lower()))


def loudness(pcm: bytes) -> float:
    """Returns the root mean square of 16-bit samples."""
    samples = array.array("h", pcm)
    return math.sqrt(sum(value * value for value in samples) / len(samples)) if samples else 0.0


def typed(url: str, text: str = SAID, *, is_read_back: bool = True) -> Answer:
    """Types to EVA, and listens to the answer; ``is_read_back``: EVA's ears have to understand it too."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answer.wav"
        ran = _eva("say", text, "--url", url, "--json", "--out", str(out))
        return _judged(url, out, ran, is_read_back=is_read_back)


def spoken(url: str, text: str = SAID) -> Answer:
    """Says something to EVA in another voice, and listens to the answer."""
    with tempfile.TemporaryDirectory() as folder:
        question, out = Path(folder) / "question.wav", Path(folder) / "answer.wav"
        asyncio.run(_speak(url, text, question))
        words = (
            "talk",
            "--url",
            url,
            "--wav",
            str(question),
            "--language",
            "en",
            "--json",
            "--out",
            str(out),
        )
        answer = _judged(url, out, _eva(*words), is_read_back=True)
    if not answer.problem and not words_of(answer.heard) & words_of(text):
        return Answer(problem=f"nothing of what was said was heard: {answer.heard!r}")
    return answer


async def _speak(url: str, text: str, file: Path) -> None:
    async with Gateway(url) as gateway:
        sound = await person(gateway, text)
    write_wav(file, sound.rate_hz, sound.pcm)


def _judged(url: str, out: Path, ran: tuple[int, str, str], *, is_read_back: bool) -> Answer:
    code, said, complained = ran
    if code or not said.strip():
        return Answer(problem=(complained or said).strip()[-300:] or f"exit {code}")
    turn = json.loads(said)
    turn = turn["turns"][0] if "turns" in turn else turn
    sound = read_wav(out.read_bytes())
    rms = loudness(sound.pcm)
    if turn["outcome"] != "done" or not words_of(turn["text"]) or rms < AUDIBLE_RMS:
        return Answer(problem=f"outcome {turn['outcome']}, {len(turn['text'])} characters, RMS {rms:.0f}")
    again = ""
    if is_read_back:
        _, again, complained = _eva("transcribe", str(out), "--url", url, "--language", "en")
    if is_read_back and not words_of(again) & words_of(turn["text"]):
        return Answer(
            problem=f"no word of the answer can be heard in its sound: {(again or complained)[-200:]!r}"
        )
    return Answer(
        problem="",
        text=turn["text"],
        heard=turn["heard"] or "",
        said_again=again.strip(),
        rms=rms,
        audio_s=turn["audio_s"],
        response_ms=float((turn["timeline"] or {}).get("response_ms") or 0.0),
    )


def typed_only(url: str) -> Answer:
    """Types to EVA, and measures the answer's sound."""
    return typed(url, is_read_back=False)


def answered_within(url: str, within_s: float, turn: Callable[[str], Answer]) -> tuple[Answer, float, int]:
    """Has turns until one is answered; returns the answer, how long that took, and how many were none."""
    began, failed = time.monotonic(), 0
    while True:
        try:
            answer = turn(url)
        except subprocess.TimeoutExpired:
            answer = Answer(problem=f"no answer in {TURN_S:.0f} s")
        took = time.monotonic() - began
        if not answer.problem or took > within_s:
            return answer, took, failed
        failed += 1
        time.sleep(0.3)
