"""The images for a GPU, built and looked into; no GPU is needed for that.

What they hold must be the builds for CUDA, and load with the CUDA libraries beside them. Whether they compute
on a device, only a machine with one can show (``benchmarks/gpu``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from deploy.verification.compose_file import Spec, interpolated
from deploy.verification.engine import EngineFailed, docker

CUDA = "CUDAExecutionProvider"
LOOK = """
import importlib.util, json
import onnxruntime
onnxruntime.preload_dlls()
said = {"onnxruntime": onnxruntime.__version__, "providers": onnxruntime.get_available_providers()}
if importlib.util.find_spec("ctranslate2"):
    import ctranslate2
    said["ctranslate2"] = ctranslate2.__version__
print(json.dumps(said))
"""


def builds(root: Path, file: Spec, variables: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Returns each image of ``docker-compose.gpu.yml``, and what follows ``docker`` to build it.

    Args:
        root: of the checkout.
        file: ``docker-compose.yml``, filled in, which the other one changes.
        variables: the environment.
    """
    text = (root / "docker-compose.gpu.yml").read_text(encoding="utf-8")
    for service, change in interpolated(yaml.safe_load(text), variables)["services"].items():
        build = file["services"][service]["build"] | change["build"]
        yield (
            change["image"],
            [
                "build", "--quiet", "--tag", change["image"], "--file", str(root / build["dockerfile"]),
                "--target", build["target"],
                *(word for pair in build["args"].items() for word in ("--build-arg", "=".join(pair))),
                str(root / build["context"]),
            ],
        )  # fmt: skip


def looked_into(image: str) -> str:
    """Returns what an image computes with, in a line. Raises ``EngineFailed`` if it is not for CUDA."""
    out = docker("run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", LOOK)
    return told(image, out)


def told(image: str, out: str) -> str:
    """Returns what was found in an image in a line. Raises ``EngineFailed`` if it is not for CUDA."""
    said = json.loads(out.splitlines()[-1])
    if CUDA not in said["providers"]:
        raise EngineFailed(f"{image} has ONNX Runtime {said['onnxruntime']} without CUDA")
    second = f", CTranslate2 {said['ctranslate2']}" if "ctranslate2" in said else ""
    return f"{image}: ONNX Runtime {said['onnxruntime']} with {CUDA}{second}"
