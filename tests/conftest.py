"""What all tests may use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from stemwright.weights import config, publishers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3 import S3

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # as `app.process` does for the product
# Tests see no weights but sketch's, and fetch none, here and in their children; those that use real ones say so.
# `make test` put the real ones there; a variable of its own tells it to xdist's workers, which load this file again.
WEIGHTS = Path(
    os.environ.setdefault("WEIGHTS_FOR_TESTS", os.environ.get("STEMWRIGHT_MODEL_CACHE") or str(config.Config().cache))
)
os.environ["STEMWRIGHT_MODEL_CACHE"] = str(WEIGHTS / "none-for-tests")
os.environ["STEMWRIGHT_MODEL_OFFLINE"] = "true"
os.environ["HF_HUB_CACHE"] = str(WEIGHTS / "none-for-tests")
config.configure(config.Config(cache=WEIGHTS / "none-for-tests", offline=True))
settings.register_profile("ci", derandomize=True)  # a landing must not hang on luck; runs by hand explore
if os.environ.get("CI"):
    settings.load_profile("ci")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell: children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A real S3 server of this worker's tests, started when the first of them asks."""
    from s3 import running

    with running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def known_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the separators for tests as an installed package of a third party would."""
    package = tmp_path / "site" / "known_separators-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: known-separators\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[stemwright.separators]\nknown = separators_for_tests:FAMILY\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(package.parent)])


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database. The test that uses it runs twice: on SQLite and on PostgreSQL."""
    from databases import fresh_url  # not above: most tests need none of what that loads

    with fresh_url(request.param, tmp_path / "studio.db") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, else as `database_url`."""
    from databases import fresh_url

    with fresh_url(request.param, tmp_path / "empty.db", tables=False) as url:
        yield url


@pytest.fixture
def real_weights(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache with the published weights of htdemucs and Spleeter's two stems, for this process and its children."""
    from stemwright.separators._demucs_publishers import publishers as of_demucs
    from stemwright.separators.catalogue import find_model

    monkeypatch.setattr(config, "_current", config.Config(cache=WEIGHTS, offline=True))
    monkeypatch.setenv("STEMWRIGHT_MODEL_CACHE", str(WEIGHTS))
    wanted = (of_demucs("htdemucs"), find_model("spleeter:2stems")[1].publishers)
    if not all(publishers.find(each) for each in wanted):
        pytest.skip("the published weights could not be had: stemwright models pull htdemucs spleeter:2stems")
    return WEIGHTS


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Make a disk of its own, as small as options of `tmpfs` say: `size=4k`, or `nr_inodes=1` for no file at all."""
    made: list[Path] = []

    def make(options: str) -> Path:
        path = tmp_path / f"disk-{len(made)}"
        path.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=False).returncode:
            pytest.skip("needs a disk of its own, which this user may not mount")
        made.append(path)
        return path

    yield make
    for path in made:
        subprocess.run(["umount", "-l", path], check=True)
