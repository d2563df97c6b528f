"""What is told of voices: of the manifest's, of those on disk, and of those that a running EVA has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from eva.model_store import Listed, megabytes
from services.gateway.health import StageHealth
from services.tts.voices import SPEAKER, espeak_name, find_name, language_of
from shared.messages import EngineFact

State = Literal["serving", "standby", "failed", "installed", "broken", "absent"]
_QUALITIES = ("x_low", "low", "medium", "high")


class VoiceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a voice's own configuration says; 0 and empty: nothing."""

    rate_hz: int = 0
    speakers: tuple[str, ...] = ()


class _Audio(msgspec.Struct, frozen=True):
    sample_rate: int = 0


class _ConfigFile(msgspec.Struct, frozen=True):
    audio: _Audio = _Audio()
    speaker_id_map: dict[str, int] = {}


def read_config(raw: bytes) -> VoiceConfig | None:
    """Returns what ``<name>.onnx.json`` says; None: it is no such file."""
    try:
        config = msgspec.json.decode(raw, type=_ConfigFile)
    except msgspec.DecodeError:
        return None
    return VoiceConfig(rate_hz=config.audio.sample_rate, speakers=tuple(config.speaker_id_map))


class VoiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One voice."""

    name: str
    languages: tuple[str, ...] = ()
    quality: str = ""
    rate_hz: int = 0
    """0: not known."""
    speakers: tuple[str, ...] = ()
    """``name#speaker`` asks for one of them."""
    licence: str = ""
    description: str = ""
    size_bytes: int = 0
    state: State = "absent"
    """As the running EVA tells, else as the disk does."""
    engine: str = ""
    device: str = ""
    """On which it runs; empty: no EVA does."""
    is_default: bool = False
    """The language's own voice, ``eva``."""
    is_degraded: bool = False
    """Robotic: it serves where nothing better is."""
    reason: str = ""
    """What is wrong with it."""


def voice_rows(
    listed: Iterable[Listed], configs: dict[str, VoiceConfig], stage: StageHealth | None
) -> list[VoiceRow]:
    """Returns all voices: those that are known by name, then what only the running EVA (``stage``) has."""
    told = stage.engines if stage is not None else []
    facts: dict[str, EngineFact] = {}
    for fact in told:
        model = fact.model.partition(SPEAKER)[0]
        if model and (model not in facts or _is_better(fact, facts[model])):
            facts[model] = fact
    rows = [
        _row(one, configs.get(one.name), facts.pop(one.name, None)) for one in listed if one.kind == "tts"
    ]
    rows += [_row_of_fact(name, fact) for name, fact in facts.items()]
    return _marked(rows, [fact for fact in told if fact.model])


def _is_better(one: EngineFact, other: EngineFact) -> bool:
    order = ("serving", "standby", "failed", "absent")
    return order.index(one.state) < order.index(other.state)


def _row(listed: Listed, config: VoiceConfig | None, fact: EngineFact | None) -> VoiceRow:
    quality = listed.name.rpartition("-")[2]
    found = config or VoiceConfig()
    told: State = listed.state if fact is None or fact.state == "absent" else fact.state
    return VoiceRow(
        name=listed.name,
        languages=listed.languages or tuple(filter(None, [language_of(listed.name)])),
        quality=quality if quality in _QUALITIES else "",
        rate_hz=found.rate_hz or listed.rate_hz,
        speakers=found.speakers or listed.speakers,
        licence=listed.licence,
        description=listed.description,
        size_bytes=listed.size_bytes,
        state=told,
        engine=fact.name if fact else "",
        device=fact.device if fact else "",
        is_default=listed.is_default,
        reason=listed.reason or (fact.detail if fact else ""),
    )


def _row_of_fact(name: str, fact: EngineFact) -> VoiceRow:
    return VoiceRow(
        name=name, languages=tuple(filter(None, [language_of(name)])), engine=fact.name, device=fact.device,
        state=fact.state, is_degraded=fact.name.startswith("espeak"), reason=fact.detail,
    )  # fmt: skip


def _marked(rows: list[VoiceRow], facts: Sequence[EngineFact]) -> list[VoiceRow]:
    """The default of a language is the first that serves it; where no EVA runs, that of the manifest."""
    serving = [fact.model.partition(SPEAKER)[0] for fact in facts if fact.state == "serving"]
    by_name = {row.name: row for row in rows}
    served: dict[str, str] = {}
    for name in serving:
        for language in by_name[name].languages:
            served.setdefault(language, name)
    return [
        msgspec.structs.replace(
            row,
            is_default=row.name in served.values()
            if served.keys() & set(row.languages)
            else row.is_default and not serving,
        )
        for row in rows
    ]


def table(rows: Sequence[VoiceRow]) -> list[list[str]]:
    """Returns the rows as people read them."""
    shown = [["NAME", "LANGUAGE", "QUALITY", "RATE", "SPEAKERS", "SIZE", "STATE", "RUNS ON", "LICENCE"]]
    for row in rows:
        place = f"{row.engine} {row.device}".strip()
        shown.append(
            [
                row.name + (" (default)" if row.is_default else ""),
                ", ".join(row.languages) or "?",
                row.quality or "-",
                f"{row.rate_hz} Hz" if row.rate_hz else "?",
                _speakers(row.speakers),
                megabytes(row.size_bytes) if row.size_bytes else "-",
                row.state + (", degraded" if row.is_degraded else ""),
                place or "-",
                row.licence or "-",
            ]
        )
    return shown


def _speakers(names: Sequence[str], *, most: int = 4) -> str:
    if len(names) < 2:
        return "1"
    more = f" … ({len(names)})" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def due(rows: Sequence[VoiceRow], wanted: str, language: str) -> VoiceRow | None:
    """Returns the voice that a running EVA speaks with when ``wanted`` is asked for, as far as facts tell."""
    here = [row for row in rows if row.state in {"serving", "standby"}]
    if name := find_name(names(here), wanted):
        model, _, speaker = name.partition(SPEAKER)
        row = next(row for row in here if row.name == model)
        return msgspec.structs.replace(row, name=name) if speaker else row
    if name := espeak_name(wanted):
        told = next((row for row in here if row.is_degraded), None)
        return msgspec.structs.replace(told, name=name) if told is not None else None
    return next((row for row in here if row.is_default and (not language or language in row.languages)), None)


def names(rows: Iterable[VoiceRow]) -> list[str]:
    """Returns all names that can be asked for: of voices, and of their speakers."""
    return [
        name
        for row in rows
        for name in (row.name, *(f"{row.name}{SPEAKER}{speaker}" for speaker in row.speakers))
    ]
