"""A live conversation: microphone, loudspeaker and keyboard as a person has them, a gateway by a script."""

import asyncio
import contextlib
import os
import pty
import signal
import termios
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection

from eva.keyboard import NoTerminal, on_press
from eva.sound import Room
from eva.talk import TalkOptions, talk
from services.gateway.chat_protocol import (
    AnyClientMessage,
    EndOfSpeech,
    Flush,
    Interrupt,
    Interrupted,
    Pause,
    Played,
    Resume,
    Start,
    Stop,
    Timeline,
    Token,
    TurnDone,
    TurnStarted,
)
from shared.errors import BadInput
from tests.fakes.devices import Microphone, Tape
from tests.fakes.eva_gateway import ENGINES, TIMELINE, ScriptedGateway, sound_of, tell

LOUD = (np.sin(np.arange(320) / 3) * 9000).astype("<i2").tobytes()
QUIET = bytes(640)
SOUND = np.arange(60000).astype("<i2").tobytes()
"""Two and a half seconds in which no sample is like another."""
LONG = SOUND * 12
"""Nobody hears the end of it, however long the machine stands still."""


@dataclass
class Scene:
    """The room, and what came to pass at the gateway."""

    tape: Tape = field(default_factory=Tape)
    microphone: Microphone = field(default_factory=Microphone)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    def room(self, keyboard: int = -1) -> Room:
        return Room(
            microphone=self.microphone,
            output=lambda _: self.tape,
            has_microphone=lambda: True,
            keyboard=lambda: keyboard,
        )


async def comes(socket: ServerConnection, kind: type[AnyClientMessage]) -> AnyClientMessage:
    """Returns the next message of a kind."""
    while True:
        data = await socket.recv()
        if isinstance(data, str) and isinstance(message := parse(data), kind):
            return message


def parse(data: str) -> AnyClientMessage:
    return msgspec.json.decode(data, type=AnyClientMessage)


async def stands_still(played: AnyClientMessage, socket: ServerConnection, tape: Tape) -> tuple[int, int]:
    """Returns what was told last of a held answer, in ms, and how many samples the loudspeaker got.

    What the player has in hand as it is held still comes; no report does that would say nothing new.
    """
    while True:
        assert isinstance(played, Played)
        await asyncio.to_thread(tape.until, 24 * played.ms - 24)
        samples = len(tape.pcm) // 2
        is_all = samples <= 24 * played.ms + 24
        if is_all and not await asyncio.to_thread(tape.grows_within, 0.1, beyond=2 * samples):
            return played.ms, samples
        played = await comes(socket, Played)


async def shown_with(capsys: pytest.CaptureFixture[str], words: str) -> tuple[str, str]:
    """Returns what was written, to both outputs, as soon as these words were."""
    out = err = ""
    async with asyncio.timeout(60):
        while words not in err:
            await asyncio.sleep(0.005)
            shown = capsys.readouterr()
            out, err = out + shown.out, err + shown.err
    return out, err


@contextlib.asynccontextmanager
async def talking(options: TalkOptions, room: Room) -> AsyncIterator[None]:
    """A conversation in a task, ended by Ctrl-C."""
    task = asyncio.create_task(talk(options, room))
    try:
        yield
        if not task.done():  # else nobody would take it, and it would end the tests
            os.kill(os.getpid(), signal.SIGINT)
        assert await asyncio.wait_for(task, 60) == 0
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_answer_is_held_at_once_and_goes_on_exactly_there_and_eva_is_told_how_far_it_got() -> None:
    scene = Scene()
    told: list[tuple[int, int]] = []
    """What was reported while the answer was held, and how many samples the loudspeaker had got."""

    async def answer(socket: ServerConnection, _said: str) -> None:
        await tell(socket, TurnStarted(turn_id="t1", is_spoken=True))
        await tell(socket, sound_of("t1", SOUND), SOUND)
        first = await comes(socket, Played)  # reports come without being asked for
        await tell(socket, Pause(turn_id="t1"))
        told.append(await stands_still(first, socket, scene.tape))
        await tell(socket, sound_of("t1", SOUND[:4800]), SOUND[:4800])
        await tell(socket, Resume(turn_id="t1", verdict="backchannel"))
        done = TurnDone(turn_id="t1", text="Hi.", has_audio=True, timeline=TIMELINE, engines=ENGINES)
        await tell(socket, done)
        await asyncio.to_thread(scene.tape.until, (len(SOUND) + 4800) // 2)  # who leaves before hears no more
        scene.is_over.set()

    gateway = ScriptedGateway(answer)
    async with gateway.listening() as url, talking(TalkOptions(url=url, is_json=True), scene.room()):
        scene.microphone.say(*[LOUD] * 12, *[QUIET] * 12)
        await asyncio.wait_for(scene.is_over.wait(), 60)
    assert bytes(scene.tape.pcm) == SOUND + SOUND[:4800]
    ((ms, samples),) = told
    assert ms == pytest.approx(samples / 24, abs=1)
    assert 0 < ms <= 2500
    assert scene.microphone.rate_hz == 16000
    assert gateway.starts[0].barge_in.mode == "half_duplex"
    assert gateway.starts[0].turn_taking.mode == "auto"


async def test_the_words_that_nobody_heard_are_shown_apart(capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene()

    async def answer(socket: ServerConnection, _said: str) -> None:
        await tell(socket, TurnStarted(turn_id="t1", is_spoken=True))
        await tell(socket, Token(turn_id="t1", text="One two three."))
        await tell(socket, sound_of("t1", LONG), LONG)
        await comes(socket, Played)
        await tell(socket, Flush(turn_id="t1"))
        await tell(socket, Interrupted(turn_id="t1", reason="speech", heard="One", timeline=Timeline()))

    gateway = ScriptedGateway(answer)
    wish = TalkOptions(url="", barge_in="judge", patience_s=0.25)
    async with gateway.listening() as url, talking(replace(wish, url=url), scene.room()):
        scene.microphone.say(*[LOUD] * 12, *[QUIET] * 12)
        out, _ = await shown_with(capsys, "heard: “One”, unheard: “two three.”")
    assert out + capsys.readouterr().out == "You: good morning\nEVA: One two three.\n"
    assert len(scene.tape.pcm) < len(LONG)
    start = gateway.starts[0]
    assert (start.barge_in.mode, start.turn_taking.min_silence_ms, start.turn_taking.max_silence_ms) == (
        "judge", 250, 250,
    )  # fmt: skip


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a pseudo-terminal: the person's, and the program's."""
    person, program = pty.openpty()
    yield person, program
    os.close(person)
    os.close(program)


async def test_push_to_talk_sends_what_is_said_between_two_presses_and_nothing_else(
    terminal: tuple[int, int],
) -> None:
    person, program = terminal
    before = termios.tcgetattr(program)
    scene = Scene()
    closed, spoken, later = (bytes([number]) * 640 for number in (1, 2, 3))

    async def answer(socket: ServerConnection, _said: str) -> None:
        await tell(socket, TurnStarted(turn_id="t1", is_spoken=True))
        await tell(socket, sound_of("t1", LONG), LONG)

    gateway = ScriptedGateway(answer)
    options = TalkOptions(url="", is_json=True, is_hands_free=False)
    async with gateway.listening() as url, talking(replace(options, url=url), scene.room(program)):
        scene.microphone.say(closed, closed)
        await gateway.until(lambda: gateway.starts)
        await in_cbreak(program)
        await scene.microphone.taken()
        os.write(person, b"x ")  # other keys mean nothing
        while not gateway.frames:  # the press is on its way through the terminal
            scene.microphone.say(spoken)
            await asyncio.sleep(0.005)
        os.write(person, b"\n")
        await gateway.until(lambda: EndOfSpeech() in gateway.log)
        scene.microphone.say(closed, closed)
        await scene.microphone.taken()
        await asyncio.to_thread(scene.tape.until, 100)
        os.write(person, b" ")
        await gateway.until(lambda: isinstance(gateway.log[-1], Interrupt))
        scene.microphone.say(later)
        await gateway.until(lambda: later in gateway.log)
    assert closed not in gateway.log
    order = [type(entry) for entry in gateway.log if not isinstance(entry, bytes)]
    assert order == [Start, EndOfSpeech, Interrupt, Stop]
    interrupt = next(entry for entry in gateway.log if isinstance(entry, Interrupt))
    assert interrupt.played_ms is not None
    assert 0 <= interrupt.played_ms < len(LONG) / 48
    assert gateway.starts[0].turn_taking.mode == "manual"
    assert termios.tcgetattr(program) == before


async def in_cbreak(terminal: int) -> None:
    """Returns when the program reads single keys."""
    async with asyncio.timeout(60):
        while termios.tcgetattr(terminal)[3] & termios.ICANON:  # noqa: ASYNC110 - a terminal tells no news
            await asyncio.sleep(0.005)


async def test_push_to_talk_without_a_terminal_is_one_line() -> None:
    with open(os.devnull) as nothing, pytest.raises(NoTerminal, match="--wav FILE"):  # noqa: ASYNC230, PTH123
        async with on_press(nothing.fileno, lambda: None):
            pass


@pytest.mark.parametrize("patience_s", [0.05, 6.0])
async def test_a_patience_out_of_bounds_is_refused(patience_s: float) -> None:
    with pytest.raises(BadInput, match=r"0\.1 to 5"):
        await talk(TalkOptions(url="http://127.0.0.1:9", patience_s=patience_s), Scene().room())
