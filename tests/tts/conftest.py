from __future__ import annotations

from pathlib import Path

import pytest

from tests.models import tiny_voice


@pytest.fixture(scope="session")
def tiny_voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose models are one English and one French tiny voice."""
    data_dir = tmp_path_factory.mktemp("data")
    tiny_voice.install(data_dir / "models", "en_US-tiny-low")
    tiny_voice.install(
        data_dir / "models", "fr_FR-tiny-low", rate_hz=16000, language="fr_FR", espeak_voice="fr"
    )
    return data_dir
