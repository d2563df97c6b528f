"""What docker-compose.yml promises, read from the file; deploy/verify sees it on an engine."""

from __future__ import annotations

import itertools
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.verification.compose_file import (
    Unsupported,
    chosen,
    create_words,
    environment,
    interpolated,
    merged,
    replicas,
    variables_of,
)
from eva.config import OWN_VARIABLES, SERVICES, settings_of, variables
from eva.hub import HubSettings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
GPU_TEXT = (ROOT / "docker-compose.gpu.yml").read_text()
FILE: dict[str, Any] = interpolated(yaml.safe_load(TEXT), {})
SERVICE_NAMES = sorted(FILE["services"])
OURS = ("prepare", "models", *SERVICES)
PROFILES = ["local-llm", "observability"]
ONCE = {"prepare", "models", "local-llm-model"}


def program(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.gpu.yml"])
def test_the_files_are_what_the_compose_specification_allows(name: str) -> None:
    words = [program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(ROOT / name)]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_schema_would_find_a_misspelt_condition(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(TEXT.replace("service_healthy", "service_healty"))
    words = [program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(wrong)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("file", sorted((ROOT / "deploy").glob("*.Dockerfile")), ids=lambda file: file.name)
def test_hadolint_finds_nothing(file: Path) -> None:
    checked = subprocess.run(
        [program("hadolint"), "--no-color", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", SERVICE_NAMES)
def test_a_container_may_no_more_than_it_must(name: str) -> None:
    spec = FILE["services"][name]
    assert spec["user"].partition(":")[0] not in {"", "0", "root"}
    assert spec["read_only"] is True
    assert spec["cap_drop"] == ["ALL"]
    assert spec["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in spec
    assert not [volume for volume in spec.get("volumes", []) if "docker.sock" in volume]
    for port in spec.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), port


@pytest.mark.parametrize("name", SERVICE_NAMES)
def test_an_image_is_pinned(name: str) -> None:
    image, _, tag = FILE["services"][name]["image"].partition(":")
    assert image
    assert re.search(r"\d+\.\d+", tag), f"{name}: {tag or 'no tag'}"


@pytest.mark.parametrize("name", SERVICE_NAMES)
def test_a_service_is_healthy_when_it_is_ready_or_it_ends(name: str) -> None:
    spec = FILE["services"][name]
    check = spec["healthcheck"]
    if name in ONCE:
        assert check == {"disable": True}
        assert "restart" not in spec
    else:
        assert check["test"][0] == "CMD"
        assert spec["restart"] == "unless-stopped"
    if name in SERVICES:
        assert check["test"][-1] == "/app/ready.py"


@pytest.mark.parametrize("name", SERVICE_NAMES)
def test_no_secret_stands_in_a_variable(name: str) -> None:
    told = FILE["services"][name].get("environment", {})
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|API_KEY|CREDENTIAL")
    assert [key for key in told if secret.search(key) and not key.endswith(("_FILE", "_DIR"))] == []


def test_each_service_holds_the_secrets_of_its_own_user_alone() -> None:
    for name in (*SERVICES, "models"):
        spec = FILE["services"][name]
        user = spec["environment"]["EVA_NATS_USER"]
        mine = [volume for volume in spec["volumes"] if volume.startswith("secrets-")]
        assert mine == [f"secrets-{user}:/run/eva:ro"]
    conf = (ROOT / "deploy" / "nats" / "accounts.conf").read_text()
    users = set(re.findall(r"user: (\w+)\n", conf))
    assert users == {FILE["services"][name]["environment"]["EVA_NATS_USER"] for name in (*SERVICES, "models")}


def test_only_who_must_reach_the_world_can() -> None:
    assert FILE["networks"]["inside"] == {"internal": True}
    reach = {name for name, spec in FILE["services"].items() if "outside" in spec["networks"]}
    assert not reach & {"nats", "stt", "tts", "local-llm-model"}


@pytest.mark.parametrize("text", [TEXT, GPU_TEXT], ids=["cpu", "gpu"])
def test_every_variable_that_a_container_is_told_is_one_that_it_reads(text: str) -> None:
    known = {
        variable
        for service in SERVICES
        for name, info in settings_of(service).model_fields.items()
        for variable in variables(name, info)
    }
    known |= OWN_VARIABLES | {f"EVA_{name.upper()}" for name in HubSettings.model_fields}
    known |= {"EVA_NATS_SCHEME", "EVA_NATS_NAMES"}  # read by deploy/prepare.py
    for name, spec in yaml.safe_load(text)["services"].items():
        told = spec.get("environment", {}).keys() if name in OURS else ()
        assert {key for key in told if key.startswith("EVA_")} <= known, name


@pytest.mark.parametrize("variable", sorted(variables_of(TEXT) | variables_of(GPU_TEXT)))
def test_every_variable_of_the_files_is_described(variable: str) -> None:
    assert f"`{variable}`" in (ROOT / "docs" / "verify.md").read_text()


def test_with_a_gpu_ears_and_voice_are_pinned_and_refuse_to_start_without() -> None:
    both = merged(FILE, interpolated(yaml.safe_load(GPU_TEXT), {"TTS_GPU": "1"}))["services"]
    for name, device in (("stt", "0"), ("tts", "1")):
        spec = both[name]
        assert spec["build"]["target"] == "gpu"
        assert spec["build"]["args"] == {"SERVICE": name}
        assert spec["environment"][f"EVA_{name.upper()}_DEVICE"] == "cuda"
        (reserved,) = spec["deploy"]["resources"]["reservations"]["devices"]
        assert reserved == {"driver": "nvidia", "device_ids": [device], "capabilities": ["gpu"]}
        assert (ROOT / "requirements" / f"{name}-gpu.txt").is_file()
    assert both.keys() == FILE["services"].keys()


def test_workers_scale_by_a_variable_and_tls_is_another() -> None:
    file = interpolated(yaml.safe_load(TEXT), {"EVA_TTS_REPLICAS": "3", "EVA_NATS_SCHEME": "tls"})
    assert replicas(file["services"]["tts"]) == 3
    assert replicas(file["services"]["stt"]) == 1
    assert file["services"]["nats"]["command"][-1] == "/etc/nats/tls.conf"
    for name in SERVICES:
        assert file["services"][name]["environment"]["EVA_NATS_URL"].startswith("tls://nats:4222?ca=")


def test_files_that_are_mounted_exist() -> None:
    for spec in chosen(FILE, []).values():
        for volume in spec.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith(".") or (ROOT / source).exists(), source
    for secret in FILE["secrets"].values():
        assert (ROOT / secret["file"]).is_file()


def test_whoever_is_waited_for_comes_first_and_profiles_choose() -> None:
    plain = list(chosen(FILE, []))
    assert plain[0] == "prepare"
    assert set(plain) == {"prepare", "models", "nats", *SERVICES}
    assert set(chosen(FILE, PROFILES)) == set(SERVICE_NAMES)
    for names in (plain, list(chosen(FILE, PROFILES))):
        for name in names:
            before = FILE["services"][name].get("depends_on", {})
            assert all(names.index(other) < names.index(name) for other in before)


def test_what_the_runner_does_not_understand_it_refuses() -> None:
    with pytest.raises(Unsupported, match="mem_limit"):
        chosen({"services": {"one": {"image": "one", "mem_limit": "1g"}}}, [])
    circle = {"one": {"depends_on": {"two": {}}}, "two": {"depends_on": {"one": {}}}}
    with pytest.raises(Unsupported, match="wait for one another"):
        chosen({"services": circle}, [])
    gpu = merged(FILE, interpolated(yaml.safe_load(GPU_TEXT), {}))
    with pytest.raises(Unsupported, match="GPU"):
        create_words("p", "tts", 1, gpu["services"]["tts"], gpu, ROOT)


def test_a_container_is_created_as_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "eva.env").write_text("# a note\nEVA_GATEWAY_MAX_SESSIONS=7\nEVA_PORT=9\n")
    words = create_words("p", "gateway", 1, FILE["services"]["gateway"], FILE, tmp_path)
    pairs = set(itertools.pairwise(words))
    assert {"--read-only", "--init"} <= set(words)
    assert {
        ("--user", "10001:10001"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges:true"),
        ("--tmpfs", "/tmp"),
        ("--publish", "127.0.0.1:8000:8000"),
        ("--network", "p_inside"),
        ("--network-alias", "gateway"),
        ("--restart", "unless-stopped"),
        ("--stop-timeout", "15"),
        ("--health-cmd", "python -I -S /app/ready.py"),
        ("--volume", "p_secrets-gateway:/run/eva:ro"),
        ("--volume", f"{tmp_path / 'deploy/secrets/none'}:/run/secrets/api_keys:ro"),
        ("--env", "EVA_GATEWAY_MAX_SESSIONS=7"),
        ("--env", "EVA_PORT=8000"),
    } <= pairs
    assert words[-1] == FILE["services"]["gateway"]["image"]
    nats = create_words("p", "nats", 1, FILE["services"]["nats"], FILE, ROOT)
    assert nats[-3:] == ["nats-server", "-c", "/etc/nats/nats.conf"]
    prepare = create_words("p", "prepare", 1, FILE["services"]["prepare"], FILE, ROOT)
    assert "--no-healthcheck" in prepare
    assert prepare[prepare.index("--entrypoint") + 1] == "python"
    assert prepare[-2:] == ["-P", "/app/prepare.py"]


def test_a_file_of_settings_may_be_missing_only_where_it_says_so(tmp_path: Path) -> None:
    assert environment({"env_file": [{"path": "a", "required": False}]}, tmp_path) == {}
    with pytest.raises(Unsupported, match="there is no a"):
        environment({"env_file": [{"path": "a"}]}, tmp_path)


def test_variables_are_filled_in_as_compose_does() -> None:
    told = {"GIVEN": "x", "EMPTY": ""}
    assert interpolated("${GIVEN} ${EMPTY:-d} ${NONE:-e}${NONE} $$HOME", told) == "x d e $HOME"
    assert interpolated({"a": ["${GIVEN}", 1]}, told) == {"a": ["x", 1]}
