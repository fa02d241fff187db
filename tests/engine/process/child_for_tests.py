"""An engine process that does as it is told, by the protocol of `stemwright.engine.process.child`: run as a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

version = ""  # as the last request had it


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps({"version": version, **what}) + "\n")
    sys.stdout.flush()


def tell(stage: str, fraction: float | None) -> None:
    say(progress={"stage": stage, "fraction": fraction})


def receipt(name: str, stem: str, file_name: str) -> dict[str, Any]:
    """A receipt as the engine writes it: the parent reads it as one, so that a key which changes is noticed."""
    level = {"integrated_lufs": -20.0, "true_peak_dbtp": -3.0}
    shape = {"sample_rate": 44_100, "channels": 2, "frames": 88_200}
    song = {"name": file_name, "digest": "p" * 64, "size_bytes": 100, "container": "wav", "duration": 2.0}
    model = {"requested": name, "name": name, "family": "sketch", "licence": "MIT", "draft": name == "sketch"}
    settings = {"stems": [stem], "overlap": 0.25, "shifts": 0, "segment": 6.0, "exact": True, "format": "flac16"}
    made = {"name": stem, "file": f"{stem}.flac", "size_bytes": 9, "digest": "d" * 64, "gain_db": 0.0}
    return {
        "key": "k" * 64,
        "input": {**song, **shape, "loudness": level},
        "model": {**model, "weights_digest": None},
        "device": "cpu",
        "settings": {**settings, "bitrate": None, "sample_rate": 44_100},
        "gain_db": 0.0,
        "residual_db": None,
        "residual_added_to": None,
        "elapsed": 1.0,
        "real_time_factor": 0.5,
        "versions": {},
        "warnings": [],
        "stems": [{**made, **shape, "loudness": level}],
        "files": [f"{stem}.flac", "receipt.json"],
        "kept": [],
    }


def die(seen: str, times: int) -> None:
    """Die of SIGKILL, as often as told; `seen` counts."""
    path = Path(seen)
    count = int(path.read_text()) if path.exists() else 0
    path.write_text(str(count + 1))
    if count < times:
        os.kill(os.getpid(), signal.SIGKILL)


def separate(root: str, file_name: str, plan: dict[str, Any]) -> None:
    """Make one stem as the plan says."""
    if "die" in plan:
        die(plan["seen"], plan["die"])
    if "error" in plan:
        say(error={"code": plan["error"], "message": "as planned"})
        return
    for part in range(plan.get("parts", 1)):
        tell("separating", (part + 1) / plan.get("parts", 1))
        time.sleep(plan.get("pause", 0))
    folder = Path(root)
    folder.mkdir(parents=True)
    stem = plan.get("stem", "vocals")
    for name in (f"{stem}.flac", f"{stem}.peaks.dat", "receipt.json"):
        (folder / name).write_bytes(name.encode())
    say(result=receipt(plan["model"], stem, file_name))


def stages() -> None:
    for fraction in (0.25, 0.5, 1.0):
        tell("separating", fraction)
    say(result={})


def perish(number: int) -> None:
    sys.stderr.write("last words\n")
    sys.stderr.flush()
    os.kill(os.getpid(), number)
    time.sleep(60)


def sleep() -> None:
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    tell(str(other.pid), None)
    time.sleep(600)


def grow(size: int) -> None:
    globals()["kept"] = bytearray(os.urandom(1)) * size
    say(result={})


def scan(plan: dict[str, Any]) -> None:
    if "scan" in plan:
        say(error={"code": plan["scan"], "message": "as planned"})
        return
    facts = {"pcm_digest": "p" * 64, "duration": 2.0, "sample_rate": 44_100, "channels": 2}
    say(result={**facts, "title": "", "artist": "", "analysis": None})


def transcribe(root: str) -> None:
    """Make a chart of two files."""
    for name in ("drums.json", "drums.mid"):
        (Path(root) / name).write_bytes(name.encode())
    tell("transcribing", 1.0)
    drums = {
        "weights_digest": "w" * 64,
        "octave_bpm": None,
        "onsets": 3,
        "bpm": None,
        "files": {"chart": "drums.json", "midi": "drums.mid"},
    }
    say(result={"drums": drums, "warnings": [{"code": "damaged", "message": "a damaged stem"}]})


def transcode(files: dict[str, str]) -> None:
    for target in files.values():
        Path(target).write_bytes(b"made")
    say(result={})


def babble(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    plan = json.loads(sys.argv[1]) if sys.argv[1:] and sys.argv[1].startswith("{") else {}
    does: dict[str, Any] = {
        "echo": lambda request: say(result={"pid": os.getpid(), **request}),
        "stages": lambda _: stages(),
        "fail": lambda request: say(error={"code": request["code"], "message": "told to"}),
        "die": lambda request: perish(request["signal"]),
        "leave": lambda request: sys.exit(request["code"]),
        "sleep": lambda _: sleep(),
        "grow": lambda request: grow(request["size"]),
        "scan": lambda _: scan(plan),
        "separate": lambda request: separate(
            request["root"], request["file_name"], {"model": request["model"], **plan}
        ),
        "transcribe": lambda request: transcribe(request["root"]),
        "transcode": lambda request: transcode(request["files"]),
        "babble": lambda request: babble(request["line"]),
    }
    global version
    for line in sys.stdin:
        sent = json.loads(line)
        version, request = sent["version"], sent["request"]
        does[request.pop("what")](request)


if __name__ == "__main__":
    main()
