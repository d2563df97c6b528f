from pathlib import Path

import pytest

from eva.config import SERVICES, effective, env_example, settings_of, unknown_variables
from shared.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No `.env` of whoever runs the tests, and none of their variables."""
    monkeypatch.chdir(tmp_path)
    for name in unknown_variables():
        monkeypatch.delenv(name)
    return tmp_path


def value(name: str) -> tuple[object, str]:
    return next((one.value, one.source) for one in effective() if one.name == name)


def test_the_committed_example_is_what_the_settings_say() -> None:
    committed = (ROOT / ".env.example").read_text()
    assert committed == env_example(), "run: eva config env-example > .env.example"


def test_the_example_with_every_line_uncommented_means_the_defaults(elsewhere: Path) -> None:
    defaults = {one.name: one.value for one in effective()}
    lines = [line.removeprefix("#") for line in env_example().splitlines() if not line.startswith("# ")]
    (elsewhere / ".env").write_text("\n".join(lines))
    assert {one.name: one.value for one in effective()} == defaults


def test_every_setting_says_what_it_is_for() -> None:
    assert [one.name for one in effective() if not one.description.endswith(".")] == []


def test_the_environment_comes_before_the_file_and_the_file_before_the_default(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert value("EVA_PORT") == ("8000", "default")
    (elsewhere / ".env").write_text("EVA_PORT=8001\n")
    assert value("EVA_PORT") == ("8001", ".env")
    monkeypatch.setenv("EVA_PORT", "8002")
    assert value("EVA_PORT") == ("8002", "environment")


def test_secrets_are_never_shown(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = elsewhere / "secrets"
    secrets.mkdir()
    (secrets / "eva_nats_password").write_text("sesame")
    monkeypatch.setenv("EVA_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("GROQ_API_KEY", "gsk_open")
    shown = effective()
    assert value("EVA_NATS_PASSWORD") == ("********", "secret file")
    assert value("GROQ_API_KEY") == ("********", "environment")
    assert "sesame" not in str(shown)
    assert "gsk_open" not in str(shown)


def test_a_variable_that_nobody_reads_is_named(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVA_PROT", "1")
    monkeypatch.setenv("EVA_PORT", "1")
    (elsewhere / ".env").write_text("EVA_STT_DEVISE=cuda\nOTHER=1\n")
    assert unknown_variables() == ["EVA_PROT", "EVA_STT_DEVISE"]


def test_a_value_that_cannot_be_used_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVA_STT_DEVICE", "banana")
    with pytest.raises(ConfigError, match="EVA_STT_DEVICE"):
        effective()


def test_each_service_has_one_settings_class() -> None:
    assert [settings_of(service).__name__.lower() for service in SERVICES] == [
        f"{s}settings" for s in SERVICES
    ]
