"""All sessions of a worker in one model call, on the real model and on one whose calls are known."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from services.stt.activity import PIECE, Activity, ActivityVoice
from services.stt.engine import FRAME, Frames
from services.stt.tick import Tick
from services.stt.vad import STATE, SileroModel, silero_path
from tests.fakes.speech import noise, silence, speech

WORDS = "my name is john and i live in london"


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel(silero_path())


class Counting:
    """Says of each frame how many of its session it has judged, and remembers the calls."""

    state_size = 1

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.runs: list[int] = []
        self.threads: set[str] = set()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.fails = False

    def run(self, state: np.ndarray, frames: Frames) -> tuple[list[float], np.ndarray]:
        self._enter(self.runs, len(frames))
        return [float(state[0] + number) for number in range(len(frames))], state + np.float32(len(frames))

    def step(self, states: np.ndarray, frames: Frames) -> tuple[list[float], np.ndarray]:
        self._enter(self.steps, len(frames))
        return states[:, 0].tolist(), states + np.float32(1)

    def _enter(self, calls: list[int], frames: int) -> None:
        calls.append(frames)
        self.threads.add(threading.current_thread().name)
        assert self.may_answer.wait(60)
        if self.fails:
            raise RuntimeError("out of memory")


def cut(pcm: np.ndarray) -> Frames:
    return (pcm[: len(pcm) // FRAME * FRAME].astype(np.float32) / 32768).reshape(-1, FRAME)


def empty(count: int) -> Frames:
    return np.zeros((count, FRAME), dtype=np.float32)


def crowded(longest_s: float = 0.5) -> Tick:
    """A tick that waits as under load, and longer than a machine stalls."""
    return Tick(company=0.0, longest_s=longest_s)


async def until(is_so: Callable[[], bool]) -> None:
    """Looks until it is so: a thread is at work."""
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.002)


async def hear(voice: ActivityVoice, frames: Frames, *, luck: random.Random) -> list[float]:
    """Hears frames as they come: by ones and twos and in bursts, with pauses."""
    heard: list[float] = []
    while len(heard) < len(frames):
        count = luck.choice([1, 1, 1, 1, 2, 5, 40])
        heard += await voice.probabilities(frames[len(heard) : len(heard) + count])
        await asyncio.sleep(luck.choice([0, 0, 0.001]))
    return heard


async def test_every_session_hears_what_it_would_hear_alone(silero: SileroModel) -> None:
    activity = Activity(silero)
    sounds = [
        cut(speech(WORDS)), cut(noise(2)), cut(speech("bonjour tout le monde", voice="fr")), cut(silence(1))
    ] * 6  # fmt: skip
    luck = random.Random(1)
    heard = await asyncio.gather(*(hear(activity.open(), sound, luck=luck) for sound in sounds))
    for sound, got in zip(sounds, heard, strict=True):
        alone, _ = silero.run(np.zeros(STATE, dtype=np.float32), sound)
        assert got == pytest.approx(alone, abs=1e-5)
    assert activity.counts.frames == sum(map(len, sounds))
    assert activity.counts.calls < activity.counts.frames / 3
    activity.close()


async def test_frames_that_come_together_share_one_call() -> None:
    model = Counting()
    activity = Activity(model)
    voices = [activity.open() for _ in range(8)]
    assert await asyncio.gather(*(voice.probabilities(empty(1)) for voice in voices)) == [[0.0]] * 8
    assert model.steps == [8]
    assert await asyncio.gather(*(voice.probabilities(empty(1)) for voice in voices[3:])) == [[1.0]] * 5
    assert model.steps == [8, 5]


async def test_a_session_by_itself_is_judged_in_the_next_turn_of_the_loop() -> None:
    model = Counting()
    voice = Activity(model).open()
    judged = asyncio.ensure_future(voice.probabilities(empty(1)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert judged.done()


async def test_under_load_a_frame_waits_for_company_and_not_for_ever() -> None:
    model = Counting()
    activity = Activity(model, tick=crowded())
    first = asyncio.ensure_future(activity.open().probabilities(empty(1)))
    for _ in range(3):  # by then it is judged where nothing waits for company
        await asyncio.sleep(0)
    assert not first.done()
    second = asyncio.ensure_future(activity.open().probabilities(empty(1)))
    async with asyncio.timeout(60):
        assert await asyncio.gather(first, second) == [[0.0], [0.0]]
    assert model.steps == [2]
    assert activity.counts.longest_wait_s >= 0.4


async def test_a_burst_waits_for_nobody_and_is_judged_as_runs_off_the_loop() -> None:
    model = Counting()
    activity = Activity(model, tick=crowded())
    voice = activity.open()
    assert await voice.probabilities(empty(1000)) == list(range(1000))
    assert model.runs == [PIECE] * (1000 // PIECE) + [1000 % PIECE]
    assert any(name.startswith("stt-voice") for name in model.threads)
    assert await voice.probabilities(empty(0)) == []
    assert await voice.probabilities(empty(3)) == [1000, 1001, 1002]
    activity.close()


async def test_a_minute_of_replay_does_not_hold_up_the_loop_nor_another_session(silero: SileroModel) -> None:
    activity = Activity(silero)
    loop = asyncio.get_running_loop()
    minute = cut(np.concatenate([speech(WORDS)] * 20)[: 60 * 16000])
    replayed = asyncio.ensure_future(activity.open().probabilities(minute))
    voice, waits, lags = activity.open(), [], []
    while not replayed.done():
        began = loop.time()
        await voice.probabilities(empty(1))
        waits.append(loop.time() - began)
        began = loop.time()
        await asyncio.sleep(0)
        lags.append(loop.time() - began)
    assert len(await replayed) == len(minute)
    assert len(waits) > 20
    assert float(np.median(waits)) < 0.25
    assert float(np.median(lags)) < 0.1
    activity.close()


async def test_a_big_tick_runs_in_a_thread_and_the_next_one_gathers_meanwhile() -> None:
    model = Counting()
    activity = Activity(model)
    model.may_answer.clear()
    many = [asyncio.ensure_future(activity.open().probabilities(empty(1))) for _ in range(100)]
    await until(lambda: model.steps == [100])
    late = [asyncio.ensure_future(activity.open().probabilities(empty(1))) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert model.steps == [100]
    model.may_answer.set()
    async with asyncio.timeout(60):
        await asyncio.gather(*many, *late)
    assert model.steps == [100, 3]
    activity.close()


async def test_who_is_cancelled_while_waiting_is_not_judged_and_the_others_are() -> None:
    model = Counting()
    activity = Activity(model, tick=crowded())
    voices = [activity.open() for _ in range(3)]
    tasks = [asyncio.ensure_future(voice.probabilities(empty(1))) for voice in voices]
    await asyncio.sleep(0)
    tasks[1].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert model.steps == [2]
    assert isinstance(done[1], asyncio.CancelledError)
    assert await voices[1].probabilities(empty(1)) == [0.0]  # its frame was never heard
    only = asyncio.ensure_future(voices[0].probabilities(empty(1)))
    await asyncio.sleep(0)
    only.cancel()
    await asyncio.sleep(1.0)  # longer than it would have waited
    assert model.steps == [2, 1]


@pytest.mark.parametrize("frames", [1, 1000])
async def test_who_is_cancelled_in_the_middle_of_a_call_keeps_the_state_before_it(frames: int) -> None:
    model = Counting()
    activity = Activity(model)
    voice = activity.open()
    await voice.probabilities(empty(2))
    model.may_answer.clear()
    others = [asyncio.ensure_future(activity.open().probabilities(empty(1))) for _ in range(50)]
    task = asyncio.ensure_future(voice.probabilities(empty(frames)))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    model.may_answer.set()
    async with asyncio.timeout(60):
        assert await asyncio.gather(*others) == [[0.0]] * 50
        assert await voice.probabilities(empty(1)) == [2.0]
    activity.close()


async def test_a_session_that_has_gone_leaves_nothing_behind() -> None:
    activity = Activity(Counting())
    voice = activity.open()
    await voice.probabilities(empty(1))
    trace = weakref.ref(voice)
    del voice
    gc.collect()
    assert trace() is None
    assert activity._waiting == []


@pytest.mark.parametrize("sessions", [1, 50])
async def test_what_the_model_raises_reaches_all_who_wait_and_the_next_frames_are_judged(
    sessions: int,
) -> None:
    model = Counting()
    activity = Activity(model)
    voices = [activity.open() for _ in range(sessions)]
    model.fails = True
    outcomes = await asyncio.gather(
        *(voice.probabilities(empty(1)) for voice in voices), return_exceptions=True
    )
    assert [str(outcome) for outcome in outcomes] == ["out of memory"] * sessions
    with pytest.raises(RuntimeError, match="out of memory"):
        await voices[0].probabilities(empty(500))
    model.fails = False
    assert await voices[0].probabilities(empty(1)) == [0.0]
    activity.close()
