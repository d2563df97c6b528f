"""Images of others, made here from the programs of this machine, for an engine that can pull nothing.

They bear the names that the compose file asks for, so that the file is verified as it is; the report says
that they are not the official ones.
"""

from __future__ import annotations

import shutil
import sysconfig
import tempfile
from pathlib import Path

from deploy.verification.engine import EngineFailed, docker, inspect

# The official images are made of Alpine or BusyBox, whose wget the health checks use.
_WGET = """\
#!/usr/bin/python3
import sys, urllib.request
sys.exit(urllib.request.urlopen(sys.argv[-1], timeout=3).status != 200)
"""
_DOCKERFILE = """\
FROM {base}
COPY {program} wget /usr/local/bin/
ENTRYPOINT {entrypoint}
"""


def _program(name: str) -> Path:
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise EngineFailed(f"there is no {name} on this machine to make an image of")
    return Path(found)


def make_missing(images: list[str], base: str) -> list[str]:
    """Makes the images of ``nats`` and ``prometheus`` that the engine lacks; returns what was made."""
    made = []
    for image in images:
        program = {"nats": "nats-server", "prom/prometheus": "prometheus"}.get(image.partition(":")[0])
        if program is None or inspect(image):
            continue
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            shutil.copy(_program(program), place / program)
            (place / "wget").write_text(_WGET, encoding="utf-8")
            for file in place.iterdir():
                file.chmod(0o755)
            entrypoint = '["prometheus"]' if program == "prometheus" else "[]"
            text = _DOCKERFILE.format(base=base, program=program, entrypoint=entrypoint)
            (place / "Dockerfile").write_text(text, encoding="utf-8")
            docker("build", "--quiet", "--tag", image, folder)
        made.append(image)
    return made
