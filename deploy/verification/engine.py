"""The Docker engine, by its command; a compose file brought up on it, by ``docker compose`` or without."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

import yaml

from deploy.verification.compose_file import (
    Spec,
    chosen,
    create_words,
    interpolated,
    networks,
    replicas,
)

READY_WITHIN_S = 300.0
LOOK_EVERY_S = 0.5
CONDITIONS = {
    "service_started": {"running", "starting", "unhealthy", "healthy"},
    "service_healthy": {"healthy"},
    "service_completed_successfully": {"done"},
}


class EngineFailed(Exception):
    """A ``docker`` command failed, or something was not ready in time."""


def docker(*words: str, timeout_s: float = 3600.0, may_fail: bool = False) -> str:
    """Runs a ``docker`` command; returns what it says. Raises ``EngineFailed``."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=timeout_s, check=False)  # noqa: S603, S607 - the operator's docker
    if done.returncode and not may_fail:
        raise EngineFailed(f"docker {' '.join(words[:4])} …: {done.stderr.strip()[-800:]}")
    return done.stdout.strip()


def inspect(what: str) -> dict[str, Any]:
    """Returns what the engine knows of a container or an image; empty if there is none."""
    said = docker("inspect", what, may_fail=True)
    found = json.loads(said) if said else []
    return dict(found[0]) if found else {}


def wait_until(name: str, states: set[str], *, within_s: float = READY_WITHIN_S) -> None:
    """Returns when a container is in one of these states. Raises ``EngineFailed`` if it failed or is late."""
    until = time.monotonic() + within_s
    while (now := state_of(name)) not in states:
        if now == "failed" or time.monotonic() > until:
            log = docker("logs", "--tail", "15", name, may_fail=True)
            raise EngineFailed(f"{name} is {now}, not {' or '.join(sorted(states))}: {log[-1500:]}")
        time.sleep(LOOK_EVERY_S)


def state_of(name: str) -> str:
    """Returns ``healthy``, ``running`` (it has no check), ``done``, ``failed``, or the engine's own word."""
    state = inspect(name).get("State", {})
    if state.get("Status") == "exited":
        return "failed" if state.get("ExitCode") else "done"
    if state.get("Status") == "running":
        return str(state.get("Health", {}).get("Status", "running"))
    return str(state.get("Status", "absent"))


class Stack(Protocol):
    """A compose file on an engine."""

    how: str

    def build(self) -> None:
        """Builds all images."""

    def up(self, scale: dict[str, int]) -> None:
        """Starts what does not run, and waits until it is healthy."""

    def containers(self, service: str) -> list[str]:
        """Returns the names of a service's containers."""

    def down(self) -> None:
        """Removes containers, networks and volumes."""


def read(root: Path, variables: dict[str, str]) -> Spec:
    """Returns the compose file with its variables filled in."""
    text = (root / "docker-compose.yml").read_text(encoding="utf-8")
    return dict(interpolated(yaml.safe_load(text), variables))


def wait_for_all(stack: Stack, services: dict[str, Spec]) -> None:
    """Returns when all containers are healthy, or have done what they are for. Raises ``EngineFailed``."""
    for service, spec in services.items():
        is_once = spec.get("healthcheck", {}).get("disable", False)
        for name in stack.containers(service):
            wait_until(name, {"done"} if is_once else {"healthy"})


def names_of(project: str, service: str) -> list[str]:
    """Returns the containers of a service, by the labels that ``docker compose`` gives them too."""
    labels = [
        f"label=com.docker.compose.{key}={value}"
        for key, value in (("project", project), ("service", service))
    ]
    said = docker("ps", "-a", "--format", "{{.Names}}", "--filter", labels[0], "--filter", labels[1])
    return sorted(said.split())


class ComposeStack:
    """With ``docker compose``."""

    def __init__(self, root: Path, project: str, file: Spec, profiles: list[str]) -> None:
        self.how = "docker compose " + docker("compose", "version", "--short")
        self._project, self._file, self._profiles = project, file, profiles
        flags = [word for profile in profiles for word in ("--profile", profile)]
        self._compose = ["compose", "-p", project, "-f", str(root / "docker-compose.yml"), *flags]

    def build(self) -> None:
        """Builds all images."""
        docker(*self._compose, "build")

    def up(self, scale: dict[str, int]) -> None:
        """Starts what does not run, and waits until it is healthy."""
        counts = [word for service, count in scale.items() for word in ("--scale", f"{service}={count}")]
        docker(*self._compose, "up", "--detach", "--no-build", *counts)
        wait_for_all(self, chosen(self._file, self._profiles))

    def containers(self, service: str) -> list[str]:
        """Returns the names of a service's containers."""
        return names_of(self._project, service)

    def down(self) -> None:
        """Removes containers, networks and volumes."""
        docker(*self._compose, "down", "--volumes", "--remove-orphans")


class PlainStack:
    """With plain ``docker`` calls, where there is no ``docker compose``; the same file."""

    def __init__(self, root: Path, project: str, file: Spec, profiles: list[str]) -> None:
        self.how = "plain docker calls, made from docker-compose.yml"
        self._root, self._project, self._file = root, project, file
        self._services = chosen(file, profiles)

    def build(self) -> None:
        """Builds all images."""
        made: set[str] = set()
        for spec in self._services.values():
            build = spec.get("build")
            if build is None or spec["image"] in made:
                continue
            made.add(spec["image"])
            words = [
                "build",
                "--quiet",
                "--tag",
                spec["image"],
                "--file",
                str(self._root / build["dockerfile"]),
            ]
            words += ["--target", build["target"]] if "target" in build else []
            words += [
                word for pair in build.get("args", {}).items() for word in ("--build-arg", "=".join(pair))
            ]
            docker(*words, str(self._root / build["context"]))

    def up(self, scale: dict[str, int]) -> None:
        """Starts what does not run, and waits until it is healthy."""
        for network, spec in self._file["networks"].items():
            name = f"{self._project}_{network}"
            if not docker("network", "ls", "--quiet", "--filter", f"name=^{name}$"):
                docker("network", "create", *(["--internal"] if spec.get("internal") else []), name)
        for service, spec in self._services.items():
            for before, wish in spec.get("depends_on", {}).items():
                for name in self.containers(before):
                    wait_until(name, CONDITIONS[wish["condition"]])
            for number in range(1, scale.get(service, replicas(spec)) + 1):
                self._start(service, number, spec)
        wait_for_all(self, self._services)

    def _start(self, service: str, number: int, spec: Spec) -> None:
        name = f"{self._project}-{service}-{number}"
        if inspect(name):
            return
        docker("create", *create_words(self._project, service, number, spec, self._file, self._root))
        for network in networks(spec)[1:]:
            docker("network", "connect", "--alias", service, f"{self._project}_{network}", name)
        docker("start", name)

    def containers(self, service: str) -> list[str]:
        """Returns the names of a service's containers."""
        return names_of(self._project, service)

    def down(self) -> None:
        """Removes containers, networks and volumes."""
        for service in reversed(self._services):
            for name in self.containers(service):
                docker("stop", name, may_fail=True)
                docker("rm", "--force", "--volumes", name)
        for network in self._file["networks"]:
            docker("network", "rm", f"{self._project}_{network}", may_fail=True)
        for volume in self._file["volumes"]:
            docker("volume", "rm", f"{self._project}_{volume}", may_fail=True)


def open_stack(root: Path, project: str, variables: dict[str, str], profiles: list[str]) -> Stack:
    """Returns the stack, by whatever this engine's client can."""
    file = read(root, variables)
    has_compose = bool(docker("compose", "version", "--short", may_fail=True))
    return (ComposeStack if has_compose else PlainStack)(root, project, file, profiles)
