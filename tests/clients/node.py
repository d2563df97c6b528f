"""Node, and the packages of its clients in a cache outside the repository; without them tests skip."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SNIPPETS = ROOT / "docs" / "clients"
DRIVERS = Path(__file__).parent / "javascript"
LEAST = 20
"""The oldest Node that has a WebSocket of its own, behind a flag until 22."""
INSTALL_S = 240.0


@functools.cache
def version() -> int:
    """Returns Node's major version; 0 where there is none."""
    node = shutil.which("node")
    if node is None:
        return 0
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    return int(told.removeprefix("v").partition(".")[0])


def flags() -> list[str]:
    """What Node is to be started with, so that it has a WebSocket."""
    return ["--experimental-websocket", "--no-warnings"] if version() < 22 else []


needs_node = pytest.mark.skipif(version() < LEAST, reason=f"no Node {LEAST} or newer here")


@functools.cache
def packages() -> Path | str:
    """Returns the folder of the packages that ``docs/clients`` names, or why they cannot be had."""
    if version() < LEAST or shutil.which("npm") is None:
        return f"no npm with Node {LEAST} or newer here"
    wanted = SNIPPETS / "javascript" / "package.json"
    name = hashlib.sha256(wanted.read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("EVA_TEST_NPM", tempfile.gettempdir())) / f"eva-npm-{os.getuid()}-{name}"
    if not (cache / "node_modules").is_dir():
        fresh = Path(tempfile.mkdtemp(dir=_made(cache.parent)))
        shutil.copy(wanted, fresh)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock",
                   "--fetch-retries=1", "--fetch-timeout=60000"]  # fmt: skip
        try:
            subprocess.run(command, cwd=fresh, check=True, capture_output=True, timeout=INSTALL_S)
            fresh.rename(cache)
        except (subprocess.SubprocessError, OSError):
            shutil.rmtree(fresh, ignore_errors=True)
            if not (cache / "node_modules").is_dir():  # and nobody else has just put it there
                return "npm could not install the packages of docs/clients/javascript/package.json"
    return cache / "node_modules"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def workplace(folder: Path, *, has_packages: bool) -> Path:
    """Returns a folder with all JavaScript of snippets and drivers, which finds its packages; may skip."""
    for file in (*(SNIPPETS / "javascript").iterdir(), *DRIVERS.iterdir()):
        shutil.copy(file, folder)
    if has_packages:
        found = packages()
        if isinstance(found, str):
            pytest.skip(found)
        (folder / "node_modules").symlink_to(found)
    return folder
