from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from sounds import write_wav

if TYPE_CHECKING:
    from pathlib import Path

    from server import Server

BPM = 129.0
Mono: TypeAlias = npt.NDArray[np.float64]


def dance() -> dict[str, Mono]:
    """Sixteen seconds of drums at 129 BPM, and an A minor chord."""
    time = np.arange(16 * 44_100) / 44_100
    noise = np.random.default_rng(1).standard_normal(len(time))
    beat = time % (60 / BPM)
    off = (time + 30 / BPM) % (60 / BPM)
    chord = np.zeros_like(time)
    for hertz in (110.0, 220.0, 261.63, 329.63):
        chord += 0.05 * sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 5))
    return {
        "drums": 0.5 * np.exp(-beat * 25) * np.sin(2 * np.pi * 55 * beat) + 0.1 * np.exp(-off * 80) * noise,
        "other": chord,
    }


def write(path: Path, *parts: Mono) -> Path:
    return write_wav(path, np.stack([sum(parts)] * 2).astype(np.float32))


def is_the_dance(found: dict[str, Any]) -> bool:
    near = [reading == pytest.approx(BPM, rel=0.005) for reading in (found["tempo"]["bpm"], found["tempo"]["octave"])]
    return any(near) and (found["key"]["name"], found["key"]["camelot"]) == ("A minor", "8A")


def test_job_finds_tempo_and_key_of_the_song(server: Server, tmp_path: Path) -> None:
    job = server.wait(server.submit(write(tmp_path / "dance.wav", *dance().values()))["id"])
    assert job["status"] == "succeeded"
    found = server.http.get(f"/api/v1/songs/{job['song_id']}").json()["analysis"]
    assert is_the_dance(found), found
    assert 0 < found["key"]["confidence"] <= 1


def test_import_finds_tempo_and_key_of_the_stems_together(server: Server, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.wav", stem) for name, stem in dance().items()]
    files = [("files", (path.name, path.read_bytes())) for path in paths]
    answer = server.http.post("/api/v1/songs", files=files, data={"title": "Dance"})
    assert answer.status_code == 201, answer.text
    assert is_the_dance(answer.json()["analysis"]), answer.text


def test_song_separated_without_analysis_is_analysed_when_a_later_job_wants_it(server: Server, tmp_path: Path) -> None:
    song = write(tmp_path / "dance2.wav", *dance().values())
    with song.open("ab") as file:  # other bytes after the samples, so that it is a song of its own
        file.write(b"LIST\x04\x00\x00\x00none")
    first = server.wait(server.submit(song, analysis="false")["id"])
    place = f"/api/v1/songs/{first['song_id']}"
    assert server.http.get(place).json()["analysis"] is None
    later = server.wait(server.submit(song)["id"])
    assert later["song_id"] == first["song_id"]
    assert later["result"]["separation"] == first["result"]["separation"]
    assert server.http.get(place).json()["analysis"]["tempo"] is not None
