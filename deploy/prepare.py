"""Draws what the services of one installation share with the broker, once: passwords, and keys for TLS.

The service ``prepare`` of the compose file runs it before all others. Each of the others gets a volume of its
own with what it may know: ``eva_nats_password``, and ``nats_ca.pem`` where the broker speaks TLS; the broker
gets all passwords and its own key. What is there already stays.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

USERS = ("gateway", "stt", "llm", "tts", "operator")
DAYS = "3650"
NAMES = ("DNS:nats", "DNS:localhost", "IP:127.0.0.1")


def write(file: Path, text: str) -> str:
    """Writes a file that only its owner reads, unless there is one; returns what it holds."""
    if file.is_file() and (known := file.read_text(encoding="utf-8").strip()):
        return known
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)
    return text


def passwords(root: Path) -> None:
    """Gives each user a password, and the broker all of them, as variables of its configuration."""
    lines = []
    for user in USERS:
        password = write(root / user / "eva_nats_password", secrets.token_urlsafe(32))
        lines.append(f'{user.upper()}_PASSWORD: "{password}"\n')
    write(root / "grafana" / "password", secrets.token_urlsafe(24))
    known = root / "nats" / "passwords.conf"
    known.unlink(missing_ok=True)
    write(known, "".join(lines))


def certificates(root: Path, names: Sequence[str] = NAMES) -> None:
    """Makes an authority for this installation, once, and the broker's certificate, for these names.

    The certificate is made anew where the names are others than before. Needs ``openssl``.
    """
    nats, subject_names = root / "nats", ",".join(names)
    if not (nats / "ca.pem").is_file():
        subject = ["-subj", "/CN=EVA's broker", "-keyout", nats / "ca-key.pem", "-out", nats / "ca.pem"]
        openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-days", DAYS, *subject)
    known = nats / "names"
    if not (nats / "cert.pem").is_file() or not known.is_file() or known.read_text() != subject_names:
        asked = ["-addext", f"subjectAltName={subject_names}", "-out", nats / "request.pem"]
        openssl(
            "req", "-newkey", "ed25519", "-nodes", "-subj", "/CN=nats", "-keyout", nats / "key.pem", *asked
        )
        authority = ["-CA", nats / "ca.pem", "-CAkey", nats / "ca-key.pem", "-days", DAYS]
        signed = ["-copy_extensions", "copy", "-out", nats / "cert.pem"]
        openssl("x509", "-req", "-in", nats / "request.pem", *authority, *signed)
        (nats / "request.pem").unlink()
        known.write_text(subject_names)
    for user in USERS:
        write(root / user / "nats_ca.pem", (nats / "ca.pem").read_text(encoding="utf-8"))


def openssl(*words: str | Path) -> None:
    """Runs ``openssl``; ends with what it says where it fails."""
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607 - of the image; fixed words
    if done.returncode:
        sys.exit(f"openssl {words[0]}: {done.stderr.strip()}")


def main(root: Path, scheme: str, names: Sequence[str] = ()) -> None:
    """Draws what is missing below ``root``; ``names``: more of the broker's, as ``DNS:broker.example``."""
    os.umask(0o077)
    passwords(root)
    if scheme == "tls":
        certificates(root, (*NAMES, *names))
    sys.stdout.write(f"Passwords of {', '.join(USERS)} are drawn; the broker speaks {scheme}.\n")


if __name__ == "__main__":
    main(
        Path(os.environ.get("SECRETS", "/secrets")),
        os.environ.get("EVA_NATS_SCHEME", "nats"),
        [name for name in os.environ.get("EVA_NATS_NAMES", "").split(",") if name],
    )
