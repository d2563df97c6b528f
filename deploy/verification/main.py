"""``deploy/verify``: the steps, one by one; whatever happens, what was started is taken down again."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.verification.compose_file import chosen
from deploy.verification.engine import EngineFailed, Stack, docker, inspect, open_stack, read, wait_until
from deploy.verification.gpu_images import builds, looked_into
from deploy.verification.local_images import make_missing
from deploy.verification.report import Report, Step, placed
from deploy.verification.turns import Answer, answered_within, spoken, typed, typed_only

ROOT = Path(__file__).resolve().parents[2]
BASE = "python:3.11-slim-bookworm"
PROJECT = "eva-verify"
KILLED = ("tts", "llm", "stt", "gateway", "nats")
BACK_WITHIN_S = 120.0
SHOWN = 60


class Verification:
    """One run."""

    def __init__(self, stack: Stack, report: Report, url: str) -> None:
        self.stack, self.report, self.url = stack, report, url

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Notes how a step went; what it raises counts as its failure, and the run goes on."""
        said: list[str] = []
        began, problem = time.monotonic(), ""
        sys.stderr.write(f"{name} …\n")
        try:
            yield said.append
        except (EngineFailed, OSError, ValueError, KeyError) as error:
            problem = str(error) or type(error).__name__
        took = time.monotonic() - began
        step = Step(name=name, ok=not problem, took_s=took, detail=problem or "; ".join(said))
        self.report.steps.append(step)
        sys.stderr.write(f"  {'ok' if step.ok else 'FAILED'} in {took:.1f} s: {step.detail}\n")

    def run(self) -> None:
        """All steps but building."""
        with self.step("bring it up, all healthy"):
            self.stack.up({})
        if not self.report.ok:
            return
        for name, turn in (("a typed turn", typed), ("a spoken turn", spoken)):
            with self.step(name) as say:
                say(shown(turn(self.url)))
        with self.step("containers are locked down") as say:
            say(locked_down([name for service in KILLED for name in self.stack.containers(service)]))
        for service in KILLED:
            self.kill(service)
        with self.step("two voices") as say:
            self.stack.up({"tts": 2})
            first, second = self.stack.containers("tts")
            crash(first)
            answer = shown(typed_only(self.url))
            say(f"{first} and {second} healthy; the first killed; the other: {answer}")
            wait_until(first, {"healthy"})

    def kill(self, service: str) -> None:
        """Kills a service's container, and has a turn answered again."""
        with self.step(f"kill {service}") as say:
            for name in self.stack.containers(service):
                crash(name)
            answer, took, failed = answered_within(
                self.url, BACK_WITHIN_S, spoken if service == "stt" else typed_only
            )
            said = f"{took:.1f} s after the kill an answer had been heard to its end"
            say(f"{said}, failed turns before it: {failed}; {shown(answer)}")
            for name in self.stack.containers(service):
                wait_until(name, {"healthy"})


def crash(name: str) -> None:
    """SIGKILL for all in a container: the engine restarts it, which it does not after ``docker kill``."""
    before = inspect(name)["RestartCount"]
    docker("exec", name, "sh", "-c", "kill -9 -1", may_fail=True)
    until = time.monotonic() + BACK_WITHIN_S
    while inspect(name)["RestartCount"] == before:
        if time.monotonic() > until:
            raise EngineFailed(f"{name} was not started anew")
        time.sleep(0.1)


def shown(answer: Answer) -> str:
    """Returns what was heard in one line. Raises ``EngineFailed`` if it was no answer."""
    if answer.problem:
        raise EngineFailed(answer.problem)
    again = f", in which EVA's ears hear “{shortened(answer.said_again)}”" if answer.said_again else ""
    return (
        f"“{shortened(answer.heard)}” answered by “{shortened(answer.text)}”, "
        f"{answer.audio_s:.1f} s of sound (RMS {answer.rms:.0f}){again}"
    )


def shortened(text: str) -> str:
    """Returns the beginning of a text."""
    return text if len(text) <= SHOWN else text[:SHOWN].rsplit(" ", 1)[0] + " …"


def locked_down(names: list[str]) -> str:
    """Returns a line about how the containers run. Raises ``EngineFailed`` where one may too much."""
    for name in names:
        config, host = inspect(name)["Config"], inspect(name)["HostConfig"]
        published = [entry["HostIp"] for ports in (host["PortBindings"] or {}).values() for entry in ports]
        wrong = {
            "runs as root": config["User"] in {"", "0", "root"},
            "writes its own files": not host["ReadonlyRootfs"],
            "has capabilities": host["CapDrop"] != ["ALL"],
            "may gain privileges": "no-new-privileges:true" not in (host["SecurityOpt"] or []),
            "is published to others": any(address != "127.0.0.1" for address in published),
        }
        if any(wrong.values()):
            raise EngineFailed(f"{name} {', '.join(what for what, is_so in wrong.items() if is_so)}")
    return f"{len(names)} containers: user 10001, read-only, no capabilities, ports on loopback"


def megabytes(image: str) -> float:
    """Returns an image's size."""
    return float(inspect(image).get("Size", 0)) / 1e6


def main() -> int:
    """Returns 0 if all was as it should be."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--offline", action="store_true", help="make the images of others here (docs/verify.md)"
    )
    arguments.add_argument("--gpu", action="store_true", help="build the images for a GPU, too (8 GB)")
    arguments.add_argument("--no-build", action="store_true", help="take the images as they are")
    arguments.add_argument("--keep", action="store_true", help="leave it running")
    arguments.add_argument("--port", default="8765", help="the gateway's port on this machine")
    arguments.add_argument("--write", type=Path, help="a document whose last run is replaced by this one")
    wish = arguments.parse_args()
    variables = {**os.environ, "EVA_PORT": wish.port}
    os.environ["EVA_PORT"] = wish.port
    stack = open_stack(ROOT, PROJECT, variables, [])
    version = docker("version", "--format", "{{.Server.Version}} on {{.Server.Os}}/{{.Server.Arch}}")
    now = dt.datetime.now(dt.UTC)
    report = Report(date=f"{now:%Y-%m-%d}", engine=f"Docker {version}", how=stack.how)
    run = Verification(stack, report, f"http://127.0.0.1:{wish.port}")
    images = sorted({str(spec["image"]) for spec in chosen(read(ROOT, variables), []).values()})
    try:
        if wish.offline:
            report.local = make_missing(images, BASE)
        if not wish.no_build:
            with run.step("build all images"):
                stack.build()
        if wish.gpu:
            for image, words in builds(ROOT, read(ROOT, variables), variables):
                with run.step(f"build {image}, for CUDA") as say:
                    docker(*words)
                    say(looked_into(image))
                images.append(image)
        report.base = (BASE, megabytes(BASE))
        report.sizes_mb = {image: megabytes(image) for image in images}
        if not report.steps or report.ok:
            run.run()
    finally:
        if not wish.keep:
            with run.step("take it down"):
                stack.down()
    if wish.write:
        document = wish.write.read_text(encoding="utf-8") if wish.write.is_file() else ""
        wish.write.write_text(placed(document, report), encoding="utf-8")
    sys.stdout.write(report.markdown())
    return 0 if report.ok else 1
