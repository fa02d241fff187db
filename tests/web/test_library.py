"""The library over HTTP: find, sort, rename, delete songs; import stems and MIDI."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from sounds import level_db, read, sound, write_wav
from web.answers import Prepared, problem_of, wrong_fields

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from server import Server

MIDI = b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x01\xe0MTrk\x00\x00\x00\x04\x00\xff\x2f\x00"
TITLES = ("100% Gold", "snake_case", "snakeXcase", 'Don\'t "stop"', "Überschall", "back\\slash", "naïve 東京")


def wav(folder: Path, *, seconds: float = 0.3, seed: int = 0) -> bytes:
    return write_wav(folder / "x.wav", sound("noise", seconds=seconds, seed=seed), bits=16).read_bytes()


def import_song(server: Server, files: list[tuple[str, bytes]], **fields: str) -> httpx.Response:
    return server.http.post("/api/v1/songs", files=[("files", file) for file in files], data=fields)


@pytest.fixture(scope="module")
def tag(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The artist of some songs with odd titles."""
    folder, name = tmp_path_factory.mktemp("titles"), f"artist {uuid.uuid4().hex}"
    for number, title in enumerate(TITLES):
        files = [("vocals.wav", wav(folder, seed=100 + number, seconds=0.3 + number / 10))]
        assert import_song(server, files, title=title, artist=name).status_code == 201
    return name


def titles(server: Server, **query: Any) -> list[str]:
    answer = server.http.get("/api/v1/songs", params=query)
    assert answer.status_code == 200, answer.text
    return [song["title"] for song in answer.json()["items"]]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("100%", ["100% Gold"]),
        ("%", ["100% Gold"]),
        ("snake_case", ["snake_case"]),
        ("SNAKE", ["snake_case", "snakeXcase"]),
        ("don't", ['Don\'t "stop"']),
        ('"stop"', ['Don\'t "stop"']),
        ("überSCHALL", ["Überschall"]),
        ("\\", ["back\\slash"]),
        ("東京", ["naïve 東京"]),
        ("gold 100", ["100% Gold"]),
        ("'; DROP TABLE songs; --", []),
    ],
)
def test_search_takes_every_character_for_itself(server: Server, tag: str, words: str, found: list[str]) -> None:
    assert titles(server, search=f"{tag} {words}", sort="title") == found


@pytest.mark.parametrize("field", ["created_at", "title", "artist", "duration", "used_at"])
def test_songs_are_sorted_both_ways(server: Server, tag: str, field: str) -> None:
    up, down = (titles(server, search=tag, sort=sort) for sort in (field, f"-{field}"))
    assert {*up} == {*down} == {*TITLES}
    if field in {"created_at", "duration"}:
        assert up == [*TITLES]
    if field == "title":
        assert up[:2] == ["100% Gold", "back\\slash"]
    if field != "artist":
        assert up == down[::-1]


def test_pages_make_the_whole_list(server: Server, tag: str) -> None:
    pages = [titles(server, search=tag, sort="title", limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [title for page in pages for title in page] == titles(server, search=tag, sort="title")
    assert server.http.get("/api/v1/songs", params={"search": tag, "limit": 1}).json()["total"] == len(TITLES)


@pytest.mark.parametrize("query", ["sort=size", "limit=201", "offset=-1", f"search={'x' * 201}"])
def test_wrong_question_is_422_and_named(server: Server, query: str) -> None:
    assert wrong_fields(server.http.get(f"/api/v1/songs?{query}")) == {f"query.{query.partition('=')[0]}"}


def test_song_is_renamed_and_found_by_its_new_name(server: Server, tmp_path: Path) -> None:
    song = import_song(server, [("vocals.wav", wav(tmp_path, seed=200))], title="before").json()
    url, name = song["links"]["self"], uuid.uuid4().hex
    changed = server.http.patch(url, json={"title": name})
    assert (changed.json()["title"], changed.json()["artist"]) == (name, "")
    assert server.http.patch(url, json={"artist": "somebody"}).json()["title"] == name
    assert titles(server, search=f"{name} SOMEBODY") == [name]
    assert server.http.patch(url, json={"artist": ""}).json()["artist"] == ""
    assert server.http.patch(url, json={}).json() == server.http.get(url).json()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": "a\nb"}, "title"),
        ({"title": "a\x9b31mb"}, "title"),
        ({"artist": "a\u2028b"}, "artist"),
        ({"title": "a\x00b"}, "title"),
        ({"title": 5}, "title"),
        ({"artist": ["x"]}, "artist"),
        ({"kind": "stems"}, "kind"),
        ([], "body"),
    ],
)
def test_wrong_change_is_422_and_named(prepared: Prepared, change: Any, field: str) -> None:
    assert wrong_fields(prepared.server.http.patch(prepared.url, json=change)) == {field}


def test_change_that_is_no_json_is_refused(prepared: Prepared) -> None:
    http, kind = prepared.server.http, {"Content-Type": "application/json"}
    problem_of(http.patch(prepared.url, content=b'{"title": "\\ud800"}', headers=kind), 400, "malformed")
    problem_of(http.patch(prepared.url, content=b"{", headers=kind), 400, "malformed")
    problem_of(
        http.patch(prepared.url, content=b"{}", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type"
    )
    problem_of(http.patch(prepared.url, json={"title": "x" * 100_000}), 413, "too_large")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_song_that_is_not_there_is_404(server: Server, method: str) -> None:
    body = {"title": "x"} if method == "PATCH" else None
    problem_of(server.http.request(method, "/api/v1/songs/nothing", json=body), 404, "not_found")


def test_song_at_work_is_not_deleted_until_its_job_is_cancelled(server: Server, tmp_path: Path) -> None:
    before = server.objects()
    job = server.submit(write_wav(tmp_path / "long.wav", sound("song", seconds=60, seed=5), bits=16), analysis="0")
    problem_of(server.http.delete(job["links"]["song"]), 409, "conflict")
    assert server.http.get(job["links"]["song"]).json()["state"] in {"queued", "running"}
    problem_of(server.http.get(f"{job['links']['song']}/stems/vocals.flac"), 409, "conflict")
    server.http.delete(job["links"]["self"])
    assert server.http.delete(job["links"]["song"]).status_code == 204
    assert server.objects() == before


def test_imported_stems_are_a_song_that_can_be_heard_and_mixed(server: Server, tmp_path: Path) -> None:
    content = wav(tmp_path, seed=300)
    samples = read(tmp_path / "x.wav", channels=2)
    answer = import_song(server, [("Lead Vox.wav", content), ("drums.wav", wav(tmp_path, seed=301))], title="mine")
    song = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, song["links"]["self"])
    assert (song["kind"], song["state"], song["model"]) == ("stems", "ready", "imported")
    stems = song["separations"][0]["stems"]
    assert len(stems) == 2
    assert all(" " not in stem[link] for stem in stems for link in ("url", "peaks"))
    got = tmp_path / "got.flac"
    got.write_bytes(server.http.get(next(stem["url"] for stem in stems if "ox" in stem["name"])).content)
    assert level_db(read(got, channels=2) - samples, samples) < -60
    assert server.http.get(song["links"]["mix"]).status_code == 200
    problem_of(server.http.post("/api/v1/jobs", json={"song_id": song["id"]}), 409, "conflict")
    again = import_song(server, [("drums.wav", wav(tmp_path, seed=301)), ("Lead Vox.wav", content)])
    assert again.json()["id"] == song["id"]


def test_midi_comes_with_an_import_and_later_and_is_given_back(server: Server, tmp_path: Path) -> None:
    song = import_song(server, [("vocals.wav", wav(tmp_path, seed=310)), ("drums.mid", MIDI)]).json()
    assert [note["name"] for note in song["notes"]] == ["drums.mid"]
    url = f"{song['links']['self']}/notes"
    added = server.http.post(url, files=[("files", ("Süß & laut.MIDI", MIDI + b"x"))])
    assert added.status_code == 201
    assert sorted(note["name"] for note in added.json()["notes"]) == ["Süß & laut.mid", "drums.mid"]
    for note in added.json()["notes"]:
        answer = server.http.get(note["url"])
        assert answer.headers["content-type"] == "audio/midi"
        assert answer.content.startswith(MIDI)
        assert int(server.http.head(note["url"]).headers["content-length"]) == note["size_bytes"]
    replaced = server.http.post(url, files=[("files", ("drums.mid", MIDI + b"yy"))]).json()
    assert len(replaced["notes"]) == 2
    assert server.http.get(f"{url}/drums.mid").content == MIDI + b"yy"


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ([("vocals.wav", b"no sound at all" * 50)], 415, "not_audio"),
        ([("drums.mid", MIDI)], 422, "bad_option"),
        ([("a.mid", b"MThd but not really"), ("vocals.wav", None)], 415, "not_audio"),
        ([("vocals.wav", None), ("vocals.wav", None)], 422, "bad_option"),
    ],
)
def test_import_that_cannot_be_is_refused_and_leaves_nothing(
    server: Server, tmp_path: Path, files: list[tuple[str, bytes | None]], status: int, code: str
) -> None:
    before = server.objects(), server.http.get("/api/v1/songs").json()["total"]
    filled = [
        (name, wav(tmp_path, seed=320 + n) if content is None else content) for n, (name, content) in enumerate(files)
    ]
    problem_of(import_song(server, filled), status, code)
    assert (server.objects(), server.http.get("/api/v1/songs").json()["total"]) == before


def test_import_names_its_wrong_fields(server: Server, tmp_path: Path) -> None:
    files = [("vocals.wav", wav(tmp_path, seed=330))]
    assert wrong_fields(import_song(server, files, title="x" * 301, colour="red")) == {"title", "colour"}
    assert wrong_fields(import_song(server, [(f"{n}.wav", b"x") for n in range(33)])) == {"files"}


def test_notes_that_are_none_are_refused(prepared: Prepared) -> None:
    url = f"{prepared.url}/notes"
    problem_of(prepared.server.http.post(url, files=[("files", ("a.mid", b"nothing"))]), 415, "not_audio")
    problem_of(prepared.server.http.post(url, files=[("files", ("a.txt", MIDI))]), 415, "not_audio")
    assert wrong_fields(prepared.server.http.post(url, files=[("x", (None, "y"))])) == {"files"}
    problem_of(prepared.server.http.post(url, files=[("files", ("a.mid", bytes(11_000_000)))]), 413, "too_large")
    missing = prepared.server.http.post("/api/v1/songs/nothing/notes", files=[("files", ("a.mid", MIDI))])
    problem_of(missing, 404, "not_found")
