"""Engines that cost nothing: what they are made of must not be told as load."""

from __future__ import annotations

import numpy as np

from eva.stand_ins.engines import ZeroEars
from services.stt.engine import Clip
from services.stt.settle import joined
from services.stt.turn_text import completeness


def test_what_the_ears_understand_is_finished_in_one_piece_and_in_several() -> None:
    """A breath may settle a piece of what somebody says; the end behind it is not waited for longer."""
    clip = Clip(pcm=np.zeros(16000, np.float32), language="en", prompt="")
    heard = ZeroEars().transcribe(clip)
    text = ""
    for _ in range(3):
        text = joined(text, heard.text)
        assert completeness(text, heard.language) == "complete", text
