"""What `tests/pure_modules.cfg` lists is measured by `make test`; here it is held to what it promises."""

import ast
import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_CONFIG = configparser.ConfigParser()
_CONFIG.read(ROOT / "tests" / "pure_modules.cfg")
LISTED = _CONFIG["run"]["include"].split()
FORBIDDEN = {"asyncio", "fastapi", "httpx", "nats", "socket", "starlette", "subprocess", "threading", "time"}


def imports(tree: ast.AST) -> set[str]:
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("module", LISTED)
def test_a_pure_module_imports_nothing_that_does_io_or_reads_a_clock(module: str) -> None:
    assert imports(ast.parse((ROOT / module).read_text())) & FORBIDDEN == set()


def test_the_list_is_sorted_and_names_each_module_once() -> None:
    assert sorted(set(LISTED)) == LISTED
