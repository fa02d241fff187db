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


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def die(seen: str, times: int) -> None:
    """Die of SIGKILL, as often as told; `seen` counts."""
    path = Path(seen)
    count = int(path.read_text()) if path.exists() else 0
    path.write_text(str(count + 1))
    if count < times:
        os.kill(os.getpid(), signal.SIGKILL)


def separate(root: str, plan: dict[str, Any]) -> None:
    """Make one stem as the plan says."""
    if "die" in plan:
        die(plan["seen"], plan["die"])
    if "error" in plan:
        say(error={"code": plan["error"], "message": "as planned"})
        return
    for part in range(plan.get("parts", 1)):
        say(stage="separating", fraction=(part + 1) / plan.get("parts", 1))
        time.sleep(plan.get("pause", 0))
    folder = Path(root)
    folder.mkdir(parents=True)
    stem = plan.get("stem", "vocals")
    for name in (f"{stem}.flac", f"{stem}.peaks.dat", "receipt.json"):
        (folder / name).write_bytes(name.encode())
    model = {"name": plan["model"], "draft": plan["model"] == "sketch"}
    song = {"digest": "p" * 64, "duration": 2.0}
    say(result={"model": model, "input": song, "elapsed": 1.0, "stems": [{"name": stem}], "warnings": []})


def stages() -> None:
    for fraction in (0.25, 0.5, 1.0):
        say(stage="separating", fraction=fraction)
    say(result={})


def perish(number: int) -> None:
    sys.stderr.write("last words\n")
    sys.stderr.flush()
    os.kill(os.getpid(), number)
    time.sleep(60)


def sleep() -> None:
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    say(stage=str(other.pid), fraction=None)
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
    say(stage="transcribing", fraction=1.0)
    drums = {"onsets": 3, "bpm": None, "files": {"chart": "drums.json", "midi": "drums.mid"}}
    say(result={"drums": drums, "warnings": [{"code": "damaged", "message": "a damaged stem"}]})


def transcode(target: str) -> None:
    Path(target).write_bytes(b"made")
    say(result={})


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
        "separate": lambda request: separate(request["root"], {"model": request["options"]["model"], **plan}),
        "transcribe": lambda request: transcribe(request["root"]),
        "transcode": lambda request: transcode(request["target"]),
    }
    for line in sys.stdin:
        request = json.loads(line)
        does[request.pop("what")](request)


if __name__ == "__main__":
    main()
