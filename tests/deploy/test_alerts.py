"""The alerts: each is held to figures that fire it and to such that do not, and has a page that helps."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.exceptions import TyperException

from deploy.grafana.generate import DASHBOARDS
from deploy.verification.compose_file import variables_of
from eva.__main__ import app
from eva.config import SERVICES, settings_of, variables
from tests.deploy.prometheus import FOLDER, needs_prometheus
from tests.deploy.promql import documented, labels_of, metrics_of, unknown

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "runbook"
FILES = sorted((FOLDER / "alerts").glob("*.yml"))
GROUPS = {file.name: yaml.safe_load(file.read_text())["groups"] for file in FILES}
RULES: list[dict[str, Any]] = [
    rule for groups in GROUPS.values() for group in groups for rule in group["rules"]
]
NAMES = sorted({rule["alert"] for rule in RULES})
COMPOSE = (ROOT / "docker-compose.yml").read_text()
CONTAINERS = yaml.safe_load(COMPOSE)["services"].keys()
SETTINGS = {
    variable
    for service in SERVICES
    for name, info in settings_of(service).model_fields.items()
    for variable in variables(name, info)
}
NEVER, ALWAYS = "vector(1) > 2", "vector(1)"


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)


@needs_prometheus
def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    for words in (
        ("check", "config", "--syntax-only", str(FOLDER / "prometheus.yml")),
        ("check", "rules", *map(str, FILES)),
    ):
        checked = promtool(*words)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_prometheus
@pytest.mark.parametrize("name", GROUPS)
def test_each_alert_fires_when_it_should_and_only_then(name: str) -> None:
    tested = promtool("test", "rules", str(FOLDER / "tests" / name))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_prometheus
@pytest.mark.parametrize("instead", [NEVER, ALWAYS], ids=["never", "always"])
@pytest.mark.parametrize("name", GROUPS)
def test_the_tests_of_an_alert_fail_if_it_fires_never_or_always(
    name: str, instead: str, tmp_path: Path
) -> None:
    for folder in ("alerts", "tests"):
        (tmp_path / folder).mkdir()
    groups = [
        group | {"rules": [rule | {"expr": instead} for rule in group["rules"]]} for group in GROUPS[name]
    ]
    (tmp_path / "alerts" / name).write_text(yaml.safe_dump({"groups": groups}))
    file = tmp_path / "tests" / name
    file.write_text((FOLDER / "tests" / name).read_text())
    tested = promtool("test", "rules", str(file))
    assert tested.returncode != 0
    said = tested.stdout + tested.stderr
    expected = {rule["alert"] for group in groups for rule in group["rules"]}
    assert set(re.findall(r"alertname: (\w+), time", said)) == expected


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in RULES])
def test_an_alert_asks_for_what_is_told_and_says_how_bad_it_is_and_where_help_stands(
    rule: dict[str, Any],
) -> None:
    assert unknown(rule["expr"]) == set()
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    summary = rule["annotations"]["summary"]
    assert summary.endswith(".")
    assert set(re.findall(r"\$labels\.(\w+)", summary)) <= labels_of(rule["expr"]) | {
        "job",
        "instance",
        "stage",
    }
    assert rule["annotations"]["runbook_url"] == f"docs/runbook/{rule['alert']}.md"
    assert rule["labels"]["severity"] in page(rule["alert"]).split("\n\n")[1].casefold()


def page(alert: str) -> str:
    return (PAGES / f"{alert}.md").read_text(encoding="utf-8")


def test_each_page_belongs_to_an_alert() -> None:
    assert sorted(file.stem for file in PAGES.iterdir()) == NAMES


@pytest.mark.parametrize("alert", NAMES)
def test_a_page_says_what_it_means_what_to_look_at_and_what_to_do(alert: str) -> None:
    text = page(alert)
    headings = re.findall(r"^#+ .*", text, re.MULTILINE)
    assert headings == [f"# {alert}", "## What it means", "## What to look at", "## What to do"]
    assert all(len(part.split()) > 10 for part in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:])
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (PAGES / target).resolve().is_file(), target
    told = set(re.findall(r"\bEVA_[A-Z_]+[A-Z]\b", text))
    assert told <= SETTINGS | variables_of(COMPOSE) | {"EVA_API_KEY"}
    assert metrics_of(text) <= documented().keys() | {name.rpartition("_")[0] for name in documented()}


@pytest.mark.parametrize("alert", NAMES)
def test_the_panels_that_a_page_names_exist(alert: str) -> None:
    titles = [board["title"].partition("· ")[2] for board in DASHBOARDS.values()]
    panels = {panel["title"].casefold() for board in DASHBOARDS.values() for panel in board["panels"]}
    text = " ".join(page(alert).split())
    assert set(re.findall(r"\*([A-Z][^*→]+)\*(?!\*)", text)) <= set(titles)
    for quoted in re.findall(r'"([^"]+)"', text.partition("```")[0]):
        assert any(quoted.casefold() in title for title in panels), quoted


@pytest.mark.parametrize("alert", NAMES)
def test_the_commands_of_a_page_exist(alert: str) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", page(alert), re.DOTALL)
    commands = block.strip().splitlines()
    assert commands
    for line in commands:
        assert is_known(line), line


def is_known(line: str) -> bool:
    """Whether a line of a page can be typed as it stands."""
    words = shlex.split(line)
    while "=" in words[0]:
        if words.pop(0).partition("=")[0] not in SETTINGS | variables_of(COMPOSE):
            return False
    match words:
        case ["eva", *rest]:
            return is_of_eva(rest)
        case ["docker", "compose", "run", "--rm", "models", *rest]:
            return is_of_eva(rest)
        case ["docker", "compose", *rest]:
            return is_of_compose(rest)
        case ["curl", "-s", url]:
            return url.rpartition("/")[2] in {"health", "livez", "readyz", "metrics"}
    return words == ["nvidia-smi"]


def is_of_eva(words: list[str]) -> bool:
    command: Any = typer.main.get_command(app)
    try:
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context(command.name, words)
    except (TyperException, LookupError):
        return False
    return True


def is_of_compose(words: list[str]) -> bool:
    while words[0] == "-f":
        if not (ROOT / words[1]).is_file():
            return False
        words = words[2:]
    options = {"ps": {"-a"}, "logs": {"--since"}, "restart": set(), "top": set(), "up": {"-d"}}
    if words[0] not in options:
        return False
    names = [word for word in words[1:] if not word.startswith("-") and not re.fullmatch(r"\d+[mh]", word)]
    flags = {word for word in words[1:] if word.startswith("-")}
    return flags <= options[words[0]] and set(names) <= CONTAINERS


@pytest.mark.parametrize(
    "line",
    [
        "eva reveiw",
        "eva review --quick",
        "docker compose restart tss",
        "EVA_TSS=2 docker compose ps",
        "docker compose -f docker-compose.tpu.yml up -d",
        "curl -s http://127.0.0.1:8000/healthy",
        "rm -rf data",
    ],
)
def test_a_command_that_does_not_exist_would_be_found(line: str) -> None:
    assert not is_known(line)
