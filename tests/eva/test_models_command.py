"""Getting models: against a real HTTP hub on the loopback, with its faults; and the command around it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner, Result

from eva.hub import HttpHub, HubSettings, open_hub
from eva.meter import BarMeter, PlainMeter, open_meter
from eva.model_store import FetchFailed, HubUnreachable, Pulled, chosen, list_models, pull, verify_models
from eva.models import models_app, run_pull
from shared.errors import BadInput, ConfigError
from shared.models import RECORD_NAME, Installed, Model, directory, installed, verify
from tests.fakes.hub import FakeHub, black_hole, free_url, offered_voice, running_hub, silent_hub

QUICK_S = 0.3
WAIT_S = 60.0
SOON_S = 15.0  # Far below what nobody's patience costs, far above what a busy machine needs.


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback is reached directly, whatever the machine's settings are."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with running_hub() as hub:
        yield hub


class Watch:
    """A meter that keeps what it was shown, and a pause that takes no time."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []
        self.shown: list[int] = []
        self.ended = 0
        self.pauses: list[float] = []

    def begin(self, name: str, total_bytes: int) -> None:
        self.begun.append((name, total_bytes))

    def show(self, done_bytes: int) -> None:
        self.shown.append(done_bytes)

    def end(self) -> None:
        self.ended += 1


@contextlib.contextmanager
def patient(url: str, watch: Watch, *, quick_s: float = WAIT_S) -> Iterator[HttpHub]:
    """The real client, whose waiting costs no time."""
    with open_hub(url, quick_s, read_timeout_s=quick_s) as opened:
        yield dataclasses.replace(opened, pause=watch.pauses.append)


def pulled(model: Model, models_dir: Path, hub: FakeHub, watch: Watch | None = None) -> Pulled:
    watch = watch or Watch()
    (one,) = pull([model], models_dir, patient(hub.url, watch), watch)
    return one


def target(models_dir: Path, model: Model) -> Path:
    return directory(models_dir, model.kind, model.name) / f"{model.name}.onnx"


def a_broken_off_pull(models_dir: Path, model: Model, content: bytes) -> Path:
    part = target(models_dir, model).with_name(f"{model.name}.onnx.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def test_a_pulled_model_is_whole_and_is_not_hashed_again_at_the_next_start(
    hub: FakeHub, tmp_path: Path
) -> None:
    model, watch = offered_voice(hub), Watch()
    one = pulled(model, tmp_path, hub, watch)
    assert (one.outcome, one.reason) == ("fetched", "")
    assert target(tmp_path, model).read_bytes() == hub.files["voices/test-voice.onnx"]
    assert watch.begun == [(file.name, file.size_bytes) for file in reversed(model.files)]
    assert watch.shown[-1] == model.files[0].size_bytes
    assert watch.ended == 2
    record = json.loads((one.path / RECORD_NAME).read_text())
    assert record["files"]["test-voice.onnx"]["sha256"] == model.files[0].sha256
    assert verify(Installed(model.name, "tts", one.path, model))
    assert [item.name for item in installed(tmp_path, "tts")] == ["test-voice"]


def test_what_is_here_whole_is_not_asked_for_again(hub: FakeHub, tmp_path: Path) -> None:
    model = offered_voice(hub)
    pulled(model, tmp_path, hub)
    hub.requests.clear()
    assert pulled(model, tmp_path, hub).outcome == "present"
    assert hub.requests == []


def test_a_whole_model_needs_no_hub(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    pulled(model, tmp_path, hub)
    (one,) = pull([model], tmp_path, patient(free_url(), watch), watch)
    assert one.outcome == "present"


def test_only_the_broken_file_of_a_model_is_fetched_again(hub: FakeHub, tmp_path: Path) -> None:
    model, whole, other = offered_voice(hub), offered_voice(hub, "whole"), offered_voice(hub, "other")
    pulled(model, tmp_path, hub)
    pulled(whole, tmp_path, hub)
    target(tmp_path, model).write_bytes(b"")
    hub.requests.clear()
    watch = Watch()
    outcomes = [one.outcome for one in pull([model, whole, other], tmp_path, patient(hub.url, watch), watch)]
    assert outcomes == ["fetched", "present", "fetched"]
    assert [path for path, _ in hub.requests].count("voices/test-voice.onnx") == 1
    assert "voices/test-voice.onnx.json" not in [path for path, _ in hub.requests]


def test_a_cut_connection_is_taken_up_where_it_broke(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    hub.cut_after = [10, 33, 100_000, 50_000]  # The configuration once, then the voice twice.
    one = pulled(model, tmp_path, hub, watch)
    assert one.outcome == "fetched"
    assert [wanted for path, wanted in hub.requests if path.endswith(".onnx")] == [
        "",
        "bytes=100000-",
        "bytes=150000-",
    ]
    assert watch.pauses == [0.5, 0.5, 1.0]


def test_a_pull_goes_on_with_what_an_earlier_one_left(hub: FakeHub, tmp_path: Path) -> None:
    model = offered_voice(hub)
    part = a_broken_off_pull(tmp_path, model, hub.files["voices/test-voice.onnx"][:70_000])
    assert pulled(model, tmp_path, hub).outcome == "fetched"
    assert hub.requests[-1] == ("voices/test-voice.onnx", "bytes=70000-")
    assert not part.exists()


def test_a_hub_without_ranges_is_asked_for_the_whole_file(hub: FakeHub, tmp_path: Path) -> None:
    model = offered_voice(hub)
    a_broken_off_pull(tmp_path, model, b"old" * 1000)
    hub.has_ranges = False
    assert pulled(model, tmp_path, hub).outcome == "fetched"


def test_an_answer_without_a_length_that_ends_early_is_taken_up_too(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    hub.tells_length = False
    hub.cut_after = [33, 100_000]
    assert pulled(model, tmp_path, hub, watch).outcome == "fetched"
    assert hub.requests[-1] == ("voices/test-voice.onnx", "bytes=100000-")


def test_a_part_of_another_file_is_thrown_away_and_fetched_from_the_start(
    hub: FakeHub, tmp_path: Path
) -> None:
    model, watch = offered_voice(hub), Watch()
    a_broken_off_pull(tmp_path, model, b"x" * 1000)
    assert pulled(model, tmp_path, hub, watch).outcome == "fetched"
    assert [wanted for path, wanted in hub.requests if path.endswith(".onnx")] == ["bytes=1000-", ""]


def test_a_part_longer_than_the_file_is_thrown_away(hub: FakeHub, tmp_path: Path) -> None:
    model = offered_voice(hub)
    a_broken_off_pull(tmp_path, model, b"x" * 900_000)
    assert pulled(model, tmp_path, hub).outcome == "fetched"


def test_a_part_that_is_already_whole_is_taken_without_a_byte(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    a_broken_off_pull(tmp_path, model, hub.files["voices/test-voice.onnx"])
    assert pulled(model, tmp_path, hub, watch).outcome == "fetched"
    assert [name for name, _ in watch.begun] == ["test-voice.onnx.json"]


def test_a_whole_part_of_unknown_size_is_fetched_anew_when_the_hub_refuses_to_go_on(
    hub: FakeHub, tmp_path: Path
) -> None:
    model = offered_voice(hub, is_pinned=False)
    a_broken_off_pull(tmp_path, model, hub.files["voices/test-voice.onnx"])
    assert pulled(model, tmp_path, hub).outcome == "fetched"
    assert [wanted for path, wanted in hub.requests if path.endswith(".onnx")] == ["bytes=204800-", ""]


def test_a_wrong_hash_is_refused_and_the_file_removed(hub: FakeHub, tmp_path: Path) -> None:
    model = offered_voice(hub)
    content = hub.files["voices/test-voice.onnx"]
    hub.files["voices/test-voice.onnx"] = content[:-1] + b"!"
    one = pulled(model, tmp_path, hub)
    assert one.outcome == "failed"
    assert "test-voice.onnx: its content is not what it should be (wrong hash); it was removed" in one.reason
    assert sorted(file.name for file in one.path.iterdir()) == [RECORD_NAME, "test-voice.onnx.json"]


def test_another_size_is_refused_before_anything_is_fetched(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    hub.total_lie = 7
    one = pulled(model, tmp_path, hub, watch)
    assert "the hub offers 40 bytes instead of 33" in one.reason
    assert watch.begun == []


def test_a_file_that_the_hub_does_not_have_is_said_at_once(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    del hub.files["voices/test-voice.onnx"]
    one = pulled(model, tmp_path, hub, watch)
    assert (one.outcome, watch.pauses) == ("failed", [])
    assert "the hub has no such file (404, voices/test-voice.onnx)" in one.reason


def test_a_hub_that_asks_for_an_account_is_said_at_once(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    hub.statuses = [401]
    assert "the hub refuses it (401" in pulled(model, tmp_path, hub, watch).reason
    assert watch.pauses == []


def test_a_portal_that_answers_with_a_web_page_is_recognised(hub: FakeHub, tmp_path: Path) -> None:
    model = offered_voice(hub)
    hub.content_type = "text/html; charset=utf-8"
    assert "a web page came instead of it" in pulled(model, tmp_path, hub).reason


def test_a_busy_hub_is_asked_again_with_growing_pauses(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    hub.statuses = [503, 429, 500]
    assert pulled(model, tmp_path, hub, watch).outcome == "fetched"
    assert watch.pauses == [0.5, 1.0, 2.0]


def test_a_hub_that_stays_busy_is_given_up(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    hub.statuses = [503] * 20
    one = pulled(model, tmp_path, hub, watch)
    assert "the hub answered 503; given up after 6 tries" in one.reason
    assert len(hub.requests) == 6


def test_a_hub_that_sends_another_part_than_asked_is_not_believed(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    a_broken_off_pull(tmp_path, model, hub.files["voices/test-voice.onnx"][:1000])
    hub.range_shift = 5
    assert "the hub went on at another place than asked" in pulled(model, tmp_path, hub, watch).reason


def test_a_transfer_that_gets_on_is_never_given_up(hub: FakeHub, tmp_path: Path) -> None:
    model, watch = offered_voice(hub), Watch()
    content = b"large" * 2_000_000
    hub.files["voices/test-voice.onnx"] = content
    large = dataclasses.replace(
        model.files[0], size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    model = dataclasses.replace(model, files=(large,))
    hub.cut_after = [1_100_000] * 9
    assert pulled(model, tmp_path, hub, watch).outcome == "fetched"
    assert len(hub.requests) == 10
    assert watch.pauses == [0.5] * 9


def test_the_hash_that_the_hub_announces_is_held_against_an_unpinned_file(
    hub: FakeHub, tmp_path: Path
) -> None:
    model = offered_voice(hub, is_pinned=False)
    hub.announces = True
    assert pulled(model, tmp_path, hub).outcome == "fetched"
    target(tmp_path, model).write_bytes(b"")
    hub.corrupts = True
    assert "wrong hash" in pulled(model, tmp_path, hub).reason


def test_an_md5_is_held_against_a_file_without_any_other_hash(hub: FakeHub, tmp_path: Path) -> None:
    model = offered_voice(hub, is_pinned=False)
    content = hub.files["voices/test-voice.onnx"]
    right = dataclasses.replace(model.files[0], md5=hashlib.md5(content).hexdigest())
    wrong = dataclasses.replace(model.files[0], md5="0" * 32)
    assert "wrong hash" in pulled(dataclasses.replace(model, files=(wrong,)), tmp_path, hub).reason
    assert pulled(dataclasses.replace(model, files=(right,)), tmp_path, hub).outcome == "fetched"


def test_an_unpinned_file_may_change_by_a_pull_but_not_by_itself(hub: FakeHub, tmp_path: Path) -> None:
    model = offered_voice(hub, is_pinned=False)
    one = pulled(model, tmp_path, hub)
    hub.files["voices/test-voice.onnx"] = b"a newer voice"
    target(tmp_path, model).write_bytes(b"tampered")
    assert pulled(model, tmp_path, hub).outcome == "fetched"
    assert verify(Installed(model.name, "tts", one.path, model))


@pytest.mark.parametrize("kind_of_nothing", ["refused", "black hole", "silent"])
def test_a_hub_that_does_not_answer_is_given_up_within_the_timeout(
    tmp_path: Path, kind_of_nothing: str
) -> None:
    nothing = {
        "refused": lambda: contextlib.nullcontext(free_url()),
        "black hole": black_hole,
        "silent": silent_hub,
    }
    watch = Watch()
    model = offered_voice(FakeHub())
    with nothing[kind_of_nothing]() as url:
        started = time.monotonic()
        with pytest.raises(HubUnreachable) as caught:
            list(pull([model], tmp_path, patient(url, watch, quick_s=QUICK_S), watch))
        assert time.monotonic() - started < SOON_S
    assert caught.value.hub == url
    assert watch.pauses == []
    assert not target(tmp_path, model).exists()


def test_a_black_hole_costs_no_more_than_the_connect_timeout() -> None:
    with black_hole() as url, open_hub(url, QUICK_S) as opened:
        started = time.monotonic()
        with pytest.raises(HubUnreachable, match=r"no answer within 0\.3 s|timed out"):
            opened.reach()
        assert QUICK_S * 0.9 < time.monotonic() - started < SOON_S


def test_behind_a_proxy_the_hub_itself_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", free_url())
    monkeypatch.setenv("no_proxy", "")
    watch = Watch()
    with patient("http://hub.invalid", watch) as opened:
        opened.reach()
        with pytest.raises(HubUnreachable):
            opened.fetch(offered_voice(FakeHub()).files[0], Path("never.onnx"), watch)


def test_a_disk_without_room_is_said_before_anything_is_fetched(hub: FakeHub, tmp_path: Path) -> None:
    model = offered_voice(hub)
    vast = dataclasses.replace(model.files[0], size_bytes=10**18)
    one = pulled(dataclasses.replace(model, files=(vast,)), tmp_path, hub)
    assert one.outcome == "failed"
    assert "1000000000000 MB are needed" in one.reason
    assert hub.requests == []


def test_a_folder_that_cannot_be_made_is_named(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "tts").write_text("in the way")
    one = pulled(offered_voice(hub), tmp_path, hub)
    assert (one.outcome, one.reason) == ("failed", f"{one.path}: Not a directory")


def test_one_file_that_fails_does_not_keep_the_other_models_away(hub: FakeHub, tmp_path: Path) -> None:
    lost, good = offered_voice(hub, "lost"), offered_voice(hub, "good")
    del hub.files["voices/lost.onnx"]
    watch = Watch()
    outcomes = [one.outcome for one in pull([lost, good], tmp_path, patient(hub.url, watch), watch)]
    assert outcomes == ["failed", "fetched"]


def test_a_name_of_no_manifest_is_refused() -> None:
    with pytest.raises(BadInput, match="no model 'nope'"):
        chosen(["nope"])
    assert all(model.is_default for model in chosen([]))


def test_the_list_says_what_is_installed_broken_and_absent(tmp_path: Path) -> None:
    broken = directory(tmp_path, "stt", "faster-whisper-tiny")
    mine = directory(tmp_path, "tts", "mine")
    for folder in (broken, mine):
        folder.mkdir(parents=True)
    (broken / "model.bin").write_bytes(b"")
    (mine / "mine.onnx").write_bytes(b"onnx")
    (mine / "mine.onnx.json").write_bytes(b"{}")
    listed = {model.name: model for model in list_models(tmp_path)}
    assert listed["faster-whisper-tiny"].state == "broken"
    assert str(broken) in listed["faster-whisper-tiny"].reason
    assert listed["faster-whisper-base"].state == "absent"
    assert listed["faster-whisper-base"].trust == "pinned"
    assert (listed["mine"].state, listed["mine"].trust, listed["mine"].size_bytes) == (
        "installed",
        "by hand",
        6,
    )


def test_verify_tells_of_named_models_that_are_not_here(tmp_path: Path) -> None:
    ((item, state, reason),) = verify_models(["faster-whisper-tiny"], tmp_path)
    assert (item.name, state) == ("faster-whisper-tiny", "broken")
    assert "is missing" in reason
    assert verify_models([], tmp_path) == []
    with pytest.raises(BadInput):
        verify_models(["nope"], tmp_path)


def settings(tmp_path: Path, url: str) -> HubSettings:
    return HubSettings.read(data_dir=tmp_path, hub_url=url)


def test_a_pull_says_on_stdout_what_came_and_on_stderr_how(
    hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = offered_voice(hub)
    assert run_pull([model], settings(tmp_path, hub.url), as_json=False)
    said = capsys.readouterr()
    assert said.out == f"test-voice  fetched  {tmp_path / 'models' / 'tts' / 'test-voice'}\n"
    assert "test-voice.onnx: 0.2 MB\n" in said.err
    assert run_pull([model], settings(tmp_path, hub.url), as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["problem"] is None
    assert [(one["name"], one["outcome"]) for one in answer["models"]] == [("test-voice", "present")]


def test_a_pull_names_each_model_that_could_not_be_had(
    hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = offered_voice(hub)
    hub.files.clear()
    assert not run_pull([model], settings(tmp_path, hub.url), as_json=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("eva: test-voice: test-voice.onnx.json: the hub has no such file")


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="EVA_HUB_URL"):
        run_pull([offered_voice(FakeHub())], settings(tmp_path, "ftp://hub"), as_json=False)


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def command(*arguments: str, url: str = "http://127.0.0.1:9", **more: str) -> Result:
        environment = {"EVA_DATA_DIR": str(tmp_path), "EVA_HUB_URL": url, **more}
        return CliRunner().invoke(models_app, arguments, env=environment)

    return command


@pytest.mark.parametrize(("flags", "exit_code"), [((), 1), (("--optional",), 0), (("--all-defaults",), 1)])
def test_an_unreachable_hub_is_one_clear_line(
    run: Run, tmp_path: Path, flags: tuple[str, ...], exit_code: int
) -> None:
    url = free_url()
    outcome = run("pull", *flags, url=url)
    assert outcome.exit_code == exit_code
    assert outcome.stdout == ""
    assert outcome.stderr == (
        f"eva: The model hub cannot be reached ({url}: Connection refused): EVA goes on with what is here. "
        f"Put the files into {tmp_path}/models/<kind>/<name> by hand, or run `eva models pull` later.\n"
    )


def test_an_unreachable_hub_is_told_as_json_too(run: Run) -> None:
    outcome = run("pull", "--json", "faster-whisper-tiny", url=free_url())
    assert outcome.exit_code == 1
    answer = json.loads(outcome.stdout)
    assert answer["models"] == []
    assert "cannot be reached" in answer["problem"]


@pytest.mark.parametrize("arguments", [("pull", "nope"), ("verify", "nope")])
def test_an_unknown_name_is_a_mistake_of_usage(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert outcome.stderr == "eva: there is no model 'nope': `eva models list` shows those that there are\n"


def test_settings_that_cannot_be_read_are_a_mistake_of_usage(run: Run) -> None:
    outcome = run("list", EVA_DRAIN_S="soon")
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("eva: EVA_DRAIN_S:")


def test_the_list_is_a_table_or_json_and_names_what_is_broken(run: Run, tmp_path: Path) -> None:
    folder = directory(tmp_path / "models", "stt", "faster-whisper-tiny")
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"")
    table = run("list")
    assert table.exit_code == 0
    assert table.stdout.splitlines()[0].split() == [
        "NAME",
        "KIND",
        "LANGUAGES",
        "SIZE",
        "STATE",
        "CHECKED",
        "BY",
        "LICENCE",
    ]
    assert "faster-whisper-base (default)" in table.stdout
    assert "model.bin" not in table.stdout
    assert "config.json: is missing. Mend it with `eva models pull faster-whisper-tiny`" in table.stderr
    listed = json.loads(run("list", "--json").stdout)
    assert {entry["state"] for entry in listed} == {"absent", "broken"}


def test_verify_exits_with_1_when_something_is_broken(run: Run, tmp_path: Path) -> None:
    nothing = run("verify")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "No model lies here" in nothing.stderr
    folder = directory(tmp_path / "models", "tts", "mine")
    folder.mkdir(parents=True)
    (folder / "mine.onnx").write_bytes(b"onnx")
    (folder / "mine.onnx.json").write_bytes(b"{}")
    whole = run("verify")
    assert (whole.exit_code, whole.stdout, whole.stderr) == (0, "mine  ok\n", "")
    (folder / "mine.onnx").write_bytes(b"")
    broken = run("verify", "mine")
    assert (broken.exit_code, broken.stdout) == (1, "mine  broken\n")
    assert "mine.onnx: is empty" in broken.stderr
    (answer,) = json.loads(run("verify", "--json").stdout)
    assert (answer["name"], answer["state"]) == ("mine", "broken")


def test_a_plain_meter_says_the_start_the_quarters_and_the_speed() -> None:
    out, now = io.StringIO(), iter([10.0, 14.0])
    meter = PlainMeter(out, lambda: next(now))
    meter.begin("model.bin", 20_000_000)
    for done in (4_000_000, 5_000_000, 6_000_000):
        meter.show(done)
    meter.begin("model.bin", 20_000_000)  # Taken up again: no second headline.
    for done in (7_000_000, 16_000_000, 20_000_000):
        meter.show(done)
    meter.end()
    meter.end()
    assert out.getvalue().splitlines() == [
        "model.bin: 20.0 MB",
        "model.bin: 25 %",
        "model.bin: 75 %",
        "model.bin: here, 5.0 MB/s",
    ]


def test_a_plain_meter_copes_with_a_size_that_nobody_knows_and_a_file_that_was_given_up() -> None:
    out = io.StringIO()
    meter = PlainMeter(out)
    meter.begin("a.json", 0)
    meter.show(10)
    meter.end()
    meter.begin("b.json", 100)
    meter.show(10)
    meter.end()
    assert out.getvalue().splitlines() == ["a.json: size unknown", "b.json: 0.0 MB"]


def test_a_bar_moves_and_is_kept_while_a_file_is_taken_up_again() -> None:
    progress = Progress(console=Console(file=io.StringIO()))
    meter = BarMeter(progress)
    meter.begin("model.bin", 100)
    meter.show(40)
    meter.begin("model.bin", 100)
    meter.show(100)
    meter.end()
    meter.begin("unknown", 0)
    assert [(task.description, task.completed, task.total) for task in progress.tasks] == [
        ("model.bin", 100, 100),
        ("unknown", 0, None),
    ]


def test_the_meter_is_a_bar_on_a_terminal_only() -> None:
    with open_meter(io.StringIO(), is_plain=True) as meter:
        assert isinstance(meter, PlainMeter)
    out = io.StringIO()
    with open_meter(out, is_plain=False) as meter:
        assert isinstance(meter, BarMeter)
        meter.begin("model.bin", 100)
    assert "model.bin" in out.getvalue()


def test_a_hub_that_redirects_for_ever_is_given_up(hub: FakeHub, tmp_path: Path) -> None:
    hub.announces = True
    hub.loops = True
    one = pulled(offered_voice(hub), tmp_path, hub)
    assert "the hub sends from one address to the next" in one.reason


def test_fetch_errors_carry_their_data() -> None:
    error = FetchFailed("model.bin", "broken")
    assert (error.file, error.reason, error.code) == ("model.bin", "broken", "fetch_failed")
