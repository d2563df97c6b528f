"""The offline voice says every filler audibly and briefly."""

from __future__ import annotations

import time

import pytest

from services.gateway.answer import AUDIBLE_LEVEL
from services.gateway.phrases import Fillers
from services.tts import espeak
from services.tts.chain import Chain
from services.tts.lanes import Listener
from services.tts.segment import Orders, make
from shared.messages import AudioFormat, Synthesize

RATE_HZ = 24000
SAID = [(language, text) for language in ("en", "fr", "de") for text in Fillers().of(language)]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain([espeak.load()], time.monotonic)


@pytest.mark.parametrize(("language", "text"), SAID)
def test_a_filler_is_heard_at_once_and_lasts_a_moment(chain: Chain, language: str, text: str) -> None:
    item = Synthesize(
        gw="g", sid="s", turn=1, attempt=1, segment=0, text=text, audio=AudioFormat(rate_hz=RATE_HZ),
        remaining_ms=1000, language=language,
    )  # fmt: skip
    chunks = [made.chunk for made in make(chain, item, Orders(chunk_ms=60, listener=Listener(), asked=[]))]
    assert 0.3 <= sum(chunk.samples for chunk in chunks) / RATE_HZ <= 1.2
    assert any(chunk.level >= AUDIBLE_LEVEL for chunk in chunks[:2])
