"""The game's whole conversation with a real server, on the door's own port and under /doors/."""

from __future__ import annotations

import io
import json
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import mido
import numpy as np
import pytest
from fastapi import FastAPI
from starlette.requests import HTTPConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from doors.drumalong.game import LANES, RANGES, Game, stages
from server import Server, running
from sounds import level_db, read, sound, write_wav
from stemwright.audio.ffmpeg import find_ffmpeg
from stemwright.doors.drumalong.door import _base
from stemwright.doors.drumalong.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE, SECONDS = 44_100, 3.0
ORIGIN = "https://game.example.org"
MOST = 2_000_000  # bytes of an upload


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {
        "STEMWRIGHT_DOORS": "drumalong=0",
        "STEMWRIGHT_HTTP_CORS_ORIGINS": ORIGIN,
        "STEMWRIGHT_UPLOAD_MAX_BYTES": str(MOST),
    }
    with running(tmp_path_factory.mktemp("drumalong") / "data", **environment) as server:
        yield server


@pytest.fixture(scope="module")
def game(server: Server) -> Iterator[Game]:
    with Game(server.doors["drumalong"]) as game:
        yield game


@pytest.fixture(scope="module")
def inner(server: Server) -> Iterator[Game]:
    """A client on the studio's port."""
    with Game(f"{server.url}/doors/drumalong") as game:
        yield game


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("songs") / "Song of mine.wav"
    return write_wav(path, sound("song", seconds=SECONDS, rate=RATE), RATE, bits=16)


@pytest.fixture(scope="module")
def played(game: Game, song: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The first song's way: all messages, and the status at the end."""
    answer = game.process(song)
    assert answer.status_code == 200
    job = answer.json()
    assert job.keys() == {"job_id", "websocket_url"}
    assert job["websocket_url"] == f"{game.url.replace('http', 'ws')}/api/v1/ws/{job['job_id']}"
    return game.follow(job["websocket_url"]), game.status(job["job_id"])


def as_flac(song: Path, folder: Path) -> Path:
    target = folder / "the same.flac"
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", str(song), str(target)], check=True)
    return target


def fresh(folder: Path, seed: int, *, seconds: float = 1.0) -> Path:
    return write_wav(folder / f"{seed}.wav", sound("song", seconds=seconds, rate=RATE, seed=seed), RATE, bits=16)


# ---- a song's way ----------------------------------------------------------------------------------------------------


def test_socket_tells_all_stages_in_their_order_and_ranges(played: tuple[list[dict[str, Any]], Any]) -> None:
    messages, _ = played
    assert stages(messages) == [*RANGES]
    percents = [message["progress"] for message in messages]
    assert percents == sorted(percents)
    for message in messages:
        assert {"stage", "progress", "message"} <= message.keys()
        low, high = RANGES[message["stage"]]
        assert low <= message["progress"] <= high
        assert isinstance(message["progress"], int)
        assert message["message"]
    assert messages[-1]["cached"] is False


def test_status_has_the_results_once_complete(game: Game, played: tuple[Any, dict[str, Any]]) -> None:
    _, status = played
    assert (status["status"], status["progress_percent"], status["cached"]) == ("complete", 100, False)
    results = status["results"]
    assert results["drums_url"] == f"{game.url}/api/v1/files/drums/{results['audio_hash']}.wav"
    assert results["original_filename"] == "Song of mine.wav"
    assert results["onset_count"] == len(results["onsets"]) > 3


def test_drums_are_a_wav_as_long_as_the_song_with_the_kick_and_without_the_voice(
    game: Game, song: Path, played: tuple[Any, dict[str, Any]], tmp_path: Path
) -> None:
    answer = httpx.get(played[1]["results"]["drums_url"])
    assert answer.headers["content-type"] == "audio/wav"
    (tmp_path / "drums.wav").write_bytes(answer.content)
    drums, mix = read(tmp_path / "drums.wav", channels=2), read(song, channels=2)
    assert drums.shape == mix.shape
    assert level_db(drums, mix) < -3  # voice, bass and chord are gone …
    spectrum = np.abs(np.fft.rfft(drums[0])) ** 2
    low = spectrum[: round(120 * SECONDS)].sum()
    assert low > 0.2 * spectrum.sum()  # … and the kick of 60 Hz is there


def test_every_range_of_the_drums_is_what_was_asked_for(game: Game, played: tuple[Any, dict[str, Any]]) -> None:
    url = played[1]["results"]["drums_url"]
    whole = httpx.get(url).content
    for asked, part in (("0-99", whole[:100]), ("1000-1999", whole[1000:2000]), ("-44", whole[-44:])):
        answer = httpx.get(url, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, part)
    assert httpx.get(url, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    head = httpx.head(url)
    assert (head.status_code, int(head.headers["content-length"])) == (200, len(whole))
    assert httpx.get(url, headers={"If-None-Match": head.headers["etag"]}).status_code == 304


def test_onsets_have_the_documents_fields_and_its_eight_lanes(game: Game, played: tuple[Any, dict[str, Any]]) -> None:
    results = played[1]["results"]
    onsets = httpx.get(results["onsets_url"]).json()
    assert onsets == results["onsets"]
    for onset in onsets:
        assert onset.keys() == {"time", "lane", "type", "confidence"}
        assert onset["type"] == LANES[onset["lane"]][0]
        assert 0 <= onset["time"] <= SECONDS
        assert 0 < onset["confidence"] <= 1
    assert [onset["time"] for onset in onsets] == sorted(onset["time"] for onset in onsets)


def test_midi_has_a_note_of_the_right_lane_for_each_onset(game: Game, played: tuple[Any, dict[str, Any]]) -> None:
    results = played[1]["results"]
    answer = httpx.get(results["midi_url"])
    assert answer.headers["content-type"] == "audio/midi"
    now, hits = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(answer.content)):
        now += message.time
        if message.type == "note_on" and message.velocity:
            hits.append((now, message.note))
    assert len(hits) == len(results["onsets"])
    for (at, _), onset in zip(sorted(hits), results["onsets"], strict=True):
        assert at == pytest.approx(onset["time"], abs=0.005)
    notes = {note for _, note in hits}
    assert notes <= set().union(*(LANES[onset["lane"]][1] for onset in results["onsets"]))


@pytest.mark.parametrize(
    ("public", "scheme", "root", "base"),
    [
        (None, "http", "", "http://drums.local:8001"),
        (None, "wss", "/doors/drumalong", "https://drums.local:8001/doors/drumalong"),
        ("https://drums.example.org/game", "http", "/doors/drumalong", "https://drums.example.org/game"),
    ],
)
def test_links_begin_with_what_was_asked_or_what_the_operator_says(
    public: str | None, scheme: str, root: str, base: str
) -> None:
    app = FastAPI()
    app.state.drumalong = Settings(public_url=public)
    headers = [(b"host", b"drums.local:8001")]
    kind = "websocket" if scheme.startswith("ws") else "http"
    scope = {"type": kind, "app": app, "scheme": scheme, "root_path": root, "path": f"{root}/x", "headers": headers}
    assert _base(HTTPConnection(scope | {"query_string": b"", "server": ("127.0.0.1", 1)})) == base


# ---- known songs -----------------------------------------------------------------------------------------------------


def test_same_bytes_are_complete_at_once(game: Game, song: Path, played: tuple[Any, dict[str, Any]]) -> None:
    answer = game.process(song, field="audio").json()
    assert (answer["status"], answer["cached"]) == ("complete", True)
    assert answer["results"] == played[1]["results"]
    assert stages(game.follow(f"{game.url.replace('http', 'ws')}/api/v1/ws/{answer['job_id']}")) == [
        "hashing",
        "complete",
    ]


def test_same_song_as_flac_is_one_song(
    game: Game, song: Path, played: tuple[Any, dict[str, Any]], tmp_path: Path
) -> None:
    answer = game.process(as_flac(song, tmp_path)).json()
    messages = game.follow(answer["websocket_url"])
    assert stages(messages) == ["hashing", "complete"]
    assert messages[-1]["cached"] is True
    status = game.status(answer["job_id"])
    assert status["cached"] is True
    assert status["results"] == played[1]["results"]
    [row] = [
        one for one in game.http.get("/api/v1/songs").json() if one["audio_hash"] == status["results"]["audio_hash"]
    ]
    assert row.keys() == {
        *("id", "audio_hash", "original_filename", "original_format", "duration_seconds", "sample_rate", "bpm"),
        *("onset_count", "created_at", "processing_time_seconds"),
    }
    assert (row["duration_seconds"], row["sample_rate"], row["original_format"]) == (SECONDS, RATE, "wav")
    assert isinstance(row["id"], int)
    assert row["processing_time_seconds"] > 0


def test_door_under_its_name_gives_links_under_its_name(inner: Game, song: Path, played: Any) -> None:
    results = inner.process(song).json()["results"]
    assert results["drums_url"].startswith(f"{inner.url}/api/v1/files/drums/")
    plain = httpx.get(results["drums_url"], headers={"Range": "bytes=0-3", "Accept-Encoding": "gzip"})
    assert (plain.status_code, plain.content) == (206, b"RIFF")
    assert inner.http.get("/health").json()["status"] == "ok"


# ---- those who come late, poll, or lose the line ---------------------------------------------------------------------


def test_who_polls_sees_percent_grow_to_the_results(game: Game, tmp_path: Path) -> None:
    answers = game.poll(game.process(fresh(tmp_path, 31)).json()["job_id"])
    percents = [answer["progress_percent"] for answer in answers]
    assert percents == sorted(percents)
    assert answers[-1]["status"] == "complete"
    assert all("results" not in answer for answer in answers[:-1])


def test_lost_line_is_taken_up_again(inner: Game, tmp_path: Path) -> None:
    answer = inner.process(fresh(tmp_path, 32, seconds=4.0)).json()
    assert inner.follow(answer["websocket_url"], most=1)[0]["stage"] == "hashing"
    assert stages(inner.follow(answer["websocket_url"])) == [*RANGES]
    assert stages(inner.follow(answer["websocket_url"])) == [*RANGES]  # after the end too


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def test_uploads_that_cannot_be_are_refused_with_a_detail(game: Game, tmp_path: Path) -> None:
    text = tmp_path / "song.mp3"
    text.write_text("la la la")
    empty = tmp_path / "empty.wav"
    empty.touch()
    large = tmp_path / "large.wav"
    large.write_bytes(b"RIFF" + bytes(MOST))
    for path, status in ((text, 415), (empty, 422), (large, 413)):
        answer = game.process(path)
        assert answer.status_code == status
        assert isinstance(answer.json()["detail"], str)
        assert str(tmp_path) not in answer.text
    assert game.http.post("/api/v1/process", files={"title": (None, "x")}).status_code == 422
    bare = game.http.post("/api/v1/process", content=b"RIFF")
    assert (bare.status_code, bare.json()["detail"]) == (415, "send multipart/form-data with the file")


def test_song_that_cannot_be_read_fails_and_says_why(server: Server, game: Game, tmp_path: Path) -> None:
    path = tmp_path / "broken.flac"
    path.write_bytes(b"fLaC" + np.random.default_rng(0).bytes(20_000))
    answer = game.process(path).json()
    messages = game.follow(answer["websocket_url"])
    assert messages[-1]["stage"] == "failed"
    status = game.status(answer["job_id"])
    assert status["status"] == "failed"
    assert status["error_message"] == messages[-1]["message"]
    assert str(server.data) not in json.dumps([status, messages])
    assert "Traceback" not in json.dumps([status, messages])


@pytest.mark.parametrize("wrong", ["unknown", "x" * 300, "..%2f..%2fetc%2fpasswd", "0" * 64, "ä"])
def test_what_is_not_there_is_not_found(game: Game, wrong: str) -> None:
    for path in ("status/{}", "files/drums/{}.wav", "files/midi/{}.mid", "files/onsets/{}.json"):
        answer = game.http.get(f"/api/v1/{path.format(wrong)}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert answer.json()["detail"]
    assert game.http.delete(f"/api/v1/songs/{wrong}").status_code == 404


def test_socket_of_an_unknown_job_says_so_and_closes(game: Game) -> None:
    with connect(f"{game.url.replace('http', 'ws')}/api/v1/ws/unknown") as socket:
        assert json.loads(socket.recv(timeout=30)) == {
            "stage": "failed",
            "progress": 0,
            "message": "there is no such job",
        }
        with pytest.raises(ConnectionClosed, match="4404"):
            socket.recv(timeout=30)


def test_hostile_name_is_shown_and_never_a_path(server: Server, game: Game, tmp_path: Path) -> None:
    refused = game.process(fresh(tmp_path, 33), name='../../"evil"\r\n\u202e.wav')
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")  # no name holds control characters
    answer = game.process(fresh(tmp_path, 33), name='../../"evil"\u202e.wav').json()
    results = game.poll(answer["job_id"])[-1]["results"]
    assert results["original_filename"].startswith('"evil"')
    assert httpx.get(results["drums_url"]).status_code == 200
    assert not list(server.data.parent.rglob("*evil*"))


# ---- pages elsewhere -------------------------------------------------------------------------------------------------


def test_web_build_on_a_listed_origin_may_come_and_others_may_not(game: Game, song: Path, played: Any) -> None:
    allowed = game.http.get("/api/v1/songs", headers={"Origin": ORIGIN})
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-origin" not in game.http.get("/health", headers={"Origin": "https://a.org"}).headers
    job_id = game.process(song).json()["job_id"]
    url = f"{game.url.replace('http', 'ws')}/api/v1/ws/{job_id}"
    with connect(url, origin=Origin(ORIGIN)) as socket:
        assert json.loads(socket.recv(timeout=30))["stage"] == "hashing"
    with pytest.raises(InvalidStatus), connect(url, origin=Origin("https://a.org")):
        pass
    with song.open("rb") as file:
        refused = game.http.post("/api/v1/process", files={"file": file}, headers={"Origin": "https://a.org"})
    assert refused.status_code == 403


# ---- deleting --------------------------------------------------------------------------------------------------------


def test_deleted_song_is_gone_in_all_its_files_and_can_come_again(server: Server, game: Game, tmp_path: Path) -> None:
    path = fresh(tmp_path, 34)
    game.poll(game.process(path).json()["job_id"])
    job = game.process(as_flac(path, tmp_path)).json()
    results = game.poll(job["job_id"])[-1]["results"]
    url = f"/api/v1/songs/{results['audio_hash']}"
    song_id = next(
        one["id"] for one in server.http.get("/api/v1/songs").json()["items"] if one["file_name"] == "34.wav"
    )
    busy = server.http.post("/api/v1/jobs", json={"song_id": song_id, "stems": ["vocals"], "analysis": False}).json()
    assert game.http.delete(url).status_code == 409
    server.wait(busy["id"])
    assert game.http.delete(url).json() == {"status": "deleted", "audio_hash": results["audio_hash"]}
    assert game.http.delete(url).status_code == 404
    assert httpx.get(results["drums_url"]).status_code == httpx.get(results["midi_url"]).status_code == 404
    assert results["audio_hash"] not in game.http.get("/api/v1/songs").text
    assert game.http.get(f"/api/v1/status/{job['job_id']}").status_code == 404
    assert game.poll(game.process(path).json()["job_id"])[-1]["cached"] is False
