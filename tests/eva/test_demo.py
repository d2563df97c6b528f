import json
import wave
from pathlib import Path

import numpy as np
import pytest

from eva.demo import LINES, demo
from tests.e2e.house import PATIENT

pytestmark = pytest.mark.process


async def test_the_demonstration_holds_a_conversation_and_writes_both_voices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"EVA_LLM_DISCOVER": "off", **PATIENT}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    out = tmp_path / "demo.wav"
    assert await demo(out, tmp_path / "data", is_json=True, lines=LINES[2:]) == 0
    said = json.loads(capsys.readouterr().out)
    (turn,) = said["turns"]
    assert "my name" in turn["heard"]
    assert turn["has_audio"]
    with wave.open(str(out)) as wav:
        assert wav.getnchannels() == 2
        both = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").reshape(-1, 2).astype(float)
        seconds = [np.flatnonzero(np.abs(side) > 1000) / wav.getframerate() for side in both.T]
    person, eva = seconds
    assert person[0] < person[-1] < eva[0] < eva[-1], "first the person speaks, then EVA"
    assert eva[-1] - eva[0] > 2
