"""A real S3 server for tests, SeaweedFS: it can hang, be killed, and come back with what it had."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from needs import WEED, require
from stemwright.studio.store.objects import Storage
from stemwright.studio.store.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, SECRET = "AKIATESTS", "open-sesame-of-the-bucket"
REGION = "us-east-1"
_BUCKET = "tests"
_WAIT = 120.0  # seconds, generous: the machine is shared
_QUIET = ("-logtostderr=true", "-v=0")
_ALONE = ("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false")  # fixed ports, and a call home
_SOON = ("-master.electionTimeout=1s", "-master.heartbeatInterval=100ms")  # else a restart takes 20 s
_LEAN = ("-volume.max=20", "-master.volumeSizeLimitMB=64", "-volume.minFreeSpace=0", "-s3.iam=false")
_ALONE = (
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
)  # whose ports are fixed


def free_ports(count: int) -> list[int]:
    """Ports that nobody has, all different."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in held]


@dataclass
class S3:
    """One server, and the folder of what it holds."""

    folder: Path
    ports: list[int] = field(default_factory=lambda: free_ports(8))
    origins: str = "*"  # whose pages may use it
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def storage(self, *, bucket: str = _BUCKET, secret: str = SECRET, endpoint: str | None = None) -> Storage:
        """A place of its own in a bucket; nothing is in it."""
        return Storage(
            url=f"s3://{bucket}/{secrets.token_hex(6)}/studio",
            endpoint=endpoint or self.endpoint,
            region=REGION,
            access_key_id=KEY,
            secret_access_key=secret,
        )

    @staticmethod
    def variables(storage: Storage) -> dict[str, str]:
        """The settings of a place, as a process reads them from its environment."""
        return {
            "STEMWRIGHT_STORAGE_URL": storage.url,
            "STEMWRIGHT_STORAGE_ENDPOINT": storage.endpoint or "",
            "STEMWRIGHT_STORAGE_REGION": storage.region,
            "STEMWRIGHT_STORAGE_ACCESS_KEY_ID": storage.access_key_id or "",
            "STEMWRIGHT_STORAGE_SECRET_ACCESS_KEY": storage.secret_access_key or "",
        }

    def start(self) -> S3:
        """Start it, or start it again, and wait until it takes objects."""
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        credentials = [{"accessKey": KEY, "secretKey": SECRET}]
        identities = [{"name": "tests", "credentials": credentials, "actions": actions}]
        (self.folder / "s3.json").write_text(json.dumps({"identities": identities}))
        s3, master, volume, filer, *grpc = map(str, self.ports)
        command = [str(WEED), *_QUIET, "server", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *_LEAN]
        command += [*_SOON, *_ALONE]
        command += [f"-master.port={master}", f"-master.port.grpc={grpc[0]}"]
        command += [f"-volume.port={volume}", f"-volume.port.grpc={grpc[1]}"]
        command += ["-filer", f"-filer.port={filer}", f"-filer.port.grpc={grpc[2]}"]
        command += ["-s3", f"-s3.port={s3}", f"-s3.port.grpc={grpc[3]}", f"-s3.config={self.folder}/s3.json"]
        command += [f"-s3.allowedOrigins={self.origins}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        end = time.monotonic() + _WAIT
        while not self._takes_objects():
            assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
            assert time.monotonic() < end, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.1)
        return self

    def _takes_objects(self) -> bool:
        """Whether a bucket can be made, or is there, and holds what is put into it."""
        signer = Signer(KEY, SECRET, region=REGION)
        try:
            for path in (_BUCKET, f"{_BUCKET}/started"):
                url = signer.presigned("PUT", f"{self.endpoint}/{path}", seconds=60)
                if httpx.put(url, content=b"x" if "/" in path else b"", timeout=5).status_code not in {200, 409}:
                    return False
        except httpx.TransportError:
            return False
        return True

    def hang(self) -> None:
        """Let it take connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End the hanging."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash does; its folder stays."""
        if self.process is not None and self.process.poll() is None:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGKILL)
            self.process.wait()

    def _signal(self, number: int) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, number)


@contextlib.contextmanager
def running(folder: Path, *, origins: str = "*") -> Iterator[S3]:
    """A server for the time of a block, for pages of these origins; a test is skipped where it is not installed."""
    require("weed")
    server = S3(folder, origins=origins)
    try:
        yield server.start()
    finally:
        server.kill()
        for port in server.ports:
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)
