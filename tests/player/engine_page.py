"""The page of the audio proof: the engine of the player in a real browser, and what it puts out as samples."""

from __future__ import annotations

import base64
import contextlib
import mimetypes
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sounds import write_wav

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from playwright.sync_api import Page

    from sounds import Samples

PLAYER = Path(__file__).parents[2] / "player"
POLICY = (  # the player's own
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:"
)


def build(folder: Path) -> Path:
    """Build the page into a folder; `LookupError` where npm has not been run."""
    vite = PLAYER / "node_modules" / ".bin" / "vite"
    if not vite.exists():
        raise LookupError("the player's packages are missing: make player")
    command = [
        str(vite),
        "build",
        "--config",
        "vite.engine-proof.config.ts",
        "--outDir",
        str(folder),
        "--logLevel",
        "error",
    ]
    subprocess.run(command, cwd=PLAYER, check=True, capture_output=True)
    return folder


@dataclass(frozen=True)
class Song:
    """A song as `openEngine` takes it: names of stems and their files' addresses."""

    stems: list[dict[str, str]]
    rate: int
    samples: int
    original: dict[str, str] | None = None

    def options(self) -> dict[str, Any]:
        return {"stems": self.stems, "original": self.original, "sampleRate": self.rate, "samples": self.samples}


@dataclass(frozen=True)
class Front:
    """Where the page is, and switches that make life hard for it."""

    origin: str
    away: threading.Event  # as if the studio were restarting
    old: threading.Event  # as if the browser knew no WebCodecs


class _Handler(BaseHTTPRequestHandler):
    """The page under /engine-proof/; everything else is the studio's."""

    protocol_version = "HTTP/1.1"
    built: Path
    studio: httpx.Client
    away: threading.Event
    old: threading.Event

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a page that is closed no longer cares for its answers
            super().handle()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/engine-proof/"):
            file = self.built / path.removeprefix("/engine-proof/")
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            without = b"delete self.AudioDecoder;" if self.old.is_set() and file.name.startswith("worker-") else b""
            headers = {"Content-Type": kind, "Content-Security-Policy": POLICY}
            self._answer(200, headers, without + file.read_bytes())
            return
        if self.away.is_set():
            self._answer(503, {}, b"")
            return
        asked = {name: self.headers[name] for name in ("Range", "If-Range") if name in self.headers}
        answer = self.studio.get(self.path, headers=asked)
        kept = ("Content-Type", "Content-Range", "ETag", "Retry-After")
        self._answer(answer.status_code, {k: answer.headers[k] for k in kept if k in answer.headers}, answer.content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextlib.contextmanager
def served(built: Path, studio: httpx.Client) -> Iterator[Front]:
    """The page and a studio behind one origin, for the time of a block."""
    away, old = threading.Event(), threading.Event()
    handler = type("Handler", (_Handler,), {"built": built, "studio": studio, "away": away, "old": old})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as front:
        thread = threading.Thread(target=front.serve_forever)
        thread.start()
        try:
            yield Front(f"http://127.0.0.1:{front.server_port}", away, old)
        finally:
            front.shutdown()
            thread.join()


class Proof:
    """An engine in a page."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        page.goto(f"{origin}/engine-proof/engine-proof.html")
        page.wait_for_function("window.proof")

    def open(self, song: Song) -> None:
        """Open a song and wait until it is ready."""
        self.page.evaluate("options => proof.open(options)", song.options())

    def run(self, script: str, argument: Any = None) -> Any:
        """The value of a script (an async function's body) with `proof`, `engine` and `argument`."""
        return self.page.evaluate(f"async argument => {{ const engine = proof.engine; {script} }}", argument)

    def record(self, script: str, argument: Any = None) -> Samples:
        """What is heard while a script runs. Output: `[2, T]` float32, without the silence before and after."""
        coded = self.run(f"proof.record(); {script}; return await proof.recorded()", argument)
        quanta = np.frombuffer(base64.b64decode(coded), "<f4").reshape(-1, 2, 128)
        samples = np.ascontiguousarray(quanta.transpose(1, 0, 2).reshape(2, -1))
        heard = np.flatnonzero(np.abs(samples).max(axis=0))
        return samples[:, heard[0] : heard[-1] + 1] if len(heard) else samples[:, :0]


def imported(studio: httpx.Client, folder: Path, stems: dict[str, Samples], *, rate: int = 44_100) -> Song:
    """A song of stems that are there already; 16-bit FLAC, as the studio keeps them."""
    paths = [write_wav(folder / f"{name}.wav", samples, rate, bits=16) for name, samples in stems.items()]
    files = [("files", (path.name, path.read_bytes())) for path in paths]
    answer = studio.post("/api/v1/songs", files=files, data={"title": folder.name})
    assert answer.status_code == 201, answer.text
    song = answer.json()
    samples = next(iter(stems.values())).shape[1]
    return Song(addresses(song["id"], list(stems)), rate, samples)


def addresses(song_id: str, names: list[str]) -> list[dict[str, str]]:
    """Where a song's stems are."""
    base = f"/api/v1/songs/{song_id}/stems"
    return [{"name": name, "flac": f"{base}/{name}.flac", "wav": f"{base}/{name}.wav"} for name in names]
