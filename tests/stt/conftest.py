from __future__ import annotations

from pathlib import Path

import pytest

from shared.bus.memory import MemoryBroker
from tests.models.tiny_whisper import build_tiny_whisper


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole multilingual model; read only."""
    return build_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny-whisper")


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()
