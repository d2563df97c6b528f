"""The operator's command ``eva``: results on stdout, progress on stderr; exit 0 ok, 1 failed, 2 usage.

Everything heavy is imported in the command that needs it, so that ``eva --help`` is there at once.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from eva.models import models_app
from eva.output import complain, progress, result, result_json
from shared.errors import BadInput, ConfigError, EvaError

EXIT_FAILED, EXIT_USAGE = 1, 2

app = typer.Typer(
    name="eva",
    help="EVA, a self-hosted voice companion: start it, talk to it, look after it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="What EVA was told, and what it can be told.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(config_app, name="config")

Url = Annotated[str | None, typer.Option("--url", help="Where EVA is; without it, this machine.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
DataDir = Annotated[Path | None, typer.Option(help="Models, logs and the broker's store.")]


@app.command()
def up(  # noqa: PLR0913 - each is a flag
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one [default: 8000].")
    ] = None,
    data_dir: DataDir = None,
    nats_url: Annotated[
        str | None, typer.Option(envvar="EVA_NATS_URL", help="A broker to use instead of an embedded one.")
    ] = None,
    stt: Annotated[int, typer.Option(min=0, help="Processes for the ears.")] = 1,
    llm: Annotated[int, typer.Option(min=0, help="Processes for the mind.")] = 1,
    tts: Annotated[int, typer.Option(min=0, help="Processes for the voice.")] = 1,
    verbose: Annotated[bool, typer.Option(help="The services' logs on stderr too.")] = False,
    as_json: Json = False,
) -> None:
    """Start EVA and keep it running until Ctrl-C."""
    from eva import options  # noqa: PLC0415 - see the module
    from eva.config import effective, unknown_variables  # noqa: PLC0415
    from eva.stack import StackOptions  # noqa: PLC0415
    from eva.up import UpOptions  # noqa: PLC0415
    from eva.up import up as run_up  # noqa: PLC0415

    effective()  # a setting that cannot work is said here, not by a process that dies again and again
    for name in unknown_variables():
        progress(f"{name} is no setting of EVA; see `eva config show`.")
    settings = options.gateway_settings()
    stack = StackOptions(
        data_dir=options.data_dir(data_dir),
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
        nats_url=nats_url or "",
        workers={"stt": stt, "llm": llm, "tts": tts},
    )
    _exit(asyncio.run(run_up(UpOptions(stack=stack, is_verbose=verbose, is_json=as_json))))


@app.command()
def say(  # noqa: PLR0913 - each is a flag
    text: Annotated[str, typer.Argument(help="What to say to EVA.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Write the answer's sound to this WAV file.")] = None,
    url: Url = None,
    voice: Annotated[str, typer.Option(help="The voice that answers.")] = "",
    session: Annotated[str | None, typer.Option(help="The conversation to go on with.")] = None,
    audio: Annotated[bool, typer.Option(help="With sound, or text alone.")] = True,
    as_json: Json = False,
) -> None:
    """Say something to EVA by typing; prints and plays the answer."""
    from eva.options import eva_url  # noqa: PLC0415 - see the module
    from eva.say import SayOptions  # noqa: PLC0415
    from eva.say import say as run_say  # noqa: PLC0415

    wish = SayOptions(
        text=text,
        url=eva_url(url),
        out=out,
        voice=voice,
        session=session,
        is_json=as_json,
        with_audio=audio,
    )
    _exit(asyncio.run(run_say(wish)))


@app.command()
def talk(
    *,
    wav: Annotated[Path | None, typer.Option(help="Speak this WAV file instead of the microphone.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write EVA's answers to this WAV file.")] = None,
    language: Annotated[str, typer.Option(help="Language spoken, as `en` or `fr`.")] = "",
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Talk with EVA, from the microphone or from a file."""
    from eva.options import eva_url  # noqa: PLC0415 - see the module
    from eva.talk import TalkOptions  # noqa: PLC0415
    from eva.talk import talk as run_talk  # noqa: PLC0415

    wish = TalkOptions(url=eva_url(url), wav=wav, out=out, language=language, is_json=as_json)
    _exit(asyncio.run(run_talk(wish)))


@app.command()
def demo(
    *,
    out: Annotated[Path, typer.Option(help="Where both voices are written.")] = Path("demo.wav"),
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Start an EVA, have a short spoken conversation with it, stop it."""
    from eva import options  # noqa: PLC0415 - see the module
    from eva.demo import demo as run_demo  # noqa: PLC0415

    _exit(asyncio.run(run_demo(out, options.data_dir(data_dir), is_json=as_json)))


@app.command()
def doctor(*, url: Url = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Check everything that EVA needs; exit 1 if something is missing."""
    from eva import options  # noqa: PLC0415 - see the module
    from eva.doctor import doctor as run_doctor  # noqa: PLC0415

    _exit(asyncio.run(run_doctor(options.eva_url(url), options.data_dir(data_dir), is_json=as_json)))


@config_app.command("show")
def config_show(*, as_json: Json = False) -> None:
    """The effective settings of all services, secrets redacted."""
    from eva.config import effective, unknown_variables  # noqa: PLC0415 - see the module
    from eva.output import columns  # noqa: PLC0415

    settings = effective()
    for name in unknown_variables():
        progress(f"{name} is no setting of EVA.")
    if as_json:
        result_json({one.name: {"value": one.value, "source": one.source} for one in settings})
        return
    rows = [["variable", "value", "from"], *([one.name, one.value or "-", one.source] for one in settings)]
    for line in columns(rows):
        result(line)


@config_app.command("env-example")
def config_env_example() -> None:
    """Print `.env.example`, made from the settings."""
    from eva.config import env_example  # noqa: PLC0415 - see the module

    result(env_example(), end="")


def _exit(code: int) -> None:
    if code:
        raise typer.Exit(code)


def first_error(error: BaseException) -> EvaError | None:
    """Returns the first error of ours in a group of errors, or the error itself if it is ours."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for one in error.exceptions if (found := first_error(one))), None)
    return error if isinstance(error, EvaError) else None


def tell(error: EvaError) -> int:
    """Writes an error as one line, with what mends it; returns the exit code."""
    hint: Any = getattr(error, "hint", "")
    complain(str(error), hint=str(hint))
    return EXIT_USAGE if isinstance(error, (ConfigError, BadInput)) else EXIT_FAILED


def main() -> NoReturn:
    """The command; always ends the process."""
    try:
        app()
    except EvaError as error:
        sys.exit(tell(error))
    except BaseExceptionGroup as group:
        if (found := first_error(group)) is None:
            raise
        sys.exit(tell(found))
    sys.exit(0)


if __name__ == "__main__":
    main()
