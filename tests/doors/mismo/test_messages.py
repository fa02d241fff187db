"""The words of the protocol, one by one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from doors.snapshots import snapshot
from stemwright.analysis.key import TONICS
from stemwright.doors.mismo import messages
from stemwright.doors.mismo.messages import StemsData
from stemwright.engine.song_facts import AnalysisRecord, KeyRecord, KnownFacts, TempoRecord
from stemwright.records import Fault
from stemwright.studio.outbox import Entry

if TYPE_CHECKING:
    from stemwright.studio.snapshot import JobSnapshot

NOTHING = KnownFacts()
PROTOCOL = Path(messages.__file__).with_name("PROTOCOL.md")


def entry(**changes: Any) -> Entry:
    facts = {"kind": "callback", "stages": ["stems"], "file_path": "/music/a.wav", "digest": "d"}
    plain: dict[str, Any] = {"id": "1", "owner": "local", "name": "hash", "job_id": "2", "facts": facts, "sent": {}}
    return Entry(**(plain | {"open": True, "created_at": 1_800_000_000.0} | changes))


def view(status: str, **changes: Any) -> JobSnapshot:
    return snapshot(status=status, stage="done", **changes)


def heard(*, tempo: TempoRecord | None = None, key: KeyRecord | None = None) -> KnownFacts:
    return KnownFacts(analysis=AnalysisRecord(tempo=tempo, key=key))


def key_of(tonic: str, mode: str) -> KeyRecord:
    plain = {"name": "", "camelot": "", "open_key": "", "confidence": 1.0}
    return KeyRecord.model_validate(plain | {"tonic": tonic, "mode": mode})


@pytest.mark.parametrize("mode", ["major", "minor"])
def test_key_is_the_number_of_its_pitch_class_for_all_that_the_analysis_can_name(mode: str) -> None:
    found = [messages.key_of(heard(key=key_of(tonic, mode))) for tonic in TONICS[mode]]
    assert found == [(str(number), "1" if mode == "major" else "0") for number in range(12)]
    assert messages.key_of(heard()) == messages.key_of(NOTHING) == (None, None)


@pytest.mark.parametrize(("bpm", "text"), [(128.0, "128"), (127.984, "127.984"), (None, "null")])
def test_tempo_is_a_whole_number_where_it_is_one(bpm: float | None, text: str) -> None:
    tempo = None if bpm is None else TempoRecord(bpm=bpm, confidence=0.9, octave=64.0, octave_strength=0.5)
    features = messages.basic_features(heard(tempo=tempo))
    assert f'"bpm":{text},' in features.model_dump_json()
    assert f'"bpm":{text},' in messages.callback(entry(), "basic_features", data=features, error=None)


def test_what_happened_inside_the_server_is_told_to_nobody() -> None:
    for code in ("internal", "engine_crashed", "out_of_memory"):
        told = messages.fault_of(code, "OSError: /srv/data/objects is away")
        assert told.model_dump().keys() == {"code", "message"}
        assert (told.code, "/srv" in told.message) == (code, False)
    assert messages.fault_of("too_long", "it lasts for 2 h").message == "it lasts for 2 h"


@pytest.mark.parametrize(
    ("job", "sent", "status", "code"),
    [
        (view("queued"), None, "queued", None),
        (view("running"), None, "processing", None),
        (view("succeeded"), None, "processing", None),  # the files are not in their folder yet
        (view("failed", error={"code": "corrupt", "message": "m"}), None, "failed", "corrupt"),
        (view("cancelled"), None, "failed", "cancelled"),
        (view("cancelled"), Fault(code="timeout", message="m"), "failed", "timeout"),
        (view("running"), Fault(code="internal", message="m"), "failed", "internal"),
    ],
)
def test_status_of_a_job(job: JobSnapshot, sent: Fault | None, status: str, code: str | None) -> None:
    found = messages.job(entry(sent={"stems": sent} if sent else {}), job, facts=NOTHING, stems=None)
    assert (found.status, found.error.code if found.error else None) == (status, code)
    assert found.told == ({"stems": "failed"} if sent else {})


def test_job_whose_files_have_expired_stays_completed() -> None:
    found = messages.job(entry(open=False, sent={"stems": None}), view("succeeded"), facts=NOTHING, stems=None)
    assert (found.status, found.told) == ("completed", {"stems": "completed"})
    assert found.results.model_dump(exclude_unset=True) == {}


def test_job_is_completed_once_its_files_are_there() -> None:
    stems = StemsData(delivery_mode="path", stems={"vocals": "/v.wav"}, zip="/z.zip", processing_time=0.0, model="m")
    found = messages.job(entry(), view("succeeded"), facts=NOTHING, stems=stems)
    assert found.status == "completed"
    assert found.results.model_dump(exclude_unset=True) == {"stems": stems.model_dump()}


def test_job_that_made_what_is_gone_is_not_called_a_success() -> None:
    assert messages.not_done(view("succeeded")).code == "not_found"
    assert messages.not_done(view("cancelled")).code == "cancelled"


def test_examples_of_the_protocol_are_json() -> None:
    """But for what they leave out."""
    blocks = re.findall(r"```json\n(.*?)```", PROTOCOL.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 10
    for block in blocks:
        json.loads(block.replace("{…}", "{}").replace(", …", ""))
