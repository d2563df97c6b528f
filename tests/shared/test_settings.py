"""Settings come from the environment, a .env file and secret files, and say by name what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.errors import ConfigError
from shared.settings import CommonSettings


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, no variable of EVA's and no secrets."""
    for name in [name for name in os.environ if name.startswith("EVA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EVA_SECRETS_DIR", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_need_nothing() -> None:
    settings = CommonSettings.read()
    assert settings.nats_url == "nats://127.0.0.1:4222"
    assert settings.models_dir == settings.data_dir / "models"


def test_the_environment_is_read_and_wins_over_the_env_file(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / ".env").write_text("EVA_NATS_URL=nats://file:1\nEVA_DRAIN_S=3\n# a note\nOTHER=x\n")
    monkeypatch.setenv("EVA_NATS_URL", "nats://environment:1")
    settings = CommonSettings.read()
    assert settings.nats_url == "nats://environment:1"
    assert settings.drain_s == 3.0


def test_secrets_come_from_files_and_the_environment_wins(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = bare / "secrets"
    secrets.mkdir()
    (secrets / "eva_nats_password").write_text("from-a-file\n")
    (secrets / "eva_nats_user").write_text("file-user")
    monkeypatch.setenv("EVA_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("EVA_NATS_USER", "environment-user")
    settings = CommonSettings.read()
    assert settings.nats_password.get_secret_value() == "from-a-file"
    assert settings.nats_user == "environment-user"


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVA_NATS_URL", "")
    assert CommonSettings.read().nats_url == "nats://127.0.0.1:4222"


def test_overrides_win_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVA_NATS_URL", "nats://environment:1")
    assert CommonSettings.read(nats_url="nats://flag:1").nats_url == "nats://flag:1"


def test_a_value_that_cannot_work_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVA_DRAIN_S", "soon")
    with pytest.raises(ConfigError, match=r"^EVA_DRAIN_S: "):
        CommonSettings.read()
    monkeypatch.setenv("EVA_DRAIN_S", "-1")
    with pytest.raises(ConfigError, match=r"^EVA_DRAIN_S: "):
        CommonSettings.read()


def test_a_password_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVA_NATS_PASSWORD", "geheim")
    settings = CommonSettings.read()
    assert "geheim" not in repr(settings)
    assert "geheim" not in str(settings.model_dump())


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        CommonSettings.read().drain_s = 1.0  # type: ignore[misc]


def test_the_data_directory_follows_the_desktop_convention(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(bare))
    assert CommonSettings.read().data_dir == bare / "eva"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(bare))
    assert CommonSettings.read().data_dir == bare / ".local/share/eva"
