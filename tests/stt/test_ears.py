from __future__ import annotations

import numpy as np
import pytest

from services.stt.ears import Ears
from services.stt.endpoint import Ended, Endpointer, EndpointPolicy, Heard, Paused, Started
from services.stt.engine import FRAME, Pcm
from services.stt.resample import AvResampler
from tests.fakes.speech import frames, resampled, silence, tone


class LoudnessDetector:
    """Speech is whatever is loud."""

    def probability(self, frame: Pcm) -> float:
        assert frame.shape == (FRAME,)
        return float(np.abs(frame).max() > 0.1)


class AsItIs:
    def convert(self, pcm: np.ndarray) -> np.ndarray:
        return pcm


def ears(*, rate_hz: int = 16000, **policy: int) -> Ears:
    resampler = AsItIs() if rate_hz == 16000 else AvResampler(rate_hz)
    return Ears(LoudnessDetector(), resampler, Endpointer(policy=EndpointPolicy(**policy)), rate_hz=rate_hz)


def hear(hearing: Ears, pcm: np.ndarray, *, first_seq: int = 0, samples: int = 320) -> list[Heard]:
    heard = []
    for seq, frame in enumerate(frames(pcm, samples=samples), start=first_seq):
        heard += hearing.feed(seq, frame)
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
        for event in hearing.feed(seq, frame):
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
        first.feed(seq, cut[seq])
    assert first.is_speaking
    second = ears()
    heard = [event for seq in range(first.needed_seq, len(cut)) for event in second.feed(seq, cut[seq])]
    began = next(event for event in heard if isinstance(event, Started))
    ended = next(event for event in heard if isinstance(event, Ended))
    assert began.start - began.audio_from == 300 * 16
    assert ended.end - ended.start >= 16000


def test_the_frame_that_an_utterance_begins_in_is_known_until_the_next_frame_comes() -> None:
    hearing = ears()
    assert hearing.seq_at(0) == 0
    hear(hearing, silence(0.5))
    heard = hearing.feed(25, np.concatenate([tone(440, 1), silence(1)]).tobytes())  # one huge frame
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
    hearing.feed(5, silence(0.02).tobytes())
    assert hearing.next_seq == 6
    assert hearing.lost == 0  # a lease may begin anywhere
    assert hearing.feed(5, silence(0.02).tobytes()) == []
    assert hearing.feed(6, b"odd") == []
    assert hearing.unusable == 2
    hearing.feed(10, b"")
    assert hearing.lost == 4
    assert hearing.next_seq == 11


def test_an_end_that_is_asked_for_is_none_when_nobody_speaks() -> None:
    hearing = ears()
    hear(hearing, silence(1))
    assert hearing.finish() is None
    hear(hearing, tone(440, 1), first_seq=50)
    assert hearing.finish() is not None
    assert not hearing.is_speaking


def test_the_audio_so_far_of_an_utterance_in_flight_can_be_had() -> None:
    hearing = ears()
    hear(hearing, UTTERANCE[:24000])
    assert 0.5 * 16000 < len(hearing.spoken()) <= 0.9 * 16000


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
