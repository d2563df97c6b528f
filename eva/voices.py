"""``eva voices``: which voices there are, and how one sounds; results on stdout, progress on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from eva.output import columns, complain, progress, result, result_json
from shared.errors import BadInput

if TYPE_CHECKING:
    from eva.model_store import Listed
    from eva.voice_rows import VoiceConfig, VoiceRow
    from services.gateway.health import StageHealth

voices_app = typer.Typer(name="voices", help="The voices that EVA can speak with.", no_args_is_help=True)
_Url = Annotated[str | None, typer.Option("--url", help="Where EVA is; without it, this machine.")]
_AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on stdout.")]


@voices_app.command("list")
def list_command(*, url: _Url = None, json: _AsJson = False) -> None:
    """Shows the voices: what a running EVA says of them, else what lies on disk."""
    from eva.voice_rows import table  # noqa: PLC0415 - `eva --help` shall not wait for it

    rows, is_running = asyncio.run(known_voices(url))
    if json:
        result_json({"is_running": is_running, "voices": msgspec.to_builtins(rows)})
        return
    result("\n".join(columns(table(rows))))
    if not is_running:
        progress("No EVA runs here: this is what lies on disk. `eva models pull NAME` gets a voice.")
    for row in rows:
        if row.reason:
            complain(f"{row.name}: {row.reason}")


@voices_app.command("try")
def try_command(  # noqa: PLR0913 - each is a flag
    name: Annotated[str, typer.Argument(help="A voice, `name#speaker`, or `eva-fr`.")],
    text: Annotated[str, typer.Argument(help="What it says.")] = "",
    *,
    out: Annotated[Path | None, typer.Option(help="Write the sound to this WAV file.")] = None,
    mood: Annotated[str, typer.Option(help="How it is said: `joy`, `sadness`…")] = "",
    speed: Annotated[float, typer.Option(min=0.25, max=4.0, help="1: as the voice does.")] = 1.0,
    url: _Url = None,
    json: _AsJson = False,
) -> None:
    """Lets a voice speak, by the EVA that runs, or in a process of its own where none does."""
    from eva.voice_rows import due  # noqa: PLC0415 - as above
    from eva.voice_trial import Trial, trial_text, try_voice  # noqa: PLC0415 - as above

    async def run() -> int:
        rows, is_running = await known_voices(url)
        language = language_if_known(name, rows)
        wish = Trial(
            text=text or trial_text(language), voice=name, language=language, out=out, mood=mood, speed=speed,
            url=_url(url) if is_running else "", is_json=json, due=due(rows, name, language),
        )  # fmt: skip
        return await try_voice(wish)

    if code := asyncio.run(run()):
        raise typer.Exit(code)


async def known_voices(url: str | None) -> tuple[list[VoiceRow], bool]:
    """Returns the voices and whether an EVA runs. Raises ``ConfigError``."""
    from eva.voice_rows import voice_rows  # noqa: PLC0415 - as above

    stage = await _stage(_url(url))
    listed = await asyncio.to_thread(_listed)
    configs = await asyncio.to_thread(_configs, listed)
    return voice_rows(listed, configs, stage), stage is not None


def language_if_known(name: str, rows: list[VoiceRow]) -> str:
    """Returns the language of a voice that can be asked for.

    Raises:
        BadInput: nobody here has it; names those that are most like it, or the command that gets it.
    """
    from eva.voice_rows import names  # noqa: PLC0415 - as above
    from services.tts.voices import espeak_name, find_name, is_default, language_of, nearest  # noqa: PLC0415

    if is_default(name) or espeak_name(name) or name.lower() in {"eva-en", "eva-fr"}:
        return language_of(name)
    here = [row for row in rows if row.state not in {"absent", "broken", "failed"}]
    if found := find_name(names(here), name):
        return language_of(found)
    if found := find_name(names(rows), name):
        reason = next((row.reason for row in rows if found.startswith(row.name) and row.reason), "")
        raise BadInput(f"{found} cannot speak: {reason or f'get it with `eva models pull {found}`'}")
    like = nearest(name, names(rows))
    hint = f"; do you mean {' or '.join(like)}?" if like else ": `eva voices list` shows those that there are"
    raise BadInput(f"there is no voice {name!r}{hint}")


async def _stage(url: str) -> StageHealth | None:
    from eva.chat_client import NotRunning  # noqa: PLC0415 - as above
    from eva.gateway_client import Gateway, GatewayRefused  # noqa: PLC0415
    from services.gateway.health import StageHealth  # noqa: PLC0415

    with contextlib.suppress(NotRunning, GatewayRefused):
        async with Gateway(url) as gateway:
            return (await gateway.health()).stages.get("tts", StageHealth())
    return None


def _url(flag: str | None) -> str:
    from eva.options import eva_url  # noqa: PLC0415 - as above

    return eva_url(flag)


def _listed() -> list[Listed]:
    from eva.hub import HubSettings  # noqa: PLC0415 - as above
    from eva.model_store import list_models  # noqa: PLC0415

    return list_models(HubSettings.read().models_dir)


def _configs(listed: list[Listed]) -> dict[str, VoiceConfig]:
    return {one.name: config for one in listed if (config := _config(one.path / f"{one.name}.onnx.json"))}


@functools.cache
def _config(path: Path) -> VoiceConfig | None:
    from eva.voice_rows import read_config  # noqa: PLC0415 - as above

    try:
        return read_config(path.read_bytes())
    except OSError:
        return None
