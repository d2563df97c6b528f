from __future__ import annotations

from pathlib import Path

import pytest

from services.stt.choose import Candidate, Found, Present, Wanted, absent, candidates, default_slots
from services.stt.engine import EngineInfo
from shared.errors import EngineRefused

BASE = Found(name="base", path=Path("m/stt/base"), size_bytes=100)
TURBO = Found(name="turbo", path=Path("m/stt/turbo"), size_bytes=900)


def present(*models: Found, cuda: int = 0, whisper: bool = True, sphinx: bool = True) -> Present:
    return Present(
        models=models, cuda_devices=cuda, has_whisper=whisper, has_sphinx=sphinx, models_dir=Path("m")
    )


def names(chain: tuple[Candidate, ...]) -> list[str]:
    return [f"{link.engine} {link.model} {link.device} {link.compute_type}".strip() for link in chain]


def test_auto_tries_cuda_with_the_largest_model_then_the_cpu_with_the_default_then_the_offline_engine() -> (
    None
):
    chain = candidates(Wanted(), present(BASE, TURBO, cuda=1))
    assert names(chain) == [
        "whisper turbo cuda:0 float16",
        "whisper base cuda:0 float16",
        "whisper base cpu int8",
        "whisper turbo cpu int8",
        "sphinx en-us cpu",
    ]
    assert all(link.may_start for link in chain)
    assert absent(chain, present(BASE, TURBO)) == []


def test_without_cuda_auto_means_the_cpu() -> None:
    assert names(candidates(Wanted(), present(BASE))) == ["whisper base cpu int8", "sphinx en-us cpu"]


def test_without_a_model_the_offline_engine_serves_and_the_command_for_a_model_is_named() -> None:
    here = present()
    chain = candidates(Wanted(), here)
    assert names(chain) == ["sphinx en-us cpu"]
    [fact] = absent(chain, here)
    assert (fact.name, fact.state, fact.hint) == ("whisper", "absent", "eva models pull")
    assert str(Path("m/stt")) in fact.detail


def test_without_faster_whisper_its_models_are_of_no_use() -> None:
    here = present(BASE, whisper=False)
    chain = candidates(Wanted(), here)
    assert names(chain) == ["sphinx en-us cpu"]
    assert "not installed" in absent(chain, here)[0].detail


def test_with_no_engine_at_all_the_worker_refuses_and_names_the_command() -> None:
    with pytest.raises(EngineRefused) as refused:
        candidates(Wanted(), present(sphinx=False))
    assert refused.value.hint == "eva models pull"


def test_a_model_asked_for_by_name_must_serve_and_the_offline_engine_only_stands_behind_it() -> None:
    whisper, sphinx = candidates(Wanted(model="turbo", device="cpu"), present(BASE, TURBO))
    assert (whisper.model, whisper.may_start) == ("turbo", True)
    assert (sphinx.engine, sphinx.may_start) == ("sphinx", False)


def test_a_model_may_be_named_by_its_folder() -> None:
    assert names(candidates(Wanted(model=str(BASE.path)), present(BASE, TURBO, sphinx=False))) == [
        "whisper base cpu int8"
    ]


@pytest.mark.parametrize(
    ("wanted", "here", "part"),
    [
        (Wanted(model="small"), present(BASE), "EVA_STT_MODEL=small"),
        (Wanted(model="base"), present(BASE, whisper=False), "faster-whisper is not installed"),
        (Wanted(model="sphinx"), present(BASE, sphinx=False), "pocketsphinx is not installed"),
        (Wanted(model="sphinx", device="cuda"), present(BASE, cuda=1), "does not run on CUDA"),
        (Wanted(device="cuda"), present(BASE), "EVA_STT_DEVICE=cuda"),
        (Wanted(device="cuda:1"), present(BASE, cuda=1), "EVA_STT_DEVICE=cuda:1"),
        (Wanted(device="cuda"), present(cuda=1), "no Whisper model"),
    ],
)
def test_what_was_asked_for_by_name_is_never_replaced_silently(
    wanted: Wanted, here: Present, part: str
) -> None:
    with pytest.raises(EngineRefused) as refused:
        candidates(wanted, here)
    assert part in str(refused.value)
    assert refused.value.hint


def test_cuda_that_was_asked_for_has_nothing_but_cuda_in_its_chain() -> None:
    chain = candidates(Wanted(device="cuda:1", compute_type="int8_float16"), present(BASE, cuda=2))
    assert names(chain) == ["whisper base cuda:1 int8_float16"]


def test_the_offline_engine_can_be_asked_for() -> None:
    [sphinx] = candidates(Wanted(model="sphinx"), present(BASE))
    assert sphinx.may_start


def test_cuda_hears_more_sessions_than_the_cpu() -> None:
    cpu = EngineInfo(name="whisper", model="base", device="cpu")
    cuda = EngineInfo(name="whisper", model="base", device="cuda:0")
    assert default_slots(cuda) > default_slots(cpu) >= 2
