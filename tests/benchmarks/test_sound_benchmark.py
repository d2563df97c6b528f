from __future__ import annotations

import numpy as np

from benchmarks import sound


def test_a_sound_is_measured_in_the_pieces_of_a_voice_s_first_window() -> None:
    whole = sound.speech(0.5)
    cut = sound.pieces(whole)
    assert {len(piece) for piece in cut[:-1]} == {sound.PIECE}
    assert np.array_equal(np.concatenate(cut), whole)


def test_every_codec_is_measured_at_every_rate_and_says_what_sound_it_needs() -> None:
    figures = list(sound.first_chunks(1))
    assert len(figures) == len(sound.CODECS) * len(sound.RATES_HZ) + 1
    notes = {figure.name: figure.note for figure in figures}
    assert notes["aac 24000"] == "after 93 ms of sound, decoder's delay 43 ms"
    assert notes["flac 48000"] == "after 93 ms of sound, decoder's delay 0 ms"


def test_another_rate_has_no_delay_and_atempo_has() -> None:
    notes = {figure.name: figure.note for figure in sound.pitches(40)}
    assert notes["to 24 kHz: pitch by the rate"] == "no delay of its own"
    held = notes["to 24 kHz: asetrate and atempo"].removeprefix("holds back ").removesuffix(" ms")
    assert float(held) > 30
    assert [figure.n for figure in sound.finishes(3)] == [3] * 4
    assert sound.numbering(5).n == 5
