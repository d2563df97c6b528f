"""Models on disk: the promises of the manifest, what counts as installed, each way to be broken."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from shared.models import (
    RECORD_NAME,
    Installed,
    Model,
    ModelBroken,
    ModelFile,
    directory,
    find,
    forget,
    installed,
    manifest,
    parse_manifest,
    remember,
    verify,
)

ONNX = b"\x08\x07onnx" * 100
JSON = b'{"audio": {"sample_rate": 22050}}'


def a_voice(models_dir: Path, name: str = "my-voice") -> Installed:
    folder = directory(models_dir, "tts", name)
    folder.mkdir(parents=True)
    (folder / f"{name}.onnx").write_bytes(ONNX)
    (folder / f"{name}.onnx.json").write_bytes(JSON)
    return Installed(name, "tts", folder, None)


def known(item: Installed, *, sha256: str = "", md5: str = "", size_bytes: int = 0) -> Installed:
    """The same voice as if the manifest named it."""
    files = (
        ModelFile(f"{item.name}.onnx", "", size_bytes, sha256, md5),
        ModelFile(f"{item.name}.onnx.json", "", 0, ""),
    )
    model = Model(item.name, "tts", ("en",), "CC0", "", "main", files, False, "")
    return Installed(item.name, "tts", item.path, model)


def test_every_model_of_the_manifest_is_pinned_to_a_commit_and_its_files_to_a_hash() -> None:
    for model in manifest():
        assert re.fullmatch("[0-9a-f]{40}", model.revision), model.name
        assert model.is_pinned, model.name
        for file in model.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256) or re.fullmatch("[0-9a-f]{32}", file.md5), file
            assert file.size_bytes > 0
            assert model.revision in file.url
            assert model.source in file.url
            assert file.url.endswith("/" + file.name)
            assert "/" not in file.name


def test_the_names_in_the_manifest_are_unique_and_every_licence_is_said() -> None:
    assert len({model.name for model in manifest()}) == len(manifest())
    assert all(model.licence and model.description and model.languages for model in manifest())


def test_there_are_voices_of_both_languages_and_genders_and_their_names_say_what_they_are() -> None:
    voices = [model for model in manifest() if model.kind == "tts"]
    for language in ("en", "fr"):
        told = [model.description for model in voices if model.languages == (language,)]
        assert any(", female" in text for text in told)
        assert any(", male" in text for text in told)
    for model in voices:
        region, speech, quality = model.name.split("-")
        assert region.split("_")[0] == model.languages[0]
        assert model.files[0].url.endswith(f"/{region}/{speech}/{quality}/{model.name}.onnx")
        assert model.rate_hz in ({0, 16000} if quality == "low" else {0, 22050})
        assert len(model.speakers) != 1
        assert all(speaker in model.description for speaker in model.speakers)


def test_the_defaults_hear_any_language_and_speak_english_and_french() -> None:
    defaults = [model for model in manifest() if model.is_default]
    assert {language for model in defaults if model.kind == "tts" for language in model.languages} == {
        "en",
        "fr",
    }
    assert [model.languages for model in defaults if model.kind == "stt"] == [("*",)]
    assert sum(model.size_bytes for model in defaults) < 300e6


def test_a_model_of_a_kind_has_the_files_that_its_engine_opens() -> None:
    for model in manifest():
        names = {file.name for file in model.files}
        if model.kind == "stt":
            assert {"model.bin", "config.json", "tokenizer.json"} < names
        elif model.kind == "turn":
            assert names == {f"{model.name}.onnx"}
        else:
            assert names == {f"{model.name}.onnx", f"{model.name}.onnx.json"}


def test_find_answers_none_for_a_name_of_no_manifest() -> None:
    assert find("faster-whisper-base") is not None
    assert find("faster-whisper-gigantic") is None


def test_a_manifest_may_leave_hashes_open_and_is_then_not_pinned() -> None:
    entry = """
        [[model]]
        name = "v"
        kind = "tts"
        languages = ["en"]
        licence = "CC0"
        source = "s"
        revision = "v1.0.0"
        default = false
        description = "d"
        path = "s/resolve/{revision}/{name}"
        files = [{ name = "v.onnx", size_bytes = 0, sha256 = "" HERE }]
    """
    (model,) = parse_manifest(entry.replace("HERE", ""))
    assert model.files == (ModelFile("v.onnx", "s/resolve/v1.0.0/v.onnx", 0, ""),)
    assert not model.is_pinned
    (model,) = parse_manifest(entry.replace("HERE", ', md5 = "d41d8cd98f00b204e9800998ecf8427e"'))
    assert model.is_pinned


def test_nothing_is_installed_where_there_is_no_folder(tmp_path: Path) -> None:
    assert installed(tmp_path / "nowhere", "stt") == []


def test_installed_models_come_with_the_defaults_first_and_then_by_name(tmp_path: Path) -> None:
    for name in ("zulu", "en_US-amy-medium", "fr_FR-siwis-medium", "alpha"):
        a_voice(tmp_path, name)
    directory(tmp_path, "tts", "empty").mkdir()
    directory(tmp_path, "tts", ".hidden").mkdir()
    (tmp_path / "tts" / "a-file").write_text("x")
    found = installed(tmp_path, "tts")
    assert [item.name for item in found] == ["fr_FR-siwis-medium", "alpha", "en_US-amy-medium", "zulu"]
    assert [item.model is not None for item in found] == [True, False, True, False]


def test_a_whisper_model_is_a_folder_with_model_bin(tmp_path: Path) -> None:
    for name, file in (
        ("faster-whisper-base", "model.bin"),
        ("half", "config.json"),
        ("en_US-amy-medium", "model.bin"),
    ):
        folder = directory(tmp_path, "stt", name)
        folder.mkdir(parents=True)
        (folder / file).write_bytes(b"x")
    found = installed(tmp_path, "stt")
    assert [(item.name, item.model is not None) for item in found] == [
        ("faster-whisper-base", True),
        ("en_US-amy-medium", False),  # A voice's name does not make a voice of it.
    ]


def test_a_whole_voice_put_there_by_hand_is_verified_to_its_hashes(tmp_path: Path) -> None:
    assert verify(a_voice(tmp_path)) == {
        "my-voice.onnx": hashlib.sha256(ONNX).hexdigest(),
        "my-voice.onnx.json": hashlib.sha256(JSON).hexdigest(),
    }


@pytest.mark.parametrize("vocabulary", ["vocabulary.txt", "vocabulary.json"])
def test_a_whole_whisper_model_put_there_by_hand_is_verified(tmp_path: Path, vocabulary: str) -> None:
    folder = directory(tmp_path, "stt", "mine")
    folder.mkdir(parents=True)
    for name in ("model.bin", "config.json", "tokenizer.json", vocabulary):
        (folder / name).write_bytes(b"[1]")
    (item,) = installed(tmp_path, "stt")
    assert set(verify(item)) == {"model.bin", "config.json", "tokenizer.json", vocabulary}
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelBroken, match=r"tokenizer\.json: is missing\. Put the right file there again"):
        verify(item)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 63201294\n",
            "is only a Git LFS pointer",
        ),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>Log in to the airport", "is a web page"),
        (b'<?xml version="1.0"?><Error>', "is a web page"),
    ],
)
def test_what_a_fetch_that_went_wrong_leaves_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    item = a_voice(tmp_path)
    file = item.path / "my-voice.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelBroken, match=reason) as caught:
        verify(item)
    assert caught.value.file == file
    assert str(file) in str(caught.value)
    assert caught.value.hint in str(caught.value)


def test_a_voice_without_its_configuration_is_broken_and_not_invisible(tmp_path: Path) -> None:
    item = a_voice(tmp_path)
    (item.path / "my-voice.onnx.json").unlink()
    assert [found.name for found in installed(tmp_path, "tts")] == ["my-voice"]
    with pytest.raises(ModelBroken, match=r"my-voice\.onnx\.json: is missing"):
        verify(item)


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    item = a_voice(tmp_path)
    (item.path / "my-voice.onnx").unlink()
    (item.path / "my-voice.onnx").mkdir()
    with pytest.raises(ModelBroken, match=r"cannot be read \(Is a directory\)"):
        verify(item)


def test_a_configuration_that_is_no_json_is_named(tmp_path: Path) -> None:
    item = a_voice(tmp_path)
    (item.path / "my-voice.onnx.json").write_bytes(JSON[:10])
    with pytest.raises(ModelBroken, match=r"my-voice\.onnx\.json: is not valid JSON"):
        verify(item)


def test_another_size_than_the_manifest_says_is_refused_with_the_command_that_mends_it(
    tmp_path: Path,
) -> None:
    item = known(a_voice(tmp_path), size_bytes=len(ONNX) + 1)
    with pytest.raises(
        ModelBroken, match=rf"has {len(ONNX)} bytes instead of {len(ONNX) + 1}.*`eva models pull my-voice`"
    ):
        verify(item)


def test_another_content_than_the_manifest_says_is_refused_every_time(tmp_path: Path) -> None:
    item = known(a_voice(tmp_path), sha256="0" * 64)
    for _ in range(2):
        with pytest.raises(ModelBroken, match="is not the file it should be"):
            verify(item)
    assert verify(known(item, sha256=hashlib.sha256(ONNX).hexdigest()))


def test_an_md5_serves_where_no_sha256_is_known(tmp_path: Path) -> None:
    item = a_voice(tmp_path)
    with pytest.raises(ModelBroken, match="md5"):
        verify(known(item, md5="0" * 32))
    assert verify(known(item, md5=hashlib.md5(ONNX).hexdigest()))


def test_the_first_content_seen_is_what_an_unpinned_file_must_stay(tmp_path: Path) -> None:
    item = a_voice(tmp_path)
    verify(item)
    (item.path / "my-voice.onnx").write_bytes(ONNX[::-1])
    with pytest.raises(ModelBroken, match=f"remove {RECORD_NAME} beside it"):
        verify(item)
    (item.path / RECORD_NAME).unlink()
    assert verify(item)["my-voice.onnx"] == hashlib.sha256(ONNX[::-1]).hexdigest()


def test_a_file_is_hashed_again_only_when_its_size_or_time_changed(tmp_path: Path) -> None:
    item = a_voice(tmp_path)
    verify(item)
    file = item.path / "my-voice.onnx"
    times = file.stat()
    file.write_bytes(ONNX[::-1])
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert verify(item)["my-voice.onnx"] == hashlib.sha256(ONNX).hexdigest()  # The record answered.
    with pytest.raises(ModelBroken, match="is not the file it should be"):
        verify(item, use_cache=False)


def test_a_touched_file_with_the_same_content_stays_good(tmp_path: Path) -> None:
    item = a_voice(tmp_path)
    first = verify(item)
    os.utime(item.path / "my-voice.onnx", ns=(1, 1))
    assert verify(item) == first
    record = json.loads((item.path / RECORD_NAME).read_text())
    assert record["files"]["my-voice.onnx"]["mtime_ns"] == 1


@pytest.mark.parametrize("record", [b"\xff\x00", b"[]", b'{"files": 3}', b'{"files": {"my-voice.onnx": 3}}'])
def test_a_damaged_record_is_no_record(tmp_path: Path, record: bytes) -> None:
    item = a_voice(tmp_path)
    (item.path / RECORD_NAME).write_bytes(record)
    assert verify(item)["my-voice.onnx"] == hashlib.sha256(ONNX).hexdigest()


def test_a_folder_that_takes_no_record_is_verified_all_the_same(tmp_path: Path) -> None:
    item = a_voice(tmp_path)
    (
        item.path / f"{RECORD_NAME}.{os.getpid()}"
    ).mkdir()  # As a read-only folder: the record cannot be written.
    assert verify(item)
    assert not (item.path / RECORD_NAME).exists()


def test_a_fetched_file_is_remembered_and_forgotten_before_it_is_replaced(tmp_path: Path) -> None:
    item = a_voice(tmp_path)
    file = item.path / "my-voice.onnx"
    forget(file)  # Nothing is known yet: nothing happens.
    remember(file, "1" * 64)
    assert verify(item)["my-voice.onnx"] == "1" * 64  # Trusted until size or time change.
    forget(file)
    assert verify(item)["my-voice.onnx"] == hashlib.sha256(ONNX).hexdigest()


def test_a_turn_model_put_there_by_hand_is_one_file(tmp_path: Path) -> None:
    folder = directory(tmp_path, "turn", "mine")
    folder.mkdir(parents=True)
    assert installed(tmp_path, "turn") == []
    (folder / "any.onnx").write_bytes(ONNX)
    (item,) = installed(tmp_path, "turn")
    assert list(verify(item)) == ["any.onnx"]
    (folder / "any.onnx").write_bytes(b"")
    with pytest.raises(ModelBroken, match=r"any\.onnx: is empty"):
        verify(item)
