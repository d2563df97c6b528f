from __future__ import annotations

import io
import resource
from pathlib import Path

import numpy as np
import pytest

from services.stt.unpack import READ_SAMPLES, TooLong, Unpacker, Unreadable
from tests.fakes.recordings import CONTAINERS, long_silence, packed, silent_video
from tests.fakes.speech import Pcm, noise, silence, speech, tone

SOUND = np.concatenate([silence(0.3), tone(440, 1.5), silence(0.2)])


def unpacked(data: bytes, *, longest_s: float = 7200) -> Pcm:
    unpacker = Unpacker(io.BytesIO(data), longest_s=longest_s)
    pieces = [np.empty(0, dtype=np.int16)]
    try:
        while (piece := unpacker.read()) is not None:
            pieces.append(piece)
    finally:
        unpacker.close()
    assert unpacker.samples == sum(map(len, pieces))
    return np.concatenate(pieces)


def pitch_hz(pcm: Pcm) -> float:
    spectrum = np.abs(np.fft.rfft(pcm[8000:24000].astype(float)))
    return float(np.argmax(spectrum)) * 16000 / 16000


@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_container_gives_the_samples_that_were_put_in(kind: str) -> None:
    pcm = unpacked(packed(SOUND, kind))
    assert len(pcm) == pytest.approx(len(SOUND), abs=2000)  # aac has a delay of its own
    assert pitch_hz(pcm) == pytest.approx(440, abs=3)


def test_two_channels_become_one_and_a_film_is_its_sound() -> None:
    assert pitch_hz(unpacked(packed(SOUND, "m4a", layout="stereo"))) == pytest.approx(440, abs=3)
    assert pitch_hz(unpacked(packed(SOUND, "mp4", has_video=True))) == pytest.approx(440, abs=3)


def test_a_long_recording_comes_in_bits() -> None:
    unpacker = Unpacker(io.BytesIO(packed(noise(35))), longest_s=60)
    sizes = []
    while (piece := unpacker.read()) is not None:
        sizes.append(len(piece))
    assert len(sizes) == 4
    assert max(sizes) < READ_SAMPLES * 1.2
    assert sum(sizes) == 35 * 16000


SECRET = "file:///tmp/secret.wav"
NO_RECORDINGS = {
    "nothing": b"",
    "text": b"hello, I am a text and no recording\n" * 20,
    "zeros": bytes(5000),
    "noise": np.random.default_rng(0).bytes(100_000),
    "half a header": packed(SOUND)[:30],
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(500),
    "a playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{SECRET}\n#EXT-X-ENDLIST\n".encode(),
    "a concatenation": f"ffconcat version 1.0\nfile {SECRET}\n".encode(),
    "a manifest": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">{SECRET}</MPD>'.encode(),
    "a film without sound": silent_video(),
}


@pytest.mark.parametrize("data", NO_RECORDINGS.values(), ids=NO_RECORDINGS.keys())
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        unpacked(data)


def test_a_playlist_opens_no_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(packed(SOUND))
    for place in (f"file:{tmp_path}/secret.wav", f"{tmp_path}/secret.wav"):
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{place}\n#EXT-X-ENDLIST\n".encode()
        for data in (playlist, f"ffconcat version 1.0\nfile '{place}'\n".encode()):
            with pytest.raises(Unreadable):
                unpacked(data)


def test_of_a_recording_that_breaks_off_there_is_what_came() -> None:
    whole = packed(SOUND, "mp3")
    pcm = unpacked(whole[: len(whole) * 2 // 3])
    assert 0.5 * len(SOUND) < len(pcm) < 0.8 * len(SOUND)


@pytest.mark.parametrize("kind", ["mp3", "opus in ogg", "opus in webm", "flac", "aac", "wav", "m4a"])
def test_odd_bytes_within_a_recording_are_passed_over_or_refused(kind: str) -> None:
    whole = packed(speech("my name is john and i live in london"), kind)
    luck = np.random.default_rng(7)
    for _ in range(10):
        data = bytearray(whole)
        for at in luck.integers(0, len(data), 30):
            data[at : at + 20] = luck.bytes(min(20, len(data) - at))
        try:
            pcm = unpacked(bytes(data), longest_s=60)
        except (Unreadable, TooLong):
            continue
        assert len(pcm) <= 60 * 16000


def test_more_than_the_longest_is_refused_before_it_is_unpacked() -> None:
    data = long_silence(0.4)
    assert len(data) < 400_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unpacker = Unpacker(io.BytesIO(data), longest_s=20 * 60)
    with pytest.raises(TooLong, match="20 minutes"):
        read_without_keeping(unpacker)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 15_000  # KiB; the samples are 37 MiB


def read_without_keeping(unpacker: Unpacker) -> None:
    while unpacker.read() is not None:
        assert unpacker.samples <= 20 * 60 * 16000
