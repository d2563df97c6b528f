"""The modules whose imports are held pure and those whose branches are all tested are the same ones."""

import configparser
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_what_decides_is_held_pure_and_tested_in_every_branch() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "tests" / "pure_modules.cfg")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (pure,) = [contract for contract in contracts if contract["name"].startswith("What decides is pure")]
    listed = config["run"]["include"].split()
    assert listed == sorted(f"{module.replace('.', '/')}.py" for module in pure["source_modules"])
    assert [path for path in listed if not (ROOT / path).is_file()] == []
