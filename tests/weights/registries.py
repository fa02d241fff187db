"""A registry of npm and an index of PyPI on this machine, for the real `npm` and `pip`."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from weights.publisher import Publisher


def use(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point both clients at this machine, as a company's own registry would be."""
    monkeypatch.setenv("npm_config_registry", f"{publisher.url}/npm/")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{publisher.url}/simple")


def add_npm(publisher: Publisher, name: str, version: str, files: dict[str, bytes]) -> bytes:
    """Publish a package; its archive."""
    buffer = io.BytesIO()
    about = {"package.json": json.dumps({"name": name, "version": version}).encode()}
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, data in (about | files).items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    archive = buffer.getvalue()
    place = f"/npm/{name}/-/{name}-{version}.tgz"
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    described = {"name": name, "version": version, "dist": {"tarball": publisher.url + place, "integrity": integrity}}
    document = {"name": name, "dist-tags": {"latest": version}, "versions": {version: described}}
    publisher.files[f"/npm/{name}"] = json.dumps(document).encode()
    publisher.files[place] = archive
    return archive


def add_wheel(publisher: Publisher, name: str, version: str, files: dict[str, bytes]) -> bytes:
    """Publish a wheel; its bytes."""
    plain = name.replace("-", "_")
    info = f"{plain}-{version}.dist-info"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: <3\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        for path, data in (files | about).items():
            wheel.writestr(path, data)
    archive = buffer.getvalue()
    file = f"{plain}-{version}-py3-none-any.whl"
    link = f'<a href="{publisher.url}/wheels/{file}" data-requires-python="&lt;3">{file}</a>'
    publisher.files[f"/simple/{name}/"] = f"<!DOCTYPE html><html><body>{link}</body></html>".encode()
    publisher.files[f"/wheels/{file}"] = archive
    return archive
