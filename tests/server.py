"""A real studio server for tests: its own data folder, its own port, ended at the end."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3 import S3

CACHE = "STEMWRIGHT_MODEL_CACHE"  # where the tests' weights are, or none
SHARED = os.environ.get("STUDIO_FOR_TESTS") == "shared"  # on PostgreSQL and a bucket, not on SQLite and a folder
WAIT = 120.0  # seconds, generous: the machine is shared


class Server:
    """`stemwright serve` as a process, and a client of it."""

    def __init__(self, data: Path, *arguments: str, **environment: str) -> None:
        self.data = data
        self._arguments = arguments
        self.log = data.with_name(f"{data.name}.log")
        self._environment = {
            **{
                name: value for name, value in os.environ.items() if not name.startswith("STEMWRIGHT_") or name == CACHE
            },
            "STEMWRIGHT_DATA": str(data),
            "STEMWRIGHT_MODEL_DEFAULT": "sketch",
            "STEMWRIGHT_HTTP_RATE_PER_MINUTE": "0",
            "STEMWRIGHT_HTTP_UPLOADS_PER_MINUTE": "0",
            "STEMWRIGHT_LOG_FORMAT": "json",
            "STEMWRIGHT_MODEL_OFFLINE": "true",
            **(_shared() if SHARED else {}),
            **environment,
        }
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.doors: dict[str, str] = {}  # the addresses of doors that have ports of their own
        self.http = httpx.Client()

    def start(self, **environment: str) -> Server:
        """Start it and wait until it listens; what is given is added to its environment this time."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "stemwright", "serve", "--port", "0", *self._arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**self._environment, **environment},
                start_new_session=True,
            )
        assert self.process.stdout
        said = ""
        while not (found := re.search(r"^Stemwright is at (http://\S+)", said, re.MULTILINE)):
            line = self.process.stdout.readline()
            assert line, f"it did not start: {said!r} {self.log.read_text()[-3000:]}"
            said += line
        self.url = found[1]
        self.doors = dict(re.findall(r"^The door (\S+) is at (http://\S+)", said, re.MULTILINE))
        self.http = httpx.Client(base_url=self.url, timeout=WAIT)
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to the API process and wait for its end; its exit code."""
        if self.process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        code = self.process.wait(60)
        self.http.close()
        if self.process.stdout:
            self.process.stdout.close()
        self.process = None
        return code

    def submit(self, song: Path, **fields: str) -> dict[str, Any]:
        """Upload a song."""
        with song.open("rb") as file:
            answer = self.http.post("/api/v1/jobs", files={"file": (song.name, file)}, data=fields)
        assert answer.status_code in {200, 202}, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        """Its present state."""
        job: dict[str, Any] = self.http.get(f"/api/v1/jobs/{job_id}").raise_for_status().json()
        return job

    def wait(self, job_id: str, *statuses: str, seconds: float = WAIT) -> dict[str, Any]:
        """Wait until a job is in one of these states (the final ones where none is named)."""
        wanted = statuses or ("succeeded", "failed", "cancelled")
        end = time.monotonic() + seconds
        while (job := self.job(job_id))["status"] not in wanted:
            assert time.monotonic() < end, f"still {job}: {self.log.read_text()[-3000:]}"
            time.sleep(0.1)
        return job

    def objects(self) -> list[str]:
        """The keys of all objects that are stored."""
        folder = self.data / "objects"
        found = os.walk(folder)  # which passes over folders that are removed meanwhile, unlike `rglob`
        return sorted(os.path.relpath(f"{place}/{name}", folder) for place, _, names in found for name in names)


def _shared() -> dict[str, str]:
    """Settings of a studio over a fresh database of PostgreSQL and an empty place in a bucket."""
    import databases
    import postgres

    name, storage = f"t{uuid.uuid4().hex}", _bucket().storage()
    postgres.shared().execute(f"CREATE DATABASE {name} TEMPLATE {databases.template()} STRATEGY FILE_COPY")
    return {
        "DATABASE_URL": postgres.shared().url(name),
        "STEMWRIGHT_STORAGE_URL": storage.url,
        "STEMWRIGHT_STORAGE_ENDPOINT": str(storage.endpoint),
        "STEMWRIGHT_STORAGE_REGION": storage.region,
        "STEMWRIGHT_STORAGE_ACCESS_KEY_ID": str(storage.access_key_id),
        "STEMWRIGHT_STORAGE_SECRET_ACCESS_KEY": str(storage.secret_access_key),
    }


@functools.cache
def _bucket() -> S3:
    """An S3 server for the rest of this process."""
    from s3 import S3

    made = S3(Path(tempfile.mkdtemp(prefix="s3-")))
    atexit.register(shutil.rmtree, made.folder, ignore_errors=True)
    atexit.register(made.kill)
    return made.start()


@contextlib.contextmanager
def running(data: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """A server for the time of a block."""
    server = Server(data, *arguments, **environment)
    try:
        yield server.start()
    finally:
        server.stop(signal.SIGKILL)
