from __future__ import annotations

import pytest

from services.tts.split_reach import Step, margin


def conv(takes: str, makes: str, kernel: int, dilation: int = 1, **values: object) -> Step:
    pad = (kernel - 1) * dilation // 2
    step = {"kind": "Conv", "kernel": (kernel,), "dilation": dilation, "pads": (pad, pad)} | values
    return Step(takes=(takes,), makes=(makes,), **step)  # type: ignore[arg-type]


def up(takes: str, makes: str, stride: int, kernel: int) -> Step:
    pad = (kernel - stride) // 2
    return Step(
        kind="ConvTranspose", takes=(takes,), makes=(makes,), kernel=(kernel,), stride=stride, pads=(pad, pad)
    )


def test_fields_add_up_along_a_chain_and_the_widest_of_branches_counts() -> None:
    assert margin([conv("x", "a", 7), conv("a", "y", 5, 2)], "x", "y") == (7, 1)
    branches = [
        conv("x", "a", 3),
        conv("x", "b", 11),
        Step(kind="Add", takes=("a", "b", "bias"), makes=("y",)),
    ]
    assert margin(branches, "x", "y") == (5, 1)


def test_behind_an_upsampling_a_sample_is_a_part_of_a_frame() -> None:
    assert margin([up("x", "y", 8, 16)], "x", "y") == (2, 8)
    assert margin([up("x", "a", 8, 16), conv("a", "y", 17)], "x", "y") == (3, 8)
    assert margin([up("x", "a", 8, 16), up("a", "y", 4, 8)], "x", "y") == (2, 32)


def test_sizes_and_constants_look_at_nothing() -> None:
    steps = [
        Step(kind="Shape", takes=("x",), makes=("s",)),
        Step(kind="ConstantOfShape", takes=("s",), makes=("zeros",)),
        Step(kind="Slice", takes=("x", "from", "to"), makes=("half",), axes=(1,)),
        Step(kind="Add", takes=("half", "zeros"), makes=("y",)),
    ]
    assert margin(steps, "x", "y") == (0, 1)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([Step(kind="Softmax", takes=("x",), makes=("y",))], "Softmax may look at all frames"),
        ([Step(kind="Slice", takes=("x",), makes=("y",), axes=(2,))], "Slice may cut or join frames"),
        ([Step(kind="Concat", takes=("x",), makes=("y",))], "Concat may cut or join frames"),
        ([conv("x", "y", 3, stride=2)], "changes the number of frames"),
        ([conv("x", "y", 4, pads=(1, 1))], "changes the number of frames"),
        ([Step(kind="Conv", takes=("x",), makes=("y",), kernel=(3, 3))], "Conv may look at all frames"),
        ([up("x", "y", 8, 17)], "by more than its stride"),
        ([up("x", "a", 8, 16), Step(kind="Add", takes=("x", "a"), makes=("y",))], "not of one rate"),
        ([conv("other", "y", 3)], "does not come from its frames"),
    ],
)
def test_what_may_look_at_more_is_refused_by_name(steps: list[Step], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        margin(steps, "x", "y")
