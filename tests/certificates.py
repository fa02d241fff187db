"""Certificates that nobody signed, for servers of tests; needs openssl."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_certificate(folder: Path, name: str) -> Path:
    """A PEM file with a key and its self-signed certificate for a name such as `DNS:a.example`."""
    key, file, both = (folder / part for part in ("key.pem", "cert.pem", "both.pem"))
    words = f"req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 -keyout {key} -out {file}"
    names = ["-subj", "/CN=for tests", "-addext", f"subjectAltName={name}"]
    subprocess.run(["openssl", *words.split(), *names], check=True, capture_output=True)
    both.write_text(key.read_text() + file.read_text())
    return both
