"""A remote worker that lies, and a neighbour that it would like to be read."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from sounds import sound, write_wav
from stemwright.audio.formats import parse_format
from stemwright.audio.peaks import Peaks
from stemwright.engine.mixdown import transcode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sounds import Samples

RATE, SECONDS = 44_100, 1.0
SECRET = b"fLaC the keys of the account"  # begins as a stem does
DIGEST = "0" * 64
API = "/api/v1/songs/s1"


@dataclass
class Answers:
    """What a server answers to which path, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    endless: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def answering(answers: Answers) -> Iterator[Answers]:
    """A server on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            answers.asked.append(self.path)
            path = self.path.partition("?")[0]
            if place := answers.moved.get(path):
                self.send_response(302)
                self.send_header("Location", place)
                self.end_headers()
                return
            self.send_response(200 if path in answers.files else 404)
            self.end_headers()
            with suppress(OSError):  # who hangs up
                self.wfile.write(answers.files.get(path, b"{}"))
                while path in answers.endless:
                    self.wfile.write(bytes(1 << 16))

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    answers.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def stem_files(folder: Path, samples: Samples, *, rate: int = RATE) -> tuple[bytes, bytes]:
    """A stem as FLAC, and its overview."""
    flac, peaks = folder / "stem.flac", Peaks(rate)
    transcode(write_wav(folder / "stem.wav", samples, rate, bits=16), flac, format=parse_format("flac16"))
    peaks.add(samples)
    return flac.read_bytes(), peaks.data().to_dat()


def receipt(**of_stem: Any) -> dict[str, Any]:
    """A receipt of one stem, as the studio serves it."""
    loudness = {"integrated_lufs": -15.0, "true_peak_dbtp": -1.0}
    frames = round(SECONDS * RATE)
    stem = {"name": "vocals", "file": "vocals.flac", "size_bytes": 1, "sample_rate": RATE, "channels": 2}
    stem |= {"frames": frames, "digest": DIGEST, "gain_db": 0.0, "loudness": loudness}
    song = {"name": "a.wav", "digest": DIGEST, "size_bytes": 1, "container": "wav", "sample_rate": RATE}
    song |= {"channels": 2, "frames": frames, "duration": SECONDS, "loudness": loudness}
    model = {"requested": "x", "name": "x", "family": "x", "licence": "x", "draft": False, "weights_digest": None}
    settings: dict[str, Any] = {"stems": ["vocals"], "overlap": None, "shifts": None, "segment": None, "exact": True}
    settings |= {"format": "flac16", "bitrate": None, "sample_rate": RATE}
    return {
        "key": DIGEST,
        "input": song,
        "model": model,
        "device": "cpu",
        "settings": settings,
        "gain_db": 0.0,
        "residual_db": None,
        "residual_added_to": None,
        "elapsed": 1.0,
        "real_time_factor": 1.0,
        "versions": {},
        "warnings": [],
        "stems": [stem | of_stem],
        "files": [],
        "kept": [],
    }


def honest(folder: Path) -> Answers:
    """A worker that does what it says, to be changed for the worse."""
    flac, peaks = stem_files(folder, sound("song", seconds=SECONDS))
    files = {f"{API}/stems/vocals.flac": flac, f"{API}/peaks/vocals.dat": peaks}
    files[f"{API}/receipt"] = json.dumps(receipt()).encode()
    answers = Answers(files)
    tell(answers)
    return answers


def tell(answers: Answers, *, job_id: str = "j1", status: str = "succeeded", **result: Any) -> None:
    """Let the worker's job be so; `result` replaces what it names."""
    told = {"receipt": f"{API}/receipt", "stems": {"vocals": f"{API}/stems/vocals.flac"}}
    told |= {"peaks": {"vocals": f"{API}/peaks/vocals.dat"}}
    job = {"id": job_id, "status": status, "progress": 100.0, "error": None, "result": told | result}
    for path in ("/api/v1/jobs", "/api/v1/jobs/j1"):
        answers.files[path] = json.dumps(job).encode()
