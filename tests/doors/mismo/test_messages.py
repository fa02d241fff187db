"""The words of the protocol, one by one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stemwright.analysis.key import TONICS
from stemwright.doors.mismo import messages
from stemwright.studio.outbox import Placed

PROTOCOL = Path(messages.__file__).with_name("PROTOCOL.md")


def order(**changes: Any) -> Placed:
    facts = {"kind": "callback", "stages": ["stems"], "file_path": "/music/a.wav", "digest": "d"}
    plain: dict[str, Any] = {"id": "1", "owner": "local", "name": "hash", "job_id": "2", "facts": facts, "told": {}}
    return Placed(**(plain | {"open": True, "created_at": 1_800_000_000.0} | changes))


def view(status: str, **changes: Any) -> dict[str, Any]:
    plain = dict.fromkeys(["position", "eta_seconds", "started_at", "finished_at", "error"])
    return {**plain, "status": status, "priority": "normal", "stage": "done", "progress": 0.0, **changes}


@pytest.mark.parametrize("mode", ["major", "minor"])
def test_key_is_the_number_of_its_pitch_class_for_all_that_the_analysis_can_name(mode: str) -> None:
    found = [messages.key_of({"key": {"tonic": tonic, "mode": mode}}) for tonic in TONICS[mode]]
    assert found == [(str(number), "1" if mode == "major" else "0") for number in range(12)]
    assert messages.key_of({"key": None}) == messages.key_of({}) == (None, None)


@pytest.mark.parametrize(("bpm", "text"), [(128.0, "128"), (127.984, "127.984"), (None, "null")])
def test_tempo_is_a_whole_number_where_it_is_one(bpm: float | None, text: str) -> None:
    tempo = None if bpm is None else {"bpm": bpm, "confidence": 0.9, "octave": 64.0}
    assert json.dumps(messages.basic_features({"tempo": tempo})["bpm"]) == text


def test_what_happened_inside_the_server_is_told_to_nobody() -> None:
    for code in ("internal", "engine_crashed", "out_of_memory"):
        told = messages.error_of(code, "OSError: /srv/data/objects is away")
        assert told.keys() == {"code", "message"}
        assert (told["code"], "/srv" in told["message"]) == (code, False)
    assert messages.error_of("too_long", "it lasts for 2 h")["message"] == "it lasts for 2 h"


@pytest.mark.parametrize(
    ("job", "told", "status", "code"),
    [
        (view("queued"), {}, "queued", None),
        (view("running"), {}, "processing", None),
        (view("succeeded"), {}, "processing", None),  # the files are not in their folder yet
        (view("failed", error={"code": "corrupt", "message": "m"}), {}, "failed", "corrupt"),
        (view("cancelled"), {}, "failed", "cancelled"),
        (view("cancelled"), {"status": "failed", "error": {"code": "timeout", "message": "m"}}, "failed", "timeout"),
    ],
)
def test_status_of_a_job(job: dict[str, Any], told: dict[str, Any], status: str, code: str | None) -> None:
    found = messages.job(order(told={"stems": told} if told else {}), job, facts={}, stems=None)
    assert (found["status"], (found["error"] or {}).get("code")) == (status, code)


def test_job_whose_files_have_expired_stays_completed() -> None:
    found = messages.job(order(open=False), view("succeeded"), facts={}, stems=None)
    assert (found["status"], found["results"]) == ("completed", {})


def test_job_is_completed_once_its_files_are_there() -> None:
    stems = {"delivery_mode": "path", "stems": {}}
    found = messages.job(order(), view("succeeded"), facts={}, stems=stems)
    assert (found["status"], found["results"]) == ("completed", {"stems": stems})


def test_job_that_made_what_is_gone_is_not_called_a_success() -> None:
    assert messages.not_done(view("succeeded"))["code"] == "not_found"
    assert messages.not_done(view("cancelled"))["code"] == "cancelled"


def test_examples_of_the_protocol_are_json() -> None:
    """But for what they leave out."""
    blocks = re.findall(r"```json\n(.*?)```", PROTOCOL.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 10
    for block in blocks:
        json.loads(block.replace("{…}", "{}").replace(", …", ""))
