from __future__ import annotations

import numpy as np
import pytest

from services.stt.ears import Ears
from services.stt.endpoint import Cue, Ended, Endpointer, EndpointPolicy, Heard, Paused, Started
from services.stt.engine import FRAME
from services.stt.resample import AvResampler
from services.stt.vad import SileroModel, silero_path
from tests.fakes.speech import frames, resampled, silence, speech, tone
from tests.fakes.transcribers import loud


class AsItIs:
    def convert(self, pcm: np.ndarray) -> np.ndarray:
        return pcm


def ears(*, rate_hz: int = 16000, **policy: int) -> Ears:
    resampler = AsItIs() if rate_hz == 16000 else AvResampler(rate_hz)
    return Ears(resampler, Endpointer(policy=EndpointPolicy(**policy)), rate_hz=rate_hz)


def feed(hearing: Ears, seq: int, frame: bytes) -> list[Heard]:
    hearing.take(seq, frame)
    return hearing.judge(loud(hearing.pending()))


def hear(hearing: Ears, pcm: np.ndarray, *, first_seq: int = 0, samples: int = 320) -> list[Heard]:
    heard = []
    for seq, frame in enumerate(frames(pcm, samples=samples), start=first_seq):
        heard += feed(hearing, seq, frame)
    return heard


UTTERANCE = np.concatenate([silence(1), tone(440, 1), silence(1)])


@pytest.mark.parametrize("samples", [160, 320, 1600, 7001, 48000])
def test_the_size_of_the_frames_does_not_change_what_is_heard(samples: int) -> None:
    hearing = ears()
    heard = hear(hearing, UTTERANCE, samples=samples)
    assert [type(event) for event in heard] == [Started, Paused, Ended]
    assert heard == hear(ears(), UTTERANCE)


def test_the_audio_of_an_utterance_has_its_pre_roll_and_the_pause_behind_it() -> None:
    hearing = ears()
    for seq, frame in enumerate(frames(UTTERANCE)):
        for event in feed(hearing, seq, frame):
            if isinstance(event, Ended):
                audio = hearing.audio(event.audio_from, event.audio_to)
                assert len(audio) == event.audio_to - event.audio_from
                expected = UTTERANCE[event.audio_from : event.audio_to].astype(np.float32) / 32768
                assert np.array_equal(audio, expected)
                assert event.audio_from < 16000
                assert event.audio_to > 32000
                return
    pytest.fail("the utterance did not end")


def test_another_worker_hears_the_same_utterance_from_the_frame_that_is_needed() -> None:
    first = ears()
    pcm = np.concatenate([silence(3), tone(440, 1), silence(1)])
    cut = frames(pcm)
    for seq in range(170):  # 400 ms of the tone
        feed(first, seq, cut[seq])
    assert first.is_speaking
    second = ears()
    heard = [event for seq in range(first.needed_seq, len(cut)) for event in feed(second, seq, cut[seq])]
    began = next(event for event in heard if isinstance(event, Started))
    ended = next(event for event in heard if isinstance(event, Ended))
    assert began.start - began.audio_from == 300 * 16
    assert ended.end - ended.start >= 16000


def test_the_frame_that_an_utterance_begins_in_is_known_until_the_next_frame_comes() -> None:
    hearing = ears()
    assert hearing.seq_at(0) == 0
    hear(hearing, silence(0.5))
    heard = feed(hearing, 25, np.concatenate([tone(440, 1), silence(1)]).tobytes())  # one huge frame
    began = next(event for event in heard if isinstance(event, Started))
    assert hearing.seq_at(began.audio_from) * 320 <= began.audio_from
    assert hearing.seq_at(began.audio_from) < 25 == hearing.needed_seq


def test_audio_that_nothing_needs_is_forgotten() -> None:
    hearing = ears()
    hear(hearing, silence(30))
    assert len(hearing._pcm) < 2 * 16000
    assert len(hearing._frames) < 50
    assert 1450 < hearing.needed_seq < 1500


def test_repeated_and_broken_frames_are_counted_and_skipped_and_gaps_are_counted() -> None:
    hearing = ears()
    feed(hearing, 5, silence(0.02).tobytes())
    assert hearing.next_seq == 6
    assert hearing.lost == 0  # a lease may begin anywhere
    assert feed(hearing, 5, silence(0.02).tobytes()) == []
    assert feed(hearing, 6, b"odd") == []
    assert hearing.unusable == 2
    feed(hearing, 10, b"")
    assert hearing.lost == 4
    assert hearing.next_seq == 11


def test_an_end_that_is_asked_for_is_none_when_nobody_speaks() -> None:
    hearing = ears()
    hear(hearing, silence(1))
    assert hearing.finish() is None
    hear(hearing, tone(440, 1), first_seq=50)
    assert hearing.finish() is not None
    assert not hearing.is_speaking


@pytest.mark.parametrize("rest", [0, 1, 160, 511])
def test_what_was_said_before_the_key_was_let_go_begins_no_other_utterance(rest: int) -> None:
    hearing = ears()
    said = tone(440, 2)[: 40 * FRAME + rest]
    hear(hearing, said, samples=len(said))
    assert hearing.finish() is not None
    assert hear(hearing, silence(2), first_seq=1) == []
    spoken = hear(hearing, UTTERANCE, first_seq=200)
    assert [type(event) for event in spoken] == [Started, Paused, Ended]


@pytest.mark.parametrize("said", ["i have another question", "my name is john and i live in london"])
def test_a_detector_that_goes_on_behind_a_word_broken_off_begins_no_other_utterance(said: str) -> None:
    model = SileroModel(silero_path())
    pcm = speech(said)
    for cut in range(8000, len(pcm) - 4000, 1700):
        hearing, state = ears(), np.zeros(model.state_size, np.float32)
        begun = []
        for seq, part in enumerate([pcm[:cut], silence(1)]):
            hearing.take(seq, part.tobytes())
            probabilities, state = model.run(state, hearing.pending())
            begun += [event for event in hearing.judge(probabilities) if isinstance(event, Started)]
            hearing.finish()
        assert len(begun) == 1


def test_the_audio_so_far_of_an_utterance_in_flight_can_be_had() -> None:
    hearing = ears()
    hear(hearing, UTTERANCE[:24000])
    assert 0.5 * 16000 < len(hearing.spoken()) <= 0.9 * 16000


def test_a_burst_is_judged_at_once_and_hears_what_frame_by_frame_hears() -> None:
    pcm = np.concatenate([UTTERANCE] * 20)
    burst, single = ears(), ears()
    for seq, frame in enumerate(frames(pcm)):
        burst.take(seq, frame)
    pending = burst.pending()
    assert len(pending) == len(pcm) // FRAME
    assert burst.judge(loud(pending)) == hear(single, pcm)
    assert len(burst.pending()) == 0
    assert burst.judge([]) == []
    assert (burst.needed_seq, burst.position) == (single.needed_seq, single.position)


def test_the_audio_of_the_events_of_a_burst_is_there_until_the_next_one() -> None:
    hearing = ears()
    for seq, frame in enumerate(frames(np.concatenate([UTTERANCE] * 3))):
        hearing.take(seq, frame)
    ends = [event for event in hearing.judge(loud(hearing.pending())) if isinstance(event, Ended)]
    assert [len(hearing.audio(end.audio_from, end.audio_to)) for end in ends] == [
        end.audio_to - end.audio_from for end in ends
    ]
    assert len(ends) == 3


def test_settled_audio_is_not_needed_and_ten_minutes_of_speech_stay_small() -> None:
    hearing = ears()
    settled, largest = 0, 0
    pcm = tone(440, 600)
    for seq, frame in enumerate(frames(pcm)):
        feed(hearing, seq, frame)
        largest = max(largest, len(hearing._pcm), 100 * len(hearing._frames))
        if seq * 320 - settled > 5 * 16000:
            settled = seq * 320 - 16000
            hearing.settle(settled)
    assert hearing.is_speaking
    assert largest < 2 * 16000 * 7
    assert hearing.needed_seq == settled // 320
    ended = hearing.finish()
    assert ended is not None
    assert (ended.start, ended.audio_from) == (0, settled)
    assert np.array_equal(hearing.audio(settled, settled + 320), pcm[settled:][:320].astype("f4") / 32768)


def test_an_utterance_that_another_worker_began_goes_on_from_the_first_sample() -> None:
    hearing = ears()
    hearing.begin_midway()
    assert hearing.is_speaking
    heard = hear(hearing, UTTERANCE[28000:], first_seq=1400)
    assert [type(event) for event in heard] == [Paused, Ended]
    ended = heard[-1]
    assert isinstance(ended, Ended)
    assert (ended.audio_from, ended.end) == (0, pytest.approx(4000, abs=FRAME))


def test_what_a_draft_tells_ends_the_utterance_as_soon_as_the_silence_is_enough() -> None:
    hearing = Ears(
        AsItIs(), Endpointer(policy=EndpointPolicy(detection="auto", min_silence_ms=200)), rate_hz=16000
    )
    heard = hear(hearing, UTTERANCE[: 16000 * 2 + 4000])
    paused = heard[-1]
    assert isinstance(paused, Paused)
    assert hearing.hint(Cue(pause=paused.pause + 1, text="complete")) is None
    ended = hearing.hint(Cue(pause=paused.pause, text="complete", probability=0.9))
    assert isinstance(ended, Ended)
    assert not hearing.is_speaking
    assert hearing.silence == pytest.approx(4000, abs=FRAME)
    assert hearing.speech == pytest.approx(16000, abs=FRAME)
    assert hearing.pace_ms == 0.0


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_microphones_of_any_rate_are_heard_alike(rate_hz: int) -> None:
    pcm = resampled(UTTERANCE, 16000, rate_hz)
    heard = hear(ears(rate_hz=rate_hz), pcm, samples=rate_hz // 50)
    assert [type(event) for event in heard] == [Started, Paused, Ended]
    began, _, ended = heard
    assert isinstance(began, Started)
    assert isinstance(ended, Ended)
    assert began.start == pytest.approx(16000, abs=FRAME)
    assert ended.end == pytest.approx(32000, abs=FRAME)


def test_resampling_while_the_audio_runs_loses_and_invents_nothing() -> None:
    resampler = AvResampler(48000)
    wave = resampled(tone(440, 1), 16000, 48000)
    out = np.concatenate(
        [resampler.convert(np.frombuffer(frame, "<i2")) for frame in frames(wave, samples=960)]
    )
    assert len(out) == pytest.approx(16000, abs=64)
    middle = slice(4000, 12000)
    assert np.corrcoef(out[middle], tone(440, 1)[middle])[0, 1] > 0.99
