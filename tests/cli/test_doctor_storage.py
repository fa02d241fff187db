"""`stemwright doctor` looks at a bucket, with a real S3 server."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

import s3 as servers
from cli.command import STEMWRIGHT
from stemwright.studio.store.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3 import S3
    from stemwright.studio.store.objects import Storage

ORIGIN = "https://studio.example.org"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server whose pages are of one origin."""
    with servers.running(tmp_path_factory.mktemp("strict"), origins=ORIGIN) as server:
        yield server


def looked(s3: S3, storage: Storage, folder: Path, *arguments: str, **settings: str) -> dict[str, tuple[str, str]]:
    """State and text of what the command says of the store, by name."""
    env = {**os.environ, **s3.variables(storage), "STEMWRIGHT_DATA": str(folder / "data"), **settings}
    done = subprocess.run(
        [*STEMWRIGHT, "doctor", "--json", *arguments], env=env, capture_output=True, text=True, check=False, cwd=folder
    )
    assert "Traceback" not in done.stderr
    checks = {one["name"]: (one["state"], one["text"]) for one in json.loads(done.stdout)}
    names = {"bucket", "uploads", "reading", "pages"}
    found = {name: check for name, check in checks.items() if name in names}
    faults = [name for name, (state, _) in checks.items() if state == "fault"]
    assert done.returncode == bool(faults), faults
    assert servers.SECRET not in done.stdout + done.stderr
    return found


def test_bucket_that_works_is_tried_and_left_as_it_was(strict: S3, tmp_path: Path) -> None:
    storage = strict.storage()
    found = looked(strict, storage, tmp_path)
    assert {name: state for name, (state, _) in found.items()} == {"bucket": "ok", "pages": "note"}
    assert "--origin" in found["pages"][1]
    found = looked(strict, storage, tmp_path, "--origin", f"{ORIGIN}/")
    assert {name: state for name, (state, _) in found.items()} == {"bucket": "ok", "uploads": "ok"}
    assert not [*ObjectStore(storage).list()]


def test_doctor_says_what_the_rules_for_pages_lack(strict: S3, tmp_path: Path) -> None:
    """Who may use the API from another page is an origin, too."""
    given = {"STEMWRIGHT_HTTP_CORS_ORIGINS": "https://other.example.org", "STEMWRIGHT_STORAGE_REDIRECT": "true"}
    found = looked(strict, strict.storage(), tmp_path, **given)
    assert found["bucket"][0] == "ok"
    state, text = found["uploads"]
    assert state == "note"
    assert "lack the origin https://other.example.org" in text
    state, text = found["reading"]
    assert state == "fault"
    assert "lack the origin https://other.example.org with GET" in text


def test_bucket_that_cannot_be_used_is_a_fault_with_its_reason(strict: S3, tmp_path: Path) -> None:
    wrong = looked(strict, strict.storage(secret="wrong"), tmp_path)
    assert wrong["bucket"][0] == "fault"
    assert "SignatureDoesNotMatch" in wrong["bucket"][1]
    gone = looked(strict, strict.storage(bucket="not-there"), tmp_path)
    assert gone["bucket"][0] == "fault"
    assert "NoSuchBucket" in gone["bucket"][1]
    away = looked(strict, strict.storage(endpoint="http://127.0.0.1:9"), tmp_path)
    assert away["bucket"][0] == "fault"


def test_folder_is_not_mentioned(strict: S3, tmp_path: Path) -> None:
    env = {**os.environ, "STEMWRIGHT_DATA": str(tmp_path / "data")}
    done = subprocess.run([*STEMWRIGHT, "doctor"], env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0
    assert "bucket" not in done.stdout
