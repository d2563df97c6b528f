"""``eva transcribe`` against a real gateway, on a worker that only pretends to listen."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eva.chat_client import NotRunning
from eva.gateway_client import PART_BYTES, GatewayRefused
from eva.transcribe import MOST_BYTES, TranscribeOptions, showing, transcribe
from services.gateway.http_transcribe import MAX_BYTES
from shared.errors import BadInput
from shared.messages import FileDone, FileFailed
from tests.fakes.file_ears import FakeFileEars
from tests.fakes.gateway import RunningGateway, running_gateway

DATA = bytes(range(256)) * 700


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway() as running:
        yield running


@pytest.fixture
async def ears(gateway: RunningGateway) -> FakeFileEars:
    fake = FakeFileEars(gateway.broker.connect("filer"))
    await fake.listen()
    await gateway.until(lambda: gateway.door.watch.is_up("stt"))
    return fake


@pytest.fixture
def wish(gateway: RunningGateway, tmp_path: Path) -> TranscribeOptions:
    file = tmp_path / "note.ogg"
    file.write_bytes(DATA)
    return TranscribeOptions(url=f"http://{gateway.address}", file=file)


def but(wish: TranscribeOptions, **changes: object) -> TranscribeOptions:
    return TranscribeOptions(**{**vars(wish), **changes})


async def test_the_text_goes_to_stdout_and_who_listened_to_stderr(
    wish: TranscribeOptions, ears: FakeFileEars, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await transcribe(but(wish, language="en")) == 0
    shown = capsys.readouterr()
    assert shown.out == "Hello there.\nBye.\n"
    assert "Transcribing note.ogg…" in shown.err
    assert "3.0 s in " in shown.err
    assert "· en · ears whisper tiny (cpu)" in shown.err
    assert ears.received == [DATA]
    assert len(DATA) > PART_BYTES
    assert (ears.opened[0].language, ears.opened[0].has_words) == ("en", False)


async def test_words_come_with_their_times_and_segments_with_theirs_where_no_word_has_any(
    wish: TranscribeOptions, ears: FakeFileEars, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await transcribe(but(wish, has_words=True)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "    0.10     0.40  Hello", "    0.45     0.90  there.", "    2.00     2.50  Bye.",
    ]  # fmt: skip
    assert ears.opened[0].has_words


async def test_json_is_one_value_on_stdout(
    wish: TranscribeOptions, ears: FakeFileEars, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await transcribe(but(wish, form="json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["text"], told["engine"], len(told["segments"])) == ("Hello there. Bye.", "whisper", 2)
    assert ears.received


@pytest.mark.parametrize(("form", "begins"), [("srt", "1\n00:00:00,100 --> "), ("vtt", "WEBVTT\n\n1\n")])
async def test_subtitles_are_written_to_a_file(
    wish: TranscribeOptions, ears: FakeFileEars, form: str, begins: str, tmp_path: Path
) -> None:
    assert await transcribe(but(wish, form=form, out=tmp_path / "note.srt")) == 0
    assert (tmp_path / "note.srt").read_text(encoding="utf-8").startswith(begins)
    assert ears.received


async def test_a_recording_in_which_nobody_speaks_is_no_error(
    wish: TranscribeOptions, ears: FakeFileEars, capsys: pytest.CaptureFixture[str]
) -> None:
    ears.answer = [FileDone(segments=0, duration_ms=500)]
    assert await transcribe(wish) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "no speech" in shown.err


async def test_what_eva_cannot_read_is_said_in_her_words(wish: TranscribeOptions, ears: FakeFileEars) -> None:
    ears.answer = [FileFailed(code="unreadable_audio", message="this is no recording")]
    with pytest.raises(GatewayRefused, match="this is no recording"):
        await transcribe(wish)


async def test_nobody_free_says_when_to_come_back(wish: TranscribeOptions) -> None:
    with pytest.raises(GatewayRefused, match=r"nobody has room.*; try again in \d+ s"):
        await transcribe(wish)


async def test_an_unknown_language_is_refused_by_eva(wish: TranscribeOptions, ears: FakeFileEars) -> None:
    with pytest.raises(GatewayRefused, match="a language is a code"):
        await transcribe(but(wish, language="?"))
    assert ears.received == []


async def test_files_that_cannot_be_sent_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    def wanted(name: str) -> TranscribeOptions:
        return TranscribeOptions(url="http://127.0.0.1:9", file=tmp_path / name)

    (tmp_path / "empty.wav").touch()
    with (tmp_path / "long.wav").open("wb") as long:
        long.truncate(MOST_BYTES + 1)
    for name, reason in {"absent.wav": "cannot be read", "empty.wav": "is empty", "long.wav": "25"}.items():
        with pytest.raises(BadInput, match=reason):
            await transcribe(wanted(name))
    assert MOST_BYTES == MAX_BYTES


async def test_a_file_that_cannot_be_written_is_named(
    wish: TranscribeOptions, ears: FakeFileEars, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        await transcribe(but(wish, out=tmp_path / "no" / "where.txt"))
    assert ears.received


async def test_no_eva_at_all_says_how_to_start_one(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(DATA)
    with pytest.raises(NotRunning, match="make run"):
        await transcribe(TranscribeOptions(url="http://127.0.0.1:9", file=tmp_path / "a.wav"))


def test_on_a_terminal_progress_is_shown_and_gone_when_all_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with showing("note.ogg", is_live=True) as sent:
        sent(50, 100)
        sent(100, 100)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Listening to note.ogg…" in shown.err
    assert shown.err.endswith("\x1b[2K")  # erased
