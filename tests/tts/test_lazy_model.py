"""The whole graph is opened beside the listener, who does not wait for it in mid-sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from services.tts.chain import Chain
from services.tts.device import Device, Session
from services.tts.engine import Line
from services.tts.lanes import Listener
from services.tts.piper import Piper, PiperVoice, load_voice
from services.tts.piper_model import LazyModel, Voicing
from shared.errors import EngineNotReady, EngineRefused
from tests.fakes.voices import engine, raising
from tests.models import tiny_vits

WAIT_S = 60.0
QUIET = Voicing(noise=0.0, length=1.0, noise_w=0.0)
IDS = [1, 0, 5, 0, 2]


@dataclass(frozen=True)
class Slow(Device):
    """Opens a model when it may."""

    may_open: threading.Event = field(default_factory=threading.Event)
    opens: list[Path | bytes] = field(default_factory=list)

    def open(self, model: Path | bytes) -> Session:
        self.opens.append(model)
        assert self.may_open.wait(WAIT_S)
        return super().open(model)


@pytest.fixture
def slow() -> Iterator[Slow]:
    device = Slow("cpu")
    yield device
    device.may_open.set()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_vits.build(tmp_path / "en_US-vits-low.onnx")


def test_who_needs_it_before_it_is_open_is_told_at_once_and_the_next_finds_it_open(
    model: Path, slow: Slow
) -> None:
    lazy = LazyModel(model, slow, wait_s=0.0)
    for _ in range(2):
        with pytest.raises(EngineNotReady, match=r"en_US-vits-low\.onnx is being opened"):
            lazy.sound(IDS, QUIET)
    assert not lazy.is_open
    slow.may_open.set()
    lazy.open()
    assert lazy.is_open
    assert np.abs(lazy.sound(IDS, QUIET)).max() > 0
    assert slow.opens == [model], "it is opened once"


def test_one_that_opens_soon_is_waited_for(model: Path, slow: Slow) -> None:
    lazy = LazyModel(model, slow, wait_s=WAIT_S)
    slow.may_open.set()
    assert len(lazy.sound(IDS, QUIET)) > 0


def test_one_that_cannot_be_opened_is_tried_again_by_the_next(model: Path, slow: Slow) -> None:
    content = model.read_bytes()
    model.write_bytes(content[:1000])
    slow.may_open.set()
    lazy = LazyModel(model, slow, wait_s=WAIT_S)
    with pytest.raises(EngineRefused, match="en_US-vits-low"):
        lazy.sound(IDS, QUIET)
    assert not lazy.is_open
    model.write_bytes(content)
    assert len(lazy.sound(IDS, QUIET)) > 0


def test_while_it_is_opened_the_link_behind_it_speaks_and_it_is_no_fault(model: Path, slow: Slow) -> None:
    streamed, offline = engine("streamed", raising), engine("offline")
    loaded = load_voice(model, device="cpu", threads=1)
    whole = PiperVoice(
        vits=loaded.vits, name=loaded.name, language="en", rate_hz=loaded.rate_hz, device="cpu",
        whole=LazyModel(model, slow, wait_s=0.0), sha256=streamed.owned[0].sha256,
    )  # fmt: skip
    twin = Piper("cpu", (whole,), "piper-whole")
    chain = Chain([streamed, twin, offline], lambda: 0.0)

    def said() -> list[str]:
        """Returns the engine of each piece."""
        line = Line(text="one two three")
        pieces = chain.speak(line, Listener(), language="en", wanted="", asked=[])
        return [piece.engine.name for piece in pieces]

    for _ in range(4):  # more than set a voice aside
        assert set(said()) == {"offline"}
    assert slow.opens == [model]
    assert chain.is_well(twin, whole)
    slow.may_open.set()
    whole.whole.open()
    assert said()[0] == "piper-whole"
