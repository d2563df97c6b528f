import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.realtime.events import MAX_AUDIO_BYTES, RealtimeError
from services.gateway.realtime.formats import Intake, compress, duration_ms, expand
from services.gateway.realtime.session_types import AudioFormat, Pcm, Pcma, Pcmu

FORMATS: list[AudioFormat] = [Pcm(), Pcmu(), Pcma()]
# ITU-T G.711, tables 1a and 2a: bytes as they are sent, and the decoder's output values, scaled to 16 bits.
MULAW = {0x80: 32124, 0x00: -32124, 0xFF: 0, 0x7F: 0, 0xFE: 8, 0x8F: 16764, 0xF0: 120, 0xEF: 132}
ALAW = {0xAA: 32256, 0x2A: -32256, 0xD5: 8, 0x55: -8, 0xD4: 24, 0xC5: 264, 0xF5: 528}


@pytest.mark.parametrize(("wanted", "table"), [(Pcmu(), MULAW), (Pcma(), ALAW)])
def test_g711_means_what_the_standard_says(wanted: AudioFormat, table: dict[int, int]) -> None:
    pcm = expand(wanted, bytes(table))
    assert np.frombuffer(pcm, "<i2").tolist() == list(table.values())


@pytest.mark.parametrize("wanted", [Pcmu(), Pcma()])
def test_every_g711_byte_is_its_own_value_again(wanted: AudioFormat) -> None:
    meant = expand(wanted, bytes(range(256)))
    assert expand(wanted, compress(wanted, meant)) == meant


@pytest.mark.parametrize("wanted", [Pcmu(), Pcma()])
def test_a_sample_becomes_the_nearest_value_of_all(wanted: AudioFormat) -> None:
    samples = np.arange(-32768, 32768, 7).astype("<i2")
    values = np.frombuffer(expand(wanted, bytes(range(256))), "<i2").astype(int)
    got = np.frombuffer(expand(wanted, compress(wanted, samples.tobytes())), "<i2").astype(int)
    best = np.abs(values[None, :] - samples[:, None].astype(int)).min(axis=1)
    assert np.array_equal(np.abs(got - samples.astype(int)), best)


def test_pcm_passes_as_it_is() -> None:
    assert expand(Pcm(), b"\x01\x02") == compress(Pcm(), b"\x01\x02") == b"\x01\x02"


def test_a_second_is_a_second_in_every_format() -> None:
    assert [duration_ms(wanted, size) for wanted, size in zip(FORMATS, (48000, 8000, 8000), strict=True)] == [
        1000.0
    ] * 3
    assert [Intake(wanted).rate_hz for wanted in FORMATS] == [24000, 8000, 8000]


@given(st.lists(st.binary(max_size=50), max_size=6), st.sampled_from(FORMATS))
def test_however_it_is_cut_the_same_sound_is_taken(appends: list[bytes], wanted: AudioFormat) -> None:
    intake = Intake(wanted)
    taken = [frame for audio in appends for frame in intake.take(audio)]
    sound = b"".join(appends)
    whole = sound[: len(sound) - len(sound) % 2] if isinstance(wanted, Pcm) else sound
    assert b"".join(taken) == expand(wanted, whole)
    assert all(frame and len(frame) % 2 == 0 for frame in taken)


@pytest.mark.parametrize("wanted", FORMATS)
def test_a_long_append_is_taken_in_frames_of_100_ms(wanted: AudioFormat) -> None:
    intake = Intake(wanted)
    frames = intake.take(bytes(48_000))
    assert {len(frame) for frame in frames} == {intake.rate_hz // 10 * 2}


def test_half_a_sample_is_forgotten_with_what_was_heard() -> None:
    intake = Intake(Pcm())
    assert intake.take(b"\x01") == []
    intake.clear()
    assert intake.take(b"\x02\x03") == [b"\x02\x03"]


def test_more_than_can_be_appended_at_once_is_refused() -> None:
    intake = Intake(Pcmu())
    with pytest.raises(RealtimeError) as raised:
        intake.take(bytes(MAX_AUDIO_BYTES + 1))
    assert (raised.value.detail.code, raised.value.param) == ("string_above_max_length", "audio")
