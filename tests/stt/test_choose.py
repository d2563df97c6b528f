from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.stt.choose import (
    SHORT_NAMES,
    Candidate,
    Found,
    Present,
    Wanted,
    absent,
    batch_that_pays,
    candidates,
    slots_for,
)
from services.stt.engine import EngineInfo
from shared.errors import EngineRefused
from shared.models import manifest

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


@pytest.mark.parametrize(
    ("short", "name"),
    [
        ("turbo", "faster-whisper-large-v3-turbo"),
        ("distil", "faster-distil-whisper-large-v3"),
        ("small", "faster-whisper-small"),
        ("base", "faster-whisper-base"),
        ("tiny", "faster-whisper-tiny"),
    ],
)
def test_models_of_the_manifest_have_short_names(short: str, name: str) -> None:
    models = tuple(
        Found(name=model.name, path=Path(model.name)) for model in manifest() if model.kind == "stt"
    )
    chain = candidates(Wanted(model=short), present(*models, sphinx=False))
    assert [link.model for link in chain] == [name]
    with pytest.raises(EngineRefused, match=f"EVA_STT_MODEL={short}") as refused:
        candidates(Wanted(model=short), present())
    assert refused.value.hint == f"eva models pull {name}"


def test_every_short_name_is_that_of_a_model_in_the_manifest() -> None:
    assert set(SHORT_NAMES.values()) == {model.name for model in manifest() if model.kind == "stt"}


@pytest.mark.parametrize(
    ("types", "chosen"),
    [
        (("bfloat16", "float16", "float32", "int8"), "float16"),
        (("float32", "int8_float32"), "int8_float32"),
        (("float32",), "float32"),
        (("int16",), "float32"),
    ],
)
def test_auto_takes_the_quickest_compute_type_that_the_device_has(
    types: tuple[str, ...], chosen: str
) -> None:
    here = replace(present(BASE, cuda=1, sphinx=False), cuda_types=types)
    assert names(candidates(Wanted(device="cuda"), here)) == [f"whisper base cuda:0 {chosen}"]


def test_a_compute_type_that_only_one_device_has_leaves_the_other_out() -> None:
    here = replace(present(BASE, cuda=1), cuda_types=("float16", "float32"), cpu_types=("float32", "int8"))
    assert names(candidates(Wanted(compute_type="float16"), here)) == [
        "whisper base cuda:0 float16",
        "sphinx en-us cpu",
    ]
    assert names(candidates(Wanted(compute_type="float32"), here))[1] == "whisper base cpu float32"


def test_a_compute_type_that_no_device_has_is_refused_with_those_it_has() -> None:
    here = replace(present(BASE), cpu_types=("float32", "int8"))
    with pytest.raises(EngineRefused, match="EVA_STT_COMPUTE_TYPE=float16: cpu has float32, int8") as refused:
        candidates(Wanted(compute_type="float16"), here)
    assert refused.value.hint == "EVA_STT_COMPUTE_TYPE=auto"


def measured(call_ms: float, **more: Any) -> EngineInfo:
    info = EngineInfo(name="whisper", model="base", device="cpu", call_ms=call_ms, rtf=call_ms / 3000)
    return replace(info, **more)


def test_slots_follow_from_what_a_turn_costs() -> None:
    assert slots_for(measured(120)) == 19  # 0.5 / (0.35 x 0.6 x 0.12)
    assert slots_for(measured(1000)) == 2
    assert slots_for(measured(8000)) == 2  # too slow for talk, and yet it hears somebody
    assert slots_for(measured(5)) == slots_for(measured(10))  # the event loop is the bound then
    assert slots_for(measured(240, lanes=2)) == slots_for(measured(120))
    assert slots_for(measured(120, max_batch=4)) > slots_for(measured(120))


def test_an_engine_that_decodes_all_the_while_is_charged_with_all_speech() -> None:
    assert slots_for(measured(30, rtf=0.25, is_incremental=True, lanes=2)) == 11  # 0.5 x 2 / (0.35 x 0.25)


def test_an_engine_that_was_not_measured_gets_a_careful_number() -> None:
    assert slots_for(measured(0)) == 8


def test_a_batch_pays_when_it_takes_less_than_four_fifths_of_single_calls() -> None:
    assert batch_that_pays(0.1, 0.31, 4) == 4
    assert batch_that_pays(0.1, 0.33, 4) == 1
