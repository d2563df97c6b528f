"""Draws the secrets of one installation on Kubernetes, once, and writes them to stdout as objects.

    python -m deploy.k8s.draw FOLDER | kubectl apply -f -

What is in the folder already stays, so it may be done again; keep the folder as you keep passwords. It is
what the container ``prepare`` draws (deploy/prepare.py): a password for each user of the broker, an authority
and a certificate for its nodes; and the first API key. The authority's key stays there. Needs ``openssl``.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from deploy.prepare import NAMES, USERS, certificates, passwords, write

NAMESPACE = "eva"
NODES = (
    "DNS:nats.eva",
    "DNS:nats.eva.svc.cluster.local",
    "DNS:*.nats-headless",
    "DNS:*.nats-headless.eva.svc.cluster.local",
)
"""As services, and the nodes one another, ask for the broker."""


def draw(root: Path, names: list[str]) -> list[dict[str, Any]]:
    """Draws what is missing below ``root``; returns all Secrets. ``names``: more of the broker's."""
    passwords(root)
    certificates(root, (*NAMES, *NODES, *names))
    nats = root / "nats"
    write(root / "api_keys", secrets.token_urlsafe(32))
    tls = {"tls.crt": nats / "cert.pem", "tls.key": nats / "key.pem", "ca.crt": nats / "ca.pem"}
    return [
        secret("nats-passwords", {"passwords.conf": nats / "passwords.conf"}),
        secret("nats-tls", tls, kind="kubernetes.io/tls"),
        *(
            secret(f"eva-{user}", {name: root / user / name for name in ("eva_nats_password", "nats_ca.pem")})
            for user in USERS
        ),
        secret("eva-api-keys", {"api_keys": root / "api_keys"}),
    ]


def secret(name: str, files: dict[str, Path], *, kind: str = "Opaque") -> dict[str, Any]:
    """Returns a Secret of these files."""
    data = {key: base64.b64encode(file.read_bytes()).decode() for key, file in files.items()}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "eva"}}
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": data}


def main(words: list[str]) -> int:
    """Returns the exit code. ``words``: the folder, and more names of the broker."""
    if not words:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    os.umask(0o077)
    items = draw(Path(words[0]), words[1:])
    sys.stdout.write(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
