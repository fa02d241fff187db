"""Control characters are refused at every entrance, names are decoded once, and secrets in addresses are not told."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from doors.stemset.hostile import Answers, answering
from server import Server, running
from sounds import sound, write_wav
from stemwright.app.settings import SettingsError, load_settings
from stemwright.audio.ffmpeg import find_ffmpeg
from stemwright.errors import NotFoundError, StorageUnavailableError
from stemwright.studio.fetch import fetch_upload
from stemwright.studio.store.objects import ObjectStore, Storage
from stemwright.words import has_controls, plain, without_secrets
from web.answers import problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTROLS = ["\x00", "\n", "\r", "\x1b[2J", "\x7f", "\x9b31m"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("words")
    music = folder / "music"
    music.mkdir()
    write_wav(music / "fine.wav", sound("sine", seconds=0.3))
    write_wav(music / "not\nfine.wav", sound("sine", seconds=0.3))
    own = {"STEMWRIGHT_MISMO_LIBRARY": str(music)}
    engine = "ws://127.0.0.1:9/ws?token=of-the-engine"
    with running(folder / "data", STEMWRIGHT_MISMO_ENGINE_URL=engine, **own) as server:
        yield server


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("wss://dj:pw@h/ws", "wss://***@h/ws"),
        ("'http://u:p@ss@h:1/a?b=c' and s3://k@b", "'http://***@h:1/a?***' and s3://***@b"),
        ("ws://h/ws#token=1", "ws://h/ws?***"),
        ("nothing of that kind: a@b?c", "nothing of that kind: a@b?c"),
    ],
)
def test_addresses_lose_their_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize("mark", CONTROLS)
def test_controls_are_found_and_taken_out(mark: str) -> None:
    assert has_controls(f"a{mark}b")
    assert not has_controls(plain(f"a{mark}b"))
    assert plain("\u202egnp.exe\u2066") == "gnp.exe"
    assert plain("Grüße 👨‍👩‍👧 \u200d") == "Grüße 👨‍👩‍👧 \u200d"


@pytest.mark.parametrize("entrance", ["/api/v1/jobs", "/api/v1/songs", "/doors/demucs-web/api/upload"])
@pytest.mark.parametrize("name", ["a%0Ab.wav", "a%0D.wav", "a\x1b[2Jb.wav", "a\x9b31m.wav", "*a%0Ab.wav", "*a%1B.wav"])
def test_upload_whose_name_holds_control_characters_is_refused(server: Server, entrance: str, name: str) -> None:
    field = f"filename*=utf-8''{name[1:]}" if name[0] == "*" else f'filename="{name}"'
    head = f'--x\r\nContent-Disposition: form-data; name="audio_file"; {field}\r\n\r\n'.encode()
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = server.http.post(entrance, content=head + b"RIFF\r\n--x--\r\n", headers=kind)
    assert answer.status_code in {400, 422}, answer.text
    assert "control characters" in answer.text
    assert list((server.data / "incoming").iterdir()) == []


@pytest.mark.parametrize("name", ["100%2525.wav", "*100%252525.wav"])
def test_name_of_an_upload_is_decoded_once(server: Server, tmp_path: Path, name: str) -> None:
    """`%25` is what some clients make of `%` in `filename*`; a plain `filename` is what it says."""
    song = write_wav(tmp_path / "a.wav", sound("sine", seconds=0.3, seed=len(name)))
    field = f"filename*=utf-8''{name[1:]}" if name[0] == "*" else f'filename="{name}"'
    head = f'--x\r\nContent-Disposition: form-data; name="file"; {field}\r\n\r\n'.encode()
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    body = head + song.read_bytes() + f"{len(name)}".encode() + b"\r\n--x--\r\n"
    job = server.http.post("/api/v1/jobs", content=body, headers=kind).json()
    assert server.http.get(job["links"]["song"]).json()["file_name"] == "100%2525.wav"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/songs?search=a%0Ab",
        "/api/v1/songs?search=%1b%5b2J",
        "/api/v1/songs?search=%C2%9B",
        "/api/v1/songs/%0d%0aSet-Cookie:a",
        "/api/v1/jobs/%7f",
        "/doors/mismo/api/tracks?search=%00",
        "/doors/drumalong/api/v1/status/%0A",
    ],
)
def test_address_that_holds_control_characters_is_refused(server: Server, path: str) -> None:
    problem_of(server.http.get(path), 400, "malformed")


def test_tags_come_in_as_plain_lines(server: Server, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", sound("sine", seconds=0.4, seed=9))
    song = tmp_path / "tagged.flac"
    tags = ["-metadata", "title=So\x1b[2Jdium\nx", "-metadata", "artist=\x9b31mred\u202e"]
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", source, *tags, song], check=True)
    job = server.wait(server.submit(song, separate="false")["id"])
    found = server.http.get(job["links"]["song"]).json()
    assert (found["title"], found["artist"]) == ("So [2Jdium x", "31mred")


def test_files_of_the_library_with_control_characters_are_not_there(server: Server) -> None:
    door = f"{server.url}/doors/mismo"
    httpx.post(f"{door}/api/library/scan").raise_for_status()
    tracks = httpx.get(f"{door}/api/tracks").json()["tracks"]
    assert [track["relative_path"] for track in tracks] == ["fine.wav"]
    body: dict[str, Any] = {"track_hash": "a", "options": {"stems": True}, "priority": "low"}
    path = str(server.data.parent / "music" / "not\nfine.wav")
    assert httpx.post(f"{door}/jobs", json=body | {"file_path": path}).status_code == 404


def test_token_of_the_engine_is_not_logged(server: Server) -> None:
    text = server.log.read_text()
    assert "no connection to the audio engine" in text
    assert "ws://127.0.0.1:9/ws?***" in text
    assert "of-the-engine" not in text


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STEMWRIGHT_MISMO_ENGINE_URL", "ws://dj:open-sesame@engine:8080"),
        ("STEMWRIGHT_MODEL_MIRROR", "ftp://me:open-sesame@mirror.example.org"),
        ("STEMWRIGHT_STORAGE_URL", "https://key:open-sesame@bucket.example.org"),
        ("STEMWRIGHT_DRUMALONG_PUBLIC_URL", "https://drums.example.org/?key=open-sesame"),
    ],
)
def test_refused_address_is_told_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert variable in caught.value.message
    assert "open-sesame" not in caught.value.message


def test_settings_are_shown_without_the_secrets_of_their_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_MISMO_ENGINE_URL", "ws://engine:8080/ws?token=open-sesame")
    monkeypatch.setenv("STEMWRIGHT_MODEL_MIRROR", "https://me:open-sesame@mirror.example.org")
    shown = {one.name: (one.value, one.typed) for one in load_settings().describe()}
    assert "open-sesame" not in str(shown)
    assert shown["mismo.engine_url"] == ("ws://engine:8080/ws?***",) * 2


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a%2520b.wav", "a%20b.wav"),
        ("/%252e%252e%252fetc%252fpasswd", "%2e%2e%2fetc%2fpasswd"),
        ("/a%0A%1Bb.wav", "a b.wav"),
        ("/%2500", "%00"),
    ],
)
def test_name_of_a_fetched_recording_is_decoded_once(tmp_path: Path, path: str, name: str) -> None:
    with answering(Answers({path: b"RIFF"})) as there:
        upload = asyncio.run(fetch_upload(there.url + path, tmp_path, max_bytes=10, allow=("127.0.0.1",)))
    assert upload.name == name


def test_errors_of_a_store_tell_nothing_of_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The attack as it was found: endpoint, bucket and key stood in the answer to the client."""
    for name, value in {
        "AWS_ENDPOINT": "http://127.0.0.1:9",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "AKIAOPENSESAME",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "us-east-1",
        "AWS_MAX_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore(Storage(url="s3://private-bucket/prefix", region="us-east-1"))
    (tmp_path / "a").write_bytes(b"x")
    for work in (
        lambda: store.get("local/uploads/k"),
        lambda: store.put("local/uploads/k", b""),
        lambda: store.put_file(tmp_path / "a", "local/uploads/k"),
        lambda: store.delete(["local/uploads/k"]),
        lambda: list(store.pieces("local/uploads/k")),
    ):
        with pytest.raises(StorageUnavailableError) as caught:
            work()
        for secret in ("127.0.0.1", "private-bucket", "local/", "AKIA"):
            assert secret not in caught.value.message
    assert caplog.records  # the operator is told
    folder = ObjectStore(Storage(url=f"file://{tmp_path / 'objects'}"))
    with pytest.raises(NotFoundError) as missing:
        folder.fetch("local/uploads/k", tmp_path / "b")
    assert "uploads" not in missing.value.message
