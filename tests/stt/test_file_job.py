"""Recordings on a real worker over a bus in memory: real claims, desk and unpacking; loud is speech."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from services.stt import file_job
from services.stt.engine import Clip, EngineInfo, Transcript
from services.stt.engine import Word as EngineWord
from services.stt.worker import SttWorker
from shared import subjects
from shared.bus.memory import MemoryBroker
from shared.errors import NoResponders
from shared.messages import (
    AnyMessage,
    CloseEars,
    EarsClaimed,
    EarsRefused,
    FileChunk,
    FileDone,
    FileFailed,
    FileProgress,
    FileSegment,
    FileTaken,
    Final,
    OpenFile,
)
from tests.fakes.recordings import CONTAINERS, packed, silent_video
from tests.fakes.speech import Pcm, noise, silence, tone
from tests.fakes.transcribers import PitchTranscriber
from tests.stt.rig import GW, HUM, WAIT_S, person, serving, until, worker_of


@dataclass
class Sender:
    """A gateway's side of one recording."""

    broker: MemoryBroker
    sid: str = "rec1"
    worker: str = ""
    heard: list[AnyMessage] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.bus = self.broker.connect(f"gateway of {self.sid}")

    def _take(self, _: str, message: AnyMessage) -> None:
        self.heard.append(message)
        self._news.set()

    async def open(self, **options: Any) -> AnyMessage:
        await self.bus.subscribe(subjects.event(GW, self.sid, "stt"), self._take)
        reply = await self.bus.request(
            subjects.STT_OPEN, OpenFile(gw=GW, sid=self.sid, **options), timeout_s=20
        )
        if isinstance(reply, EarsClaimed):
            self.worker = reply.worker
        return reply

    async def send(self, data: bytes, *, seq: int = 0, is_last: bool = True) -> AnyMessage:
        chunk = FileChunk(sid=self.sid, seq=seq, data=data, is_last=is_last)
        return await self.bus.request(subjects.recording(self.worker, self.sid), chunk, timeout_s=20)

    async def send_all(self, data: bytes, *, size: int = 128 * 1024) -> AnyMessage:
        reply: AnyMessage | None = None
        for seq, at in enumerate(range(0, max(1, len(data)), size)):
            reply = await self.send(data[at : at + size], seq=seq, is_last=at + size >= len(data))
        assert reply is not None
        return reply

    async def ends(self) -> FileDone | FileFailed:
        async with asyncio.timeout(WAIT_S):
            while not (ends := [one for one in self.heard if isinstance(one, FileDone | FileFailed)]):
                self._news.clear()
                await self._news.wait()
        return ends[0]

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    def texts(self) -> list[str]:
        return [segment.text for segment in self.of(FileSegment)]

    async def transcribed(self, data: bytes, **options: Any) -> FileDone | FileFailed:
        assert isinstance(await self.open(**options), EarsClaimed)
        assert isinstance(await self.send_all(data), FileTaken)
        return await self.ends()


class WithWords(PitchTranscriber):
    """Hears the word ``hum`` a quarter of a second after each clip's beginning."""

    def transcribe(self, clip: Clip) -> Transcript:
        super().transcribe(clip)
        words = (EngineWord(text="hum", start_s=0.25, end_s=1.0, probability=0.5),) if clip.has_words else ()
        return Transcript(text="hum", language="fr", language_probability=0.9, words=words)


def song(*pitches: int, pause_s: float = 1.5) -> Pcm:
    return np.concatenate([np.concatenate([silence(pause_s), tone(hz, 1.0)]) for hz in pitches])


async def test_a_recording_becomes_segments_with_their_times_and_a_summary(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("ears")):
        sender = Sender(broker)
        done = await sender.transcribed(packed(song(440, 880, 660)))
        assert isinstance(done, FileDone)
        assert sender.texts() == ["440 Hz 1.0 s", "880 Hz 1.0 s", "660 Hz 1.0 s"]
        segments = sender.of(FileSegment)
        assert [segment.index for segment in segments] == [0, 1, 2]
        for segment, start_ms in zip(segments, (1500, 4000, 6500), strict=True):
            assert (segment.start_ms, segment.end_ms) == pytest.approx((start_ms, start_ms + 1000), abs=70)
        assert (done.segments, done.duration_ms, done.language) == (3, 7500, "en")
        assert (done.engine, done.device, done.model, done.is_degraded) == ("pitch", "cpu", "ideal", False)
        assert done.decode_ms > 0
        assert done.transcribe_ms > 0
        assert sender.heard[-1] is done


@pytest.mark.parametrize("kind", CONTAINERS)
async def test_any_container_is_heard(broker: MemoryBroker, kind: str) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("ears")):
        sender = Sender(broker)
        done = await sender.transcribed(packed(song(440), kind))
        assert isinstance(done, FileDone), done
        assert sender.texts()[0].startswith("440 Hz")


async def test_a_file_may_come_in_many_chunks_and_one_that_comes_twice_is_taken_once(
    broker: MemoryBroker,
) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("ears")):
        sender, data = Sender(broker), packed(song(440))
        await sender.open()
        cuts = [data[at : at + 20_000] for at in range(0, len(data), 20_000)]
        for seq, cut in enumerate(cuts):
            is_last = seq == len(cuts) - 1
            assert await sender.send(cut, seq=seq, is_last=is_last) == FileTaken(next_seq=seq + 1)
            if seq == 1:
                assert await sender.send(b"again", seq=1, is_last=False) == FileTaken(next_seq=2)
                assert await sender.send(b"too soon", seq=5, is_last=False) == FileTaken(next_seq=2)
        assert isinstance(await sender.ends(), FileDone)
        assert sender.texts() == ["440 Hz 1.0 s"]


@pytest.mark.parametrize(
    "pcm", [silence(20), noise(5, sigma=30), silence(0.01)], ids=["silence", "hiss", "nearly nothing"]
)
async def test_where_nobody_speaks_the_engine_is_not_even_asked(broker: MemoryBroker, pcm: Pcm) -> None:
    engine = PitchTranscriber()
    async with serving(worker_of(engine), broker.connect("ears")):
        asked = len(engine.calls)
        sender = Sender(broker)
        done = await sender.transcribed(packed(pcm))
        assert isinstance(done, FileDone)
        assert (done.segments, sender.texts(), len(engine.calls) - asked) == (0, [], 0)
        assert done.engine == "pitch"


@pytest.mark.parametrize("data", [b"no recording", b"", silent_video()], ids=["text", "empty", "a film"])
async def test_what_is_no_recording_fails_with_its_code_and_frees_the_slot(
    broker: MemoryBroker, data: bytes
) -> None:
    async with serving(worker_of(PitchTranscriber(), slots=1), broker.connect("ears")) as worker:
        failed = await Sender(broker).transcribed(data)
        assert isinstance(failed, FileFailed)
        assert failed.code == "unreadable_audio"
        await until(lambda: worker.facts().busy == 0)
        assert isinstance(await Sender(broker, "rec2").transcribed(packed(song(440))), FileDone)


async def test_times_of_words_count_from_the_beginning_of_the_recording(broker: MemoryBroker) -> None:
    async with serving(worker_of(WithWords()), broker.connect("ears")):
        sender = Sender(broker)
        done = await sender.transcribed(packed(song(440, 660)), has_words=True)
        assert isinstance(done, FileDone)
        assert done.language == "fr"
        for segment, start_ms in zip(sender.of(FileSegment), (1500, 4000), strict=True):
            (word,) = segment.words
            assert (word.text, word.probability) == ("hum", 0.5)
            assert word.start_ms == pytest.approx(start_ms, abs=70)
            assert word.end_ms - word.start_ms == 750


async def test_the_language_is_the_one_asked_for_or_that_of_the_first_piece_for_the_others(
    broker: MemoryBroker,
) -> None:
    engine = PitchTranscriber()
    async with serving(worker_of(engine), broker.connect("ears")):
        await Sender(broker).transcribed(packed(song(440, 660)))
        assert [(language, likely) for _, language, likely in engine.calls[-2:]] == [(None, ""), (None, "en")]
        await Sender(broker, "rec2").transcribed(packed(song(440)), language="fr-CA")
        assert engine.calls[-1][1] == "fr"


async def test_a_language_that_no_engine_knows_is_refused(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber(languages=("en",))), broker.connect("ears")):
        failed = await Sender(broker).transcribed(packed(song(440)), language="fr")
        assert isinstance(failed, FileFailed)
        assert failed.code == "unsupported_language"


async def test_an_engine_that_fails_ends_the_recording_with_its_code(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    async with serving(worker_of(engine), broker.connect("ears")):
        engine.failures = 1
        failed = await Sender(broker).transcribed(packed(song(440, 660)))
        assert isinstance(failed, FileFailed)
        assert failed.code == "engine_failed"
        assert isinstance(await Sender(broker, "rec2").transcribed(packed(song(440))), FileDone)


async def test_most_slots_are_kept_for_those_who_speak(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber(), slots=4), broker.connect("ears")) as worker:
        assert isinstance(await Sender(broker).open(), EarsClaimed)
        refused = await Sender(broker, "rec2").open()
        assert isinstance(refused, EarsRefused)
        assert (refused.code, worker.facts().busy) == ("busy", 1)
        people = [person(broker, f"sid{number}") for number in range(3)]
        for one in people:
            await one.claim()
        assert worker.facts().busy == 4
        with pytest.raises(NoResponders):
            await Sender(broker, "rec3").open()


async def test_a_session_is_heard_while_a_recording_waits_for_its_engine(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    async with serving(worker_of(engine), broker.connect("ears")):
        sender, ann = Sender(broker), person(broker)
        engine.may_answer.clear()
        await sender.open()
        asked = len(engine.calls)
        await sender.send_all(packed(song(*[440, 660] * 5)))
        await until(lambda: len(engine.calls) > asked)
        await ann.claim()
        await ann.say(HUM)
        await until(lambda: len(engine.calls) > asked + 1)  # its thread is free although ten pieces wait
        assert engine.calls[asked + 1][0] < 2
        engine.may_answer.set()
        assert (await ann.hears(Final)).text == "440 Hz 1.0 s"
        assert isinstance(await sender.ends(), FileDone)
        assert len(sender.texts()) == 10


async def test_whoever_waits_is_told_twice_a_second_that_the_worker_lives(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    async with serving(worker_of(engine), broker.connect("ears")):
        sender = Sender(broker)
        await sender.open()
        engine.may_answer.clear()
        await sender.send_all(packed(song(440, 660)))
        await until(lambda: len(sender.of(FileProgress)) >= 3)
        engine.may_answer.set()
        await sender.ends()
        done_ms = [progress.done_ms for progress in sender.of(FileProgress)]
        assert done_ms == sorted(done_ms)


async def test_a_recording_that_nobody_waits_for_any_more_frees_its_slot_at_once(
    broker: MemoryBroker,
) -> None:
    engine = PitchTranscriber()
    async with serving(worker_of(engine, slots=1), broker.connect("ears")) as worker:
        sender = Sender(broker)
        await sender.open()
        engine.may_answer.clear()
        await sender.send_all(packed(song(440, 660, 880)))
        await until(lambda: len(engine.calls) > 1)
        await sender.bus.publish(subjects.mic(sender.worker, sender.sid), CloseEars(sid=sender.sid))
        await until(lambda: worker.facts().busy == 0)
        engine.may_answer.set()
        assert isinstance(await Sender(broker, "rec2").transcribed(packed(song(440))), FileDone)
        assert sender.of(FileDone) == []
        assert isinstance(await sender.send(b"more"), FileFailed)


async def test_a_worker_that_stops_gives_the_recording_up_at_once(broker: MemoryBroker) -> None:
    engine = PitchTranscriber()
    worker = worker_of(engine)
    async with serving(worker, broker.connect("ears")):
        sender = Sender(broker)
        await sender.open()
        engine.may_answer.clear()
        await sender.send_all(packed(song(440, 660, 880)))
        await until(lambda: len(engine.calls) > 1)
        worker.drain()
        failed = await sender.ends()
        assert isinstance(failed, FileFailed)
        assert failed.code == "draining"
        engine.may_answer.set()


async def test_more_bytes_than_a_recording_may_have_are_refused(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("ears")):
        sender = Sender(broker)
        await sender.open()
        piece = bytes(1 << 17)
        for seq in range(200):
            assert isinstance(await sender.send(piece, seq=seq, is_last=False), FileTaken)
        failed = await sender.send(b"x", seq=200)
        assert isinstance(failed, FileFailed)
        assert failed.code == "too_large"


async def test_a_gateway_that_goes_silent_in_the_middle_frees_the_slot(
    broker: MemoryBroker,
) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("ears")) as worker:
        sender = Sender(broker)
        await sender.open()
        await sender.send(b"RIFF", is_last=False)
        assert isinstance(worker, SttWorker)
        assert worker._claims is not None
        job, _ = worker._claims._files[sender.sid]
        job.stalled_s = 0.01
        await sender.send(b"more", seq=1, is_last=False)
        failed = await sender.ends()
        assert isinstance(failed, FileFailed)
        assert failed.code == "lost"
        await until(lambda: worker.facts().busy == 0)


async def test_a_defect_ends_that_recording_alone(broker: MemoryBroker) -> None:
    class Defective(PitchTranscriber):
        def transcribe(self, clip: Clip) -> Transcript:
            if len(clip.pcm) > 2 * 16000:
                raise AssertionError("a defect")
            return super().transcribe(clip)

    async with serving(worker_of(Defective()), broker.connect("ears")):
        failed = await Sender(broker).transcribed(packed(np.concatenate([tone(440, 4), silence(1)])))
        assert isinstance(failed, FileFailed)
        assert failed.code == "internal"
        assert isinstance(await Sender(broker, "rec2").transcribed(packed(song(440))), FileDone)


async def test_the_audio_of_a_long_recording_is_forgotten_as_it_is_transcribed(broker: MemoryBroker) -> None:
    async with serving(worker_of(PitchTranscriber()), broker.connect("ears")) as worker:
        sender = Sender(broker)
        await sender.open()
        assert worker._claims is not None
        job, _ = worker._claims._files[sender.sid]
        await sender.send_all(packed(np.tile(song(440, 660), 60), "flac"))
        largest = 0
        while not sender.of(FileDone):
            largest = max(largest, len(job._pcm))
            await asyncio.sleep(0)
        assert len(sender.texts()) == 120
        assert largest < 2 * 16000 * 45  # of five minutes
        assert file_job.MAX_S * 16000 * 2 > 200_000_000


async def test_an_engine_with_windows_gets_longer_pieces(broker: MemoryBroker) -> None:
    windowed, plain = PitchTranscriber(), PitchTranscriber()
    windowed.info = EngineInfo(name="pitch", model="ideal", device="cpu", is_windowed=True, parallel=2)
    for number, engine in enumerate((windowed, plain)):
        async with serving(worker_of(engine, name=f"ears{number}"), broker.connect(f"ears{number}")):
            await Sender(broker, f"rec{number}").transcribed(
                packed(np.concatenate([song(*[440] * 20, pause_s=0.5), silence(0.5)]))
            )
    assert max(seconds for seconds, *_ in windowed.calls) == pytest.approx(21, abs=2)
    assert max(seconds for seconds, *_ in plain.calls) == pytest.approx(9, abs=2)
