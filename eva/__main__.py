"""The operator's command ``eva``: results on stdout, progress on stderr; exit 0 ok, 1 failed, 2 usage.

Everything heavy is imported in the command that needs it, so that ``eva --help`` is there at once.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from eva.api_keys_command import keys_app
from eva.bench_command import bench
from eva.models import models_app
from eva.output import complain, progress, result, result_json
from eva.sizing_command import sizing
from eva.voices import voices_app
from eva.wishes import BargeInMode, TranscriptForm
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
app.add_typer(voices_app, name="voices")
app.add_typer(config_app, name="config")
app.add_typer(keys_app, name="keys")
app.command()(bench)

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
    settings = options.gateway_settings(**({} if host is None else {"host": host}))
    stack = StackOptions(
        data_dir=options.data_dir(data_dir),
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
        nats_url=nats_url or "",
        drain_s=settings.drain_s if "drain_s" in settings.model_fields_set else StackOptions.drain_s,
        workers={"stt": stt, "llm": llm, "tts": tts},
    )
    wish = UpOptions(stack=stack, is_verbose=verbose, is_json=as_json, asks_for_key=settings.asks_for_key)
    _exit(asyncio.run(run_up(wish)))


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
def talk(  # noqa: PLR0913 - each is a flag
    *,
    wav: Annotated[Path | None, typer.Option(help="Speak this WAV file instead of the microphone.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write EVA's answers to this WAV file.")] = None,
    language: Annotated[str, typer.Option(help="Language spoken, as `en` or `fr`.")] = "",
    hands_free: Annotated[
        bool, typer.Option("--hands-free/--push-to-talk", help="EVA hears the end, or a key tells it.")
    ] = True,
    barge_in: Annotated[
        BargeInMode | None,
        typer.Option(
            help="When you speak while EVA does: she pauses and decides, stops at once, goes on, or does "
            "not listen. From the microphone half_duplex unless told otherwise, from a file judge.",
        ),
    ] = None,
    patience: Annotated[
        float | None,
        typer.Option(
            help="Seconds of silence in mid-sentence that EVA waits for at most: 1.2 unless told otherwise."
        ),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Talk with EVA, from the microphone or from a file."""
    from eva.options import eva_url  # noqa: PLC0415 - see the module
    from eva.talk import TalkOptions  # noqa: PLC0415
    from eva.talk import talk as run_talk  # noqa: PLC0415

    wish = TalkOptions(
        url=eva_url(url), wav=wav, out=out, language=language, is_json=as_json,
        barge_in=barge_in, is_hands_free=hands_free, patience_s=patience,
    )  # fmt: skip
    _exit(asyncio.run(run_talk(wish)))


@app.command()
def transcribe(  # noqa: PLR0913 - each is a flag
    file: Annotated[Path, typer.Argument(help="A recording: wav, mp3, ogg, webm, flac, m4a…")],
    *,
    language: Annotated[str, typer.Option(help="Language spoken; without it, it is detected.")] = "",
    words: Annotated[bool, typer.Option("--words", help="With the times of the words.")] = False,
    as_json: Json = False,
    srt: Annotated[bool, typer.Option("--srt", help="As subtitles.")] = False,
    vtt: Annotated[bool, typer.Option("--vtt", help="As subtitles for the web.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    url: Url = None,
) -> None:
    """Transcribe a recording."""
    from eva.options import eva_url  # noqa: PLC0415 - see the module
    from eva.transcribe import TranscribeOptions  # noqa: PLC0415
    from eva.transcribe import transcribe as run_transcribe  # noqa: PLC0415

    forms: dict[TranscriptForm, bool] = {"json": as_json, "srt": srt, "vtt": vtt}
    chosen = [form for form, is_chosen in forms.items() if is_chosen]
    if len(chosen) > 1:
        raise BadInput("one of --json, --srt and --vtt")
    wish = TranscribeOptions(
        url=eva_url(url), file=file, form=chosen[0] if chosen else "text", language=language,
        has_words=words, out=out,
    )  # fmt: skip
    _exit(asyncio.run(run_transcribe(wish)))


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


@app.command()
def mind(
    *,
    url: Url = None,
    watch: Annotated[bool, typer.Option("--watch", help="Each second, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show the ways to a language model: which answers, which is slow, what is left of its limits."""
    from eva.mind import mind as run_mind  # noqa: PLC0415 - see the module
    from eva.options import eva_url  # noqa: PLC0415

    _exit(asyncio.run(run_mind(eva_url(url), is_watched=watch, is_json=as_json)))


@app.command()
def review(  # noqa: PLR0913 - each is a flag
    *,
    turns: Annotated[int, typer.Option(min=2, max=1000, help="Turns to have; a third is spoken.")] = 12,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(help="Fail where a figure is so, as `response_p95>0.5`; may be given several times."),
    ] = None,
    watch: Annotated[str, typer.Option(help="Again and again, as every `10m`; prints what changes.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="The folder of all reviews [default: reviews in the data directory].")
    ] = None,
    break_things: Annotated[
        bool,
        typer.Option("--break-things", help="Kill workers of the `eva up` under review, to see it mend."),
    ] = False,
    key: Annotated[
        str, typer.Option(help="An API key; others on this machine can see it, EVA_API_KEY is better.")
    ] = "",
    url: Url = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Have real turns with a running EVA and tell what they are worth; exit 1 on a blocker."""
    import os  # noqa: PLC0415 - only here

    from eva import options  # noqa: PLC0415 - see the module
    from eva.credentials import VARIABLE  # noqa: PLC0415
    from eva.review import ReviewOptions  # noqa: PLC0415
    from eva.review import review as run_review  # noqa: PLC0415
    from eva.review_limits import parse_limit, parse_span  # noqa: PLC0415

    if key:
        os.environ[VARIABLE] = key
    place = options.data_dir(data_dir)
    wish = ReviewOptions(
        url=options.eva_url(url), folder=out or place / "reviews", data_dir=place, turns=turns,
        limits=tuple(parse_limit(text) for text in fail_on or []), breaks=break_things,
        every_s=parse_span(watch) if watch else None, is_json=as_json,
    )  # fmt: skip
    _exit(asyncio.run(run_review(wish)))


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


app.command()(sizing)


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
