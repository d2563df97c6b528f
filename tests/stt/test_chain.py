from __future__ import annotations

import numpy as np
import pytest

from services.stt.chain import MAX_FAILURES, Chain, Heard
from services.stt.choose import Candidate
from services.stt.engine import Clip, UnsupportedLanguage, short_language
from shared.errors import EngineFailed, EngineRefused
from tests.fakes.transcribers import BatchingTranscriber, FedTranscriber, PitchTranscriber

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
    heard = chain.transcribe(Clip(pcm=PCM, language=None))
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
    assert chain.transcribe(Clip(pcm=PCM, language=None)).info.name == "b"
    assert chain.transcribe(Clip(pcm=PCM, language=None)).info.name == "a"


def test_an_engine_that_fails_again_and_again_leaves_the_chain_and_the_facts_say_why() -> None:
    first = PitchTranscriber("a")
    chain = chain_of(first, PitchTranscriber("b"))
    chain.links[0].prove()
    first.failures = 99
    for _ in range(MAX_FAILURES + 2):
        assert chain.transcribe(Clip(pcm=PCM, language=None)).info.name == "b"
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
            chain.transcribe(Clip(pcm=PCM, language=None))
    assert chain.serving is None
    assert chain.info is None
    with pytest.raises(EngineFailed, match="no engine is left"):
        chain.transcribe(Clip(pcm=PCM, language=None))


def test_an_engine_that_cannot_be_loaded_in_mid_flight_is_passed_over() -> None:
    first = PitchTranscriber("a")
    chain = chain_of(first, EngineRefused("b", "not here"))
    chain.links[0].prove()
    first.failures = 1
    with pytest.raises(EngineFailed, match="out of memory"):
        chain.transcribe(Clip(pcm=PCM, language=None))
    assert chain.facts()[1].detail == "not here"
    assert chain.transcribe(Clip(pcm=PCM, language=None)).info.name == "a"


def test_a_language_that_the_engine_does_not_know_is_an_error_that_names_the_command() -> None:
    chain = chain_of(PitchTranscriber("sphinx", languages=("en",), is_degraded=True))
    chain.links[0].prove()
    with pytest.raises(UnsupportedLanguage, match="eva models pull"):
        chain.transcribe(Clip(pcm=PCM, language="fr"))
    assert chain.transcribe(Clip(pcm=PCM, language="en")).transcript.language == "en"
    assert chain.transcribe(Clip(pcm=PCM, language=None)).transcript.text
    assert chain.facts()[0].hint == "eva models pull"


def test_a_failure_is_told_as_a_failure_even_where_the_last_resort_lacks_the_language() -> None:
    first = PitchTranscriber("a")
    chain = chain_of(first, PitchTranscriber("b", languages=("en",)))
    chain.links[0].prove()
    first.failures = 1
    with pytest.raises(EngineFailed):
        chain.transcribe(Clip(pcm=PCM, language="fr"))


def test_only_those_that_were_asked_for_may_start_and_a_refusal_is_that_of_the_first() -> None:
    chain = chain_of(EngineRefused("a", "model.bin is empty", hint="eva models pull base"))
    assert [link.candidate for link in chain.starters()] == [FIRST]
    with pytest.raises(EngineRefused) as refused:
        chain.links[0].prove()
    chain.links[0].refuse(refused.value.reason, refused.value.hint)
    assert chain.refusal().reason == "model.bin is empty"
    assert chain.refusal().hint == "eva models pull base"


def tone_of(hz: int) -> Clip:
    pcm = np.sin(2 * np.pi * hz * np.arange(8000) / 16000).astype(np.float32)
    return Clip(pcm=pcm, language="en")


def heard(attempts: list[Heard | EngineFailed | UnsupportedLanguage]) -> list[str]:
    """Returns who heard what, or what went wrong."""
    return [
        f"{attempt.info.name}: {attempt.transcript.text}" if isinstance(attempt, Heard) else attempt.code
        for attempt in attempts
    ]


FIVE = [tone_of(hz) for hz in (200, 300, 400, 500, 600)]
FIVE_BY_A = [f"a: {hz} Hz 0.5 s" for hz in (200, 300, 400, 500, 600)]


def test_clips_go_to_the_engine_together_as_many_as_pay() -> None:
    first = BatchingTranscriber("a", max_batch=2)
    chain = chain_of(first)
    chain.links[0].prove()
    assert first.is_measured
    assert heard(chain.transcribe_batch(FIVE)) == FIVE_BY_A
    assert first.batches == [2, 2]  # the fifth by itself


def test_an_engine_that_takes_no_batches_hears_one_after_the_other() -> None:
    chain = chain_of(PitchTranscriber("a"))
    chain.links[0].prove()
    assert heard(chain.transcribe_batch(FIVE)) == FIVE_BY_A
    assert chain.transcribe_batch([]) == []


def test_a_batch_that_fails_is_heard_one_by_one() -> None:
    first = BatchingTranscriber("a")
    chain = chain_of(first, PitchTranscriber("b"))
    chain.links[0].prove()
    first.batch_failures = 1
    assert heard(chain.transcribe_batch(FIVE)) == FIVE_BY_A
    assert first.batches == [4]


def test_of_a_failed_batch_the_next_engine_takes_what_the_first_cannot_do() -> None:
    first = BatchingTranscriber("a")
    chain = chain_of(first, PitchTranscriber("b"))
    chain.links[0].prove()
    first.batch_failures, first.failures = 1, 1
    assert heard(chain.transcribe_batch(FIVE[:3])) == ["b: 200 Hz 0.5 s", *FIVE_BY_A[1:3]]


def test_an_engine_whose_batches_fail_again_and_again_gets_no_more_of_them() -> None:
    first = BatchingTranscriber("a")
    chain = chain_of(first)
    chain.links[0].prove()
    first.batch_failures = 99
    for _ in range(MAX_FAILURES + 2):
        assert heard(chain.transcribe_batch(FIVE[:2])) == FIVE_BY_A[:2]
    assert len(first.batches) == MAX_FAILURES
    assert chain.info is not None
    assert chain.info.max_batch == 1


def test_each_clip_of_a_batch_has_its_own_error() -> None:
    chain = chain_of(BatchingTranscriber("a", languages=("en",)))
    chain.links[0].prove()
    french = Clip(pcm=PCM, language="fr")
    assert heard(chain.transcribe_batch([FIVE[0], french, FIVE[1]])) == [
        FIVE_BY_A[0],
        "unsupported_language",
        FIVE_BY_A[1],
    ]


def test_a_batch_with_no_engine_left_is_an_error_for_each() -> None:
    chain = chain_of(EngineRefused("a", "not here"))
    assert heard(chain.transcribe_batch(FIVE[:2])) == ["engine_failed", "engine_failed"]


def test_a_decoding_is_begun_by_the_engine_that_serves_if_it_can() -> None:
    chain = chain_of(FedTranscriber("a"))
    assert chain.begin("en") is None  # nothing has been proven yet
    chain.links[0].prove()
    decoding = chain.begin("en")
    assert decoding is not None
    assert decoding.info.name == "a"
    decoding.feed(PCM[:8000])
    decoding.feed(PCM[8000:])
    assert decoding.draft().text == "440 Hz 1.0 s"
    assert chain.begin("en") is None  # no room
    decoding.close()
    assert chain.begin("en") is not None


def test_no_decoding_is_begun_in_a_language_that_the_engine_lacks_or_where_it_has_none() -> None:
    chain = chain_of(FedTranscriber("a", languages=("en",)))
    chain.links[0].prove()
    assert chain.begin("fr") is None
    assert chain.begin(None) is not None
    other = chain_of(PitchTranscriber("b"))
    other.links[0].prove()
    assert other.begin("en") is None


def test_failures_of_decodings_count_against_their_engine() -> None:
    first = FedTranscriber("a", room=9)
    chain = chain_of(first)
    chain.links[0].prove()
    first.failures = 1
    assert chain.begin("en") is None
    assert chain.links[0].failures == 1
    decoding = chain.begin("en")
    assert decoding is not None
    decoding.feed(PCM)
    assert decoding.draft().text
    assert chain.links[0].failures == 0
    decoding._decoding.is_dead = True  # type: ignore[attr-defined]
    for call in (lambda: decoding.feed(PCM), decoding.draft, decoding.draft):
        with pytest.raises(EngineFailed):
            call()
    assert chain.serving is None


@pytest.mark.parametrize(
    ("tag", "short"), [("en-US", "en"), ("FR", "fr"), ("pt_BR", "pt"), ("", None), (None, None), ("-", None)]
)
def test_language_tags_are_shortened(tag: str | None, short: str | None) -> None:
    assert short_language(tag) == short
