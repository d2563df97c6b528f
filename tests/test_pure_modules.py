"""The modules whose imports are held pure and those whose branches are all tested are the same ones."""

import configparser
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def path_of(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def test_what_decides_is_held_pure_and_tested_in_every_branch() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "tests" / "pure_modules.cfg")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (pure,) = [contract for contract in contracts if contract["name"].startswith("What decides is pure")]
    listed = config["run"]["include"].split()
    assert listed == sorted(path_of(module) for module in pure["source_modules"])
    assert [path for path in listed if not (ROOT / path).is_file()] == []
