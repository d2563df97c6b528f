from __future__ import annotations

import numpy as np
import pytest

from services.stt.chain import MAX_FAILURES, Chain
from services.stt.choose import Candidate
from services.stt.engine import UnsupportedLanguage, short_language
from shared.errors import EngineFailed, EngineRefused
from tests.fakes.transcribers import PitchTranscriber

PCM = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
FIRST = Candidate(engine="whisper", model="base", device="cpu")
SECOND = Candidate(engine="sphinx", model="en-us", device="cpu", may_start=False)


def chain_of(*engines: PitchTranscriber | EngineRefused) -> Chain:
    """Returns a chain whose first engine has been proven."""
    waiting = dict(zip((FIRST, SECOND), engines, strict=False))

    def load(candidate: Candidate) -> PitchTranscriber:
        engine = waiting[candidate]
        if isinstance(engine, EngineRefused):
            raise engine
        return engine

    return Chain(list(waiting), load)


def test_the_first_engine_serves_and_the_second_is_not_even_loaded() -> None:
    chain = chain_of(PitchTranscriber("a"), PitchTranscriber("b"))
    chain.links[0].prove()
    heard = chain.transcribe(PCM, None, "")
    assert (heard.transcript.text, heard.info.name) == ("440 Hz 1.0 s", "a")
    assert chain.links[1].engine is None
    assert [(fact.name, fact.state) for fact in chain.facts()] == [
        ("whisper", "serving"),
        ("sphinx", "standby"),
    ]
    assert chain.facts()[0].model_sha256 == "cafe"
    assert chain.links[0].warmup_ms > 0


def test_an_engine_that_fails_hands_the_same_audio_to_the_next() -> None:
    first = PitchTranscriber("a")
    chain = chain_of(first, PitchTranscriber("b"))
    chain.links[0].prove()
    first.failures = 1
    assert chain.transcribe(PCM, None, "").info.name == "b"
    assert chain.transcribe(PCM, None, "").info.name == "a"


def test_an_engine_that_fails_again_and_again_leaves_the_chain_and_the_facts_say_why() -> None:
    first = PitchTranscriber("a")
    chain = chain_of(first, PitchTranscriber("b"))
    chain.links[0].prove()
    first.failures = 99
    for _ in range(MAX_FAILURES + 2):
        assert chain.transcribe(PCM, None, "").info.name == "b"
    assert first.failures == 99 - MAX_FAILURES
    failed, serving = chain.facts()
    assert failed.state == "failed"
    assert "out of memory" in failed.detail
    assert serving.state == "serving"


def test_when_no_engine_is_left_that_is_an_error_and_nothing_serves() -> None:
    only = PitchTranscriber("a")
    chain = chain_of(only)
    chain.links[0].prove()
    only.failures = 99
    for _ in range(MAX_FAILURES):
        with pytest.raises(EngineFailed, match="out of memory"):
            chain.transcribe(PCM, None, "")
    assert chain.serving is None
    assert chain.info is None
    with pytest.raises(EngineFailed, match="no engine is left"):
        chain.transcribe(PCM, None, "")


def test_an_engine_that_cannot_be_loaded_in_mid_flight_is_passed_over() -> None:
    first = PitchTranscriber("a")
    chain = chain_of(first, EngineRefused("b", "not here"))
    chain.links[0].prove()
    first.failures = 1
    with pytest.raises(EngineFailed, match="out of memory"):
        chain.transcribe(PCM, None, "")
    assert chain.facts()[1].detail == "not here"
    assert chain.transcribe(PCM, None, "").info.name == "a"


def test_a_language_that_the_engine_does_not_know_is_an_error_that_names_the_command() -> None:
    chain = chain_of(PitchTranscriber("sphinx", languages=("en",), is_degraded=True))
    chain.links[0].prove()
    with pytest.raises(UnsupportedLanguage, match="eva models pull"):
        chain.transcribe(PCM, "fr", "")
    assert chain.transcribe(PCM, "en", "").transcript.language == "en"
    assert chain.transcribe(PCM, None, "").transcript.text
    assert chain.facts()[0].hint == "eva models pull"


def test_a_failure_is_told_as_a_failure_even_where_the_last_resort_lacks_the_language() -> None:
    first = PitchTranscriber("a")
    chain = chain_of(first, PitchTranscriber("b", languages=("en",)))
    chain.links[0].prove()
    first.failures = 1
    with pytest.raises(EngineFailed):
        chain.transcribe(PCM, "fr", "")


def test_only_those_that_were_asked_for_may_start_and_a_refusal_is_that_of_the_first() -> None:
    chain = chain_of(EngineRefused("a", "model.bin is empty", hint="eva models pull base"))
    assert [link.candidate for link in chain.starters()] == [FIRST]
    with pytest.raises(EngineRefused) as refused:
        chain.links[0].prove()
    chain.links[0].refuse(refused.value.reason, refused.value.hint)
    assert chain.refusal().reason == "model.bin is empty"
    assert chain.refusal().hint == "eva models pull base"


@pytest.mark.parametrize(
    ("tag", "short"), [("en-US", "en"), ("FR", "fr"), ("pt_BR", "pt"), ("", None), (None, None), ("-", None)]
)
def test_language_tags_are_shortened(tag: str | None, short: str | None) -> None:
    assert short_language(tag) == short
