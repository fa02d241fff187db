"""Drum charts over HTTP: made by jobs that ask for them, kept beside the stems, served as any stored file."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import mido
import pytest

from drums.hits import CRASHED, pattern, rendered
from sounds import write_wav
from web.answers import Prepared, problem_of

if TYPE_CHECKING:
    from pathlib import Path

    from server import Server

STAGES = ("queued", "hashing", "reading", "separating", "encoding", "transcribing", "saving", "done")
FILES = {
    "drums.json": "application/json",
    "drums.mid": "audio/midi",
    "drums.mid?quantised=true": "audio/midi",
    "drums.svg": "image/svg+xml",
}


def drums(path: Path, *, bpm: float, seed: int) -> Path:
    """Ten seconds of a rock beat, of which each seed is another song."""
    part = pattern(bars=4, bpm=bpm, start=0.3, lanes={lane: CRASHED[lane] for lane in (0, 1, 2)})
    return write_wav(path, rendered(part, seconds=10, seed=seed))


@pytest.fixture(scope="module")
def charted(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    path = drums(tmp_path_factory.mktemp("charted") / "Beat.wav", bpm=104, seed=1)
    job = server.submit(path, transcribe="true", analysis="false")
    with server.http.stream("GET", job["links"]["events"]) as answer:
        told = [json.loads(line.removeprefix("data:")) for line in answer.iter_lines() if line.startswith("data:")]
    assert [one["progress"] for one in told] == sorted(one["progress"] for one in told)
    stages = list(dict.fromkeys(one["stage"] for one in told))  # a stage that is over in a quarter second may be missed
    assert stages == [stage for stage in STAGES if stage in stages]
    assert told[-1]["status"] == "succeeded", told[-1]
    return Prepared(server, path, rendered([], seconds=1), told[-1])


def test_job_with_a_chart_gives_json_midi_and_a_picture(charted: Prepared) -> None:
    http, links = charted.server.http, charted.job["result"]["drums"]
    chart = http.get(links["chart"]).raise_for_status().json()
    assert links["onsets"] == len(chart["onsets"]) > 30
    assert links["bpm"] == chart["bpm"] == pytest.approx(104, rel=0.01)
    played = mido.MidiFile(file=io.BytesIO(http.get(links["midi"]).content))
    notes = [message for message in played if message.type == "note_on"]
    assert sorted(note.note for note in notes) == sorted(one["note"] for one in chart["onsets"])
    moved = mido.MidiFile(file=io.BytesIO(http.get(links["midi_quantised"]).content))
    assert moved.length == pytest.approx(played.length, abs=0.1)
    answer = http.get(links["picture"])
    assert "style-src 'unsafe-inline'" in answer.headers["content-security-policy"]  # else a browser shows it black
    picture = ET.fromstring(answer.text)
    assert picture.findtext("{http://www.w3.org/2000/svg}title") == "Beat"


@pytest.mark.parametrize("name", FILES)
def test_chart_files_have_strong_tags_parts_and_heads(charted: Prepared, name: str) -> None:
    http, url = charted.server.http, f"{charted.url}/{name}"
    whole = http.get(url)
    assert whole.headers["content-type"].split(";")[0] == FILES[name]
    same = http.get(url, headers={"If-None-Match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert http.get(url, headers={"Range": "bytes=0-9"}).content == whole.content[:10]
    head = http.head(url)
    assert (head.status_code, head.headers["etag"], head.content) == (200, whole.headers["etag"], b"")
    ending = name.partition("?")[0].rsplit(".", 1)[1]
    assert f'.{ending}"' in head.headers["content-disposition"]


def test_song_its_receipt_and_its_zip_name_the_chart(charted: Prepared) -> None:
    http = charted.server.http
    song = http.get(charted.url).json()
    assert http.get(song["links"]["drums"]).status_code == 200
    assert song["separations"][0]["drums"] == charted.job["result"]["drums"]
    receipt = http.get(charted.job["result"]["receipt"]).json()
    assert receipt["drums"]["onsets"] == charted.job["result"]["drums"]["onsets"]
    assert not any("drum chart" in warning["message"] for warning in receipt["warnings"])
    with zipfile.ZipFile(io.BytesIO(http.get(charted.job["result"]["zip"]).content)) as archive:
        assert {*receipt["drums"]["files"].values()} <= {*archive.namelist()}
        assert json.loads(archive.read("receipt.json")) == receipt
        assert json.loads(archive.read("drums.json"))["onsets"]


def test_same_wish_again_is_answered_at_once(charted: Prepared) -> None:
    wish = {"song_id": charted.job["song_id"], "transcribe": True, "analysis": False}
    again = charted.server.http.post("/api/v1/jobs", json=wish)
    assert again.status_code == 200
    assert again.json()["result"] == charted.job["result"]


def test_song_that_was_only_separated_gets_its_chart_without_being_separated_again(
    server: Server, tmp_path: Path
) -> None:
    before = server.objects()
    song = drums(tmp_path / "later.wav", bpm=120, seed=2)
    plain = server.wait(server.submit(song, analysis="false")["id"])
    place = plain["links"]["song"]
    assert plain["result"]["drums"] is None
    assert "drums" not in server.http.get(place).json()["links"]
    problem_of(server.http.get(f"{place}/drums.json"), 404, "no_chart")
    tags = {name: server.http.head(url).headers["etag"] for name, url in plain["result"]["stems"].items()}
    job = server.submit(song, analysis="false", transcribe="true")
    stages = set()
    while job["status"] not in {"succeeded", "failed"}:
        job = server.job(job["id"])
        stages.add(job["stage"])
    assert "separating" not in stages
    assert job["result"]["separation"] == plain["result"]["separation"]
    assert server.http.get(f"{place}/drums.json").json()["onsets"]
    assert {name: server.http.head(url).headers["etag"] for name, url in job["result"]["stems"].items()} == tags
    assert server.submit(song, analysis="false")["status"] == "succeeded"  # without a chart: the same stems
    assert server.http.delete(place).status_code == 204
    assert server.objects() == before


def test_chart_of_another_separation_is_found_unless_one_is_named(charted: Prepared) -> None:
    server, song = charted.server, charted.job["song_id"]
    wish = {"song_id": song, "stems": ["vocals"], "analysis": False}
    some = server.wait(server.http.post("/api/v1/jobs", json=wish).json()["id"])
    assert some["result"]["drums"] is None
    assert server.http.get(f"{charted.url}/drums.json").status_code == 200
    named = f"{charted.url}/drums.json?separation={some['result']['separation']}"
    problem_of(server.http.get(named), 404, "no_chart")


def test_chart_without_its_stem_is_refused(charted: Prepared) -> None:
    wish: dict[str, Any] = {"song_id": charted.job["song_id"], "stems": ["vocals", "other"], "transcribe": True}
    answer = charted.server.http.post("/api/v1/jobs", json=wish)
    assert "vocals, other" in problem_of(answer, 422, "no_drum_stem")["detail"]


def test_where_there_is_no_tempo_there_is_no_quantised_midi(server: Server, tmp_path: Path) -> None:
    song = write_wav(tmp_path / "few.wav", rendered([(0.5, 0), (1.37, 1), (1.9, 1)], seconds=3))
    job = server.wait(server.submit(song, analysis="false", transcribe="true")["id"])
    assert (job["result"]["drums"]["bpm"], job["result"]["drums"]["midi_quantised"]) == (None, None)
    place = job["links"]["song"]
    assert server.http.get(f"{place}/drums.mid").status_code == 200
    problem_of(server.http.get(f"{place}/drums.mid?quantised=true"), 404, "no_chart")
