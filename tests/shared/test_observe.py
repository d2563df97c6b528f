"""Logs: the event first, values as fields, text or JSON, and nothing that people said above DEBUG."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from shared.observe import Log, configure_logging, logged_with

log = Log("eva.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Gives pytest its handlers back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_of_text_names_the_event_and_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "text")
    log.info("worker.ready", engine="piper", load_s=0.123456)
    line = capsys.readouterr().err.rstrip()
    assert line.endswith("INFO    worker.ready engine=piper load_s=0.1235")


def test_a_line_of_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    log.warning("worker.late", by_s=0.5, text="zürnen", odd={1})
    entry = json.loads(capsys.readouterr().err)
    assert entry["event"] == "worker.late"
    assert entry["level"] == "WARNING"
    assert entry["logger"] == "eva.test"
    assert (entry["by_s"], entry["text"], entry["odd"]) == (0.5, "zürnen", "{1}")


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_traceback_stands_with_its_event(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", style)
    try:
        int("boom")
    except ValueError:
        log.exception("job.failed", queue="q")
    said = capsys.readouterr().err
    assert "job.failed" in said
    assert "ValueError: " in said


def test_below_the_level_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")
    log.debug("heard", text="a secret")
    assert capsys.readouterr().err == ""
    configure_logging("DEBUG", "text")
    log.debug("heard", text="a word")
    log.error("failed", code=1)
    said = capsys.readouterr().err
    assert "a word" in said
    assert "ERROR   failed code=1" in said


def test_chatty_libraries_say_only_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG", "text")
    logging.getLogger("httpx").info("GET with a key in it")
    logging.getLogger("httpx").warning("trouble")
    said = capsys.readouterr().err
    assert "key" not in said
    assert "trouble" in said


def test_all_that_is_logged_inside_has_the_fields_around_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")

    async def served() -> None:
        with logged_with(request="r1"):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(told())
            with logged_with(part=2):
                log.info("inside")
        log.info("outside")

    async def told() -> None:
        log.info("task", own=1)

    asyncio.run(served())
    said = [line.partition("INFO")[2].split() for line in capsys.readouterr().err.splitlines()]
    assert said == [["task", "own=1", "request=r1"], ["inside", "request=r1", "part=2"], ["outside"]]
