"""Which turn model serves: Smart Turn where it is there and proves itself, else the melody of the voice."""

from __future__ import annotations

from pathlib import Path

from services.stt.engine import TurnModel
from services.stt.melody import Melody
from shared.errors import EngineRefused
from shared.models import Installed, ModelBroken, installed, verify
from shared.observe import Log

log = Log("eva.stt")


def load_turn_model(models_dir: Path) -> TurnModel:
    """Returns the best there is; what is refused is logged with its reason and how to mend it. Blocks."""
    for item in installed(models_dir, "turn"):
        try:
            return _load(item)
        except EngineRefused as refused:
            log.warning("stt.turn_model_refused", model=item.name, reason=refused.reason, hint=refused.hint)
    return Melody()


def _load(item: Installed) -> TurnModel:
    try:
        hashes = verify(item)
    except ModelBroken as broken:
        raise EngineRefused("smart-turn", f"{broken.file}: {broken.reason}", hint=broken.hint) from broken
    from services.stt.smart_turn import load_smart_turn  # noqa: PLC0415 - 0.5 s, only where one is installed

    name, sha256 = next((name, sha256) for name, sha256 in hashes.items() if name.endswith(".onnx"))
    return load_smart_turn(item.path / name, sha256=sha256)
