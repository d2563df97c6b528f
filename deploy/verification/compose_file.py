"""What a compose file says, and what that means for ``docker create``. Pure: no engine, no process.

The part of https://github.com/compose-spec/compose-spec that EVA's files use; what it does not know it
refuses, so that nothing of a file is left out silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Spec = dict[str, Any]

_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::-([^}]*))?\})")
_ENTRIES = """
    image build command entrypoint environment env_file volumes secrets ports networks user read_only tmpfs
    cap_drop security_opt init restart depends_on healthcheck deploy profiles stop_grace_period
"""
KNOWN = frozenset(_ENTRIES.split())


class Unsupported(Exception):
    """The file says something that is not understood here."""


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """Returns ``value`` with ``${NAME}`` and ``${NAME:-default}`` filled in, as deep as it goes."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _filled(found, variables), value)
    if isinstance(value, dict):
        return {key: interpolated(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, variables) for item in value]
    return value


def _filled(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found[1] is None:
        return "$"
    return variables.get(found[1], "") or found[2] or ""


def variables_of(text: str) -> set[str]:
    """Returns the variables that a file's text asks for."""
    return {found[1] for found in _VARIABLE.finditer(text) if found[1]}


def merged(first: Any, second: Any) -> Any:
    """Returns ``second`` laid over ``first``: maps are merged, lists put one behind the other."""
    if isinstance(first, dict) and isinstance(second, dict):
        both = {key: merged(first[key], second[key]) for key in first.keys() & second.keys()}
        return {**first, **second, **both}
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *second]
    return second


def chosen(file: Spec, profiles: Sequence[str]) -> dict[str, Spec]:
    """Returns the services that run with these profiles, those first that others wait for.

    Raises:
        Unsupported: a service has a key that is not understood, or waits for one that does not run.
    """
    services = {
        name: spec
        for name, spec in file["services"].items()
        if not spec.get("profiles") or set(spec["profiles"]) & set(profiles)
    }
    for name, spec in services.items():
        if unknown := spec.keys() - KNOWN:
            raise Unsupported(f"{name}: {', '.join(sorted(unknown))}")
    ordered: dict[str, Spec] = {}
    while len(ordered) < len(services):
        ready = [
            name
            for name, spec in services.items()
            if name not in ordered and spec.get("depends_on", {}).keys() <= ordered.keys()
        ]
        if not ready:
            raise Unsupported(f"they wait for one another: {', '.join(services.keys() - ordered.keys())}")
        ordered |= {name: services[name] for name in ready}
    return ordered


def replicas(spec: Spec) -> int:
    """Returns how many containers of a service run."""
    return int(spec.get("deploy", {}).get("replicas", 1))


def create_words(project: str, service: str, number: int, spec: Spec, file: Spec, root: Path) -> list[str]:
    """Returns the words behind ``docker create`` for one container of a service.

    It is created in its first network; the others are to be joined by ``docker network connect``.
    """
    words = ["--name", f"{project}-{service}-{number}", "--hostname", f"{service}-{number}"]
    words += ["--label", f"com.docker.compose.project={project}"]
    words += ["--label", f"com.docker.compose.service={service}"]
    for network in networks(spec)[:1]:
        words += ["--network", f"{project}_{network}", "--network-alias", service]
    words += list(_hardening(spec))
    words += list(_healthcheck(spec.get("healthcheck", {})))
    words += list(_mounts(project, spec, file, root))
    for name, value in environment(spec, root).items():
        words += ["--env", f"{name}={value}"]
    words += [word for port in spec.get("ports", []) for word in ("--publish", port)]
    entrypoint, command = spec.get("entrypoint", []), spec.get("command", [])
    words += ["--entrypoint", entrypoint[0]] if entrypoint else []
    return [*words, spec["image"], *entrypoint[1:], *command]


def networks(spec: Spec) -> list[str]:
    """Returns the networks of a service."""
    return list(spec.get("networks", []))


def environment(spec: Spec, root: Path) -> dict[str, str]:
    """Returns a container's variables: those of its files, and over them its own."""
    told: dict[str, str] = {}
    for entry in spec.get("env_file", []):
        file = root / entry["path"]
        if not file.is_file() and entry.get("required", True):
            raise Unsupported(f"there is no {entry['path']}")
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        pairs = [line.partition("=") for line in lines if line.strip() and not line.startswith("#")]
        told |= {name.strip(): value.strip() for name, _, value in pairs}
    return told | {name: str(value) for name, value in spec.get("environment", {}).items()}


def _hardening(spec: Spec) -> Iterator[str]:
    yield from ("--user", spec["user"]) if "user" in spec else ()
    yield from ["--read-only"] if spec.get("read_only") else []
    yield from ["--init"] if spec.get("init") else []
    for flag, key in (("--tmpfs", "tmpfs"), ("--cap-drop", "cap_drop"), ("--security-opt", "security_opt")):
        for value in spec.get(key, []):
            yield from (flag, value)
    if "restart" in spec:
        yield from ("--restart", spec["restart"])
    if "stop_grace_period" in spec:
        yield from ("--stop-timeout", spec["stop_grace_period"].removesuffix("s"))
    if spec.get("deploy", {}).get("resources"):
        raise Unsupported("deploy.resources: GPUs need `docker compose`")


def _healthcheck(check: Spec) -> Iterator[str]:
    if check.get("disable"):
        yield "--no-healthcheck"
        return
    if "test" in check:
        kind, *words = check["test"]
        if kind != "CMD" or any(set(word) & set(" '\"$") for word in words):
            raise Unsupported(f"healthcheck: {check['test']}")
        yield from ("--health-cmd", " ".join(words))
    flags = {
        "interval": "interval",
        "timeout": "timeout",
        "start_period": "start-period",
        "retries": "retries",
    }
    for key, flag in flags.items():
        if key in check:
            yield from (f"--health-{flag}", str(check[key]))


def _mounts(project: str, spec: Spec, file: Spec, root: Path) -> Iterator[str]:
    for volume in spec.get("volumes", []):
        source, target, *mode = volume.split(":")
        place = str((root / source).resolve()) if source.startswith(".") else f"{project}_{source}"
        yield from ("--volume", ":".join([place, target, *mode]))
    for name in spec.get("secrets", []):
        source = (root / file["secrets"][name]["file"]).resolve()
        yield from ("--volume", f"{source}:/run/secrets/{name}:ro")
