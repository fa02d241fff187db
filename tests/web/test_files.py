"""Files of a song over HTTP: every format, encoded once; mixes that hold what was asked for."""

from __future__ import annotations

import io
import math
import socket
import time
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pytest
import scipy.signal

from sounds import Samples, level_db, read
from stemwright.engine.channel_strip import ChannelStrip
from web.answers import RATE, SECONDS, Prepared, problem_of, wrong_fields

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("flac", "wav", "mp3", "opus", "m4a", "wav24", "wav32f", "alac16", "alac24")
MEDIA = {
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "m4a": "audio/mp4",
    "alac16": "audio/mp4",
    "alac24": "audio/mp4",
}


def has_all_samples(samples: Samples, *, rate: int = RATE, block: int = 1) -> bool:
    """Whether it is as long as the song; ffmpeg 5 does not cut AAC's last block to where the edit list ends."""
    exact = round(SECONDS * rate)
    return samples.shape[0] == 2 and samples.shape[1] in {exact, math.ceil(exact / block) * block}


def samples_of(content: bytes, folder: Path) -> Samples:
    path = folder / "answer"
    path.write_bytes(content)
    return read(path, channels=2)


@pytest.mark.parametrize("token", FORMATS)
def test_stem_in_any_format_has_all_its_samples_and_is_encoded_once(
    prepared: Prepared, token: str, tmp_path: Path
) -> None:
    first = prepared.server.http.get(prepared.stem(f"vocals.{token}"))
    assert first.status_code == 200
    assert first.headers["content-type"] == MEDIA.get(token, "audio/wav")
    rate = 48_000 if token == "opus" else RATE
    block = 1024 if token == "m4a" else 1
    assert has_all_samples(samples_of(first.content, tmp_path), rate=rate, block=block)

    objects = prepared.server.objects()
    again = prepared.server.http.get(prepared.stem(f"vocals.{token}"))
    assert again.headers["etag"] == first.headers["etag"]
    assert again.content == first.content
    assert prepared.server.objects() == objects
    unchanged = prepared.server.http.get(
        prepared.stem(f"vocals.{token}"), headers={"If-None-Match": first.headers["etag"]}
    )
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_parts_of_a_file_make_the_whole(prepared: Prepared) -> None:
    http, url = prepared.server.http, prepared.stem("drums.flac")
    whole = http.get(url)
    third = len(whole.content) // 3
    parts = [
        http.get(url, headers={"Range": f"bytes={a}-{b}"})
        for a, b in ((0, third - 1), (third, 2 * third), (2 * third + 1, ""))
    ]
    assert {part.status_code for part in parts} == {206}
    assert b"".join(part.content for part in parts) == whole.content
    outside = problem_of(http.get(url, headers={"Range": f"bytes={len(whole.content)}-"}), 416, "bad_range")
    assert outside["title"]
    assert http.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).content == whole.content


@pytest.mark.parametrize("file", ["stems/vocals.flac", "peaks/vocals.dat", "stems.zip", "peaks/mix.dat"])
def test_head_says_what_get_would(prepared: Prepared, file: str) -> None:
    url = f"{prepared.url}/{file}"
    head, full = prepared.server.http.head(url), prepared.server.http.get(url)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "content-disposition"):
        assert head.headers[name] == full.headers[name]
    assert head.headers.get("etag") == full.headers.get("etag")
    assert int(head.headers["content-length"]) == len(full.content)


def test_files_are_called_as_the_song_whatever_is_in_its_title(prepared: Prepared) -> None:
    answer = prepared.server.http.head(prepared.stem("vocals.flac"))
    name = unquote(answer.headers["content-disposition"].partition("filename*=UTF-8''")[2])
    assert name == "Grüße „aus” Zürich - vocals.flac"
    zipped = prepared.server.http.head(f"{prepared.url}/stems.zip").headers["content-disposition"]
    assert zipped.startswith("attachment;")


def test_zip_of_mp3_has_the_length_that_was_announced(prepared: Prepared, tmp_path: Path) -> None:
    answer = prepared.server.http.get(f"{prepared.url}/stems.zip", params={"format": "mp3"})
    assert len(answer.content) == int(answer.headers["content-length"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {*archive.namelist()} == {"vocals.mp3", "drums.mp3", "bass.mp3", "other.mp3", "receipt.json"}
        assert has_all_samples(samples_of(archive.read("bass.mp3"), tmp_path))


def test_stem_mp4_holds_mix_and_four_stems(prepared: Prepared, tmp_path: Path) -> None:
    answer = prepared.server.http.get(f"{prepared.url}/song.stem.mp4")
    assert answer.headers["content-type"] == "audio/mp4"
    assert answer.content.count(b"trak") == 5
    assert b"stem" in answer.content
    assert has_all_samples(samples_of(answer.content, tmp_path), block=1024)


def stems_of(prepared: Prepared, folder: Path) -> dict[str, Samples]:
    urls = prepared.job["result"]["stems"]
    return {name: samples_of(prepared.server.http.get(url).content, folder) for name, url in urls.items()}


def mix(prepared: Prepared, folder: Path, token: str = "wav32f", **query: Any) -> Samples:
    answer = prepared.server.http.get(f"{prepared.url}/mix.{token}", params=query)
    assert answer.status_code == 200, answer.text
    assert float(answer.headers["stemwright-gain-db"]) == 0
    return samples_of(answer.content, folder)


def test_mix_without_gains_is_the_song(prepared: Prepared, tmp_path: Path) -> None:
    assert level_db(mix(prepared, tmp_path) - prepared.samples, prepared.samples) < -60


def test_mix_turns_stems_down_and_mutes_them(prepared: Prepared, tmp_path: Path) -> None:
    stems = stems_of(prepared, tmp_path)
    wanted = 10 ** (-6 / 20) * stems["vocals"] + stems["other"] + 10 ** (-20 / 20) * stems["bass"]
    mixed = mix(prepared, tmp_path, vocals="-6", bass="-20", drums="mute")
    assert level_db(mixed - wanted, wanted) < -60


def test_mix_pans_and_equalises(prepared: Prepared, tmp_path: Path) -> None:
    stems = stems_of(prepared, tmp_path)
    low = scipy.signal.sosfilt(ChannelStrip(eq=(6.0, 0.0, -3.5)).sections(RATE), stems["bass"])
    wanted = stems["vocals"] * np.array([[1.0], [0.25]]) + stems["other"] + low
    mixed = mix(prepared, tmp_path, **{"pan.vocals": "-0.75", "eq.bass": "6,0,-3.5", "drums": "mute"})
    assert level_db(mixed - wanted, wanted) < -60


def test_original_is_the_recording_in_step_with_its_stems_and_made_once(prepared: Prepared, tmp_path: Path) -> None:
    server = prepared.server
    link = server.http.get(prepared.url).json()["links"]["original"]
    assert link == f"{prepared.url}/original.flac"
    first = server.http.get(link)
    assert first.headers["content-type"] == "audio/flac"
    original = samples_of(first.content, tmp_path)
    assert original.shape == prepared.samples.shape
    assert level_db(original - prepared.samples, prepared.samples) < -80
    objects = server.objects()
    part = server.http.get(link, headers={"Range": "bytes=0-99"})
    assert (part.status_code, part.content) == (206, first.content[:100])
    assert server.objects() == objects


def test_mix_of_a_region_is_that_part_of_the_mix(prepared: Prepared, tmp_path: Path) -> None:
    part = mix(prepared, tmp_path, start="0.5", end="1.25", drums="-inf")
    whole = mix(prepared, tmp_path, drums="mute")
    assert level_db(part - whole[:, RATE // 2 : round(1.25 * RATE)], part) < -60


def test_mix_is_sent_whole_and_leaves_nothing(prepared: Prepared) -> None:
    server, objects = prepared.server, prepared.server.objects()
    answer = server.http.get(f"{prepared.url}/mix.mp3?vocals=mute", headers={"Range": "bytes=0-9"})
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["content-length"]) > 1000
    assert answer.headers["cache-control"] == "no-store"
    assert server.objects() == objects
    end = time.monotonic() + 30
    while [*server.data.rglob("mix-*")]:  # removed when the last byte has been sent
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    "query",
    [
        *("vocals=loud", "vocals=nan", "vocals=25", "vocals=-101", "vocals=inf", "vocals=-1&vocals=-2"),
        *("pan.vocals=1.1", "pan.vocals=nan", "pan.vocals=left", "pan.vocals="),
        *("eq.vocals=1,2", "eq.vocals=1,2,3,4", "eq.vocals=0,0,13", "eq.vocals=0,-25,0", "eq.vocals=a,b,c"),
    ],
)
def test_setting_that_is_none_is_422_and_named(prepared: Prepared, query: str) -> None:
    name = f"query.{query.partition('=')[0]}"
    assert wrong_fields(prepared.server.http.get(f"{prepared.url}/mix.flac?{query}")) == {name}


@pytest.mark.parametrize("query", ["start=2&end=1", "start=3", "start=99", "start=-1", "end=x"])
def test_region_outside_the_song_is_422(prepared: Prepared, query: str) -> None:
    assert prepared.server.http.get(f"{prepared.url}/mix.flac?{query}").status_code == 422


@pytest.mark.parametrize("path", ["stems/flute.flac", "mix.flac?flute=-6", "mix.flac?pan.flute=0.5"])
def test_unknown_stem_is_422(prepared: Prepared, path: str) -> None:
    assert "vocals" in problem_of(prepared.server.http.get(f"{prepared.url}/{path}"), 422, "unknown_stem")["detail"]


@pytest.mark.parametrize("path", ["stems/vocals.ogg", "stems/vocals", "mix.ogg", "stems.zip?format=ogg"])
def test_unknown_format_is_422(prepared: Prepared, path: str) -> None:
    problem_of(prepared.server.http.get(f"{prepared.url}/{path}"), 422, "invalid")


@pytest.mark.parametrize(
    "path", ["peaks/flute.dat", "stems/vocals.flac?separation=none", "receipt?separation=none", "notes/x.mid"]
)
def test_what_is_not_there_is_404(prepared: Prepared, path: str) -> None:
    problem_of(prepared.server.http.get(f"{prepared.url}/{path}"), 404, "not_found")


def test_mix_that_nobody_waits_for_any_more_is_not_made(prepared: Prepared) -> None:
    server = prepared.server
    place = f"/api/v1/songs/{prepared.job['song_id']}/mix.mp3?vocals=-1"
    host, port = server.url.removeprefix("http://").split(":")
    for number in range(6):
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(f"GET {place}&drums=-{number} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    end = time.monotonic() + 60
    while left := list((server.data / "incoming").iterdir()):
        assert time.monotonic() < end, left
        time.sleep(0.1)
    assert server.http.get(place).status_code == 200


def test_stem_that_only_another_separation_has_is_found_there(prepared: Prepared) -> None:
    server, song = prepared.server, prepared.job["song_id"]
    some = server.http.post("/api/v1/jobs", json={"song_id": song, "stems": ["vocals"], "analysis": False}).json()
    done = server.wait(some["id"])
    assert list(done["result"]["stems"]) == ["vocals"]
    assert server.http.get(f"/api/v1/songs/{song}").json()["separation"] == done["result"]["separation"]
    whole = server.http.get(f"/api/v1/songs/{song}/stems/drums.flac")
    assert whole.content == server.http.get(prepared.job["result"]["stems"]["drums"]).content
    named = f"/api/v1/songs/{song}/stems/drums.flac?separation={done['result']['separation']}"
    problem_of(server.http.get(named), 422, "unknown_stem")
    server.wait(server.http.post("/api/v1/jobs", json={"song_id": song, "analysis": False}).json()["id"])
