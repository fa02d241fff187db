"""A server's data are for its user alone, however the folder was made; the command line writes as the umask says."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.command import STEMWRIGHT
from server import running
from sounds import sound, write_wav
from stemwright.app.settings import Settings
from stemwright.app.storage_settings import ObjectStorage
from stemwright.app.wiring import open_store
from stemwright.disk import make_as_open_as, make_private

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


def open_to_others(folder: Path) -> dict[str, str]:
    """What below a folder others may read or write, with its mode."""
    paths = [folder, *folder.rglob("*")]
    return {str(path): oct(path.lstat().st_mode) for path in paths if stat.S_IMODE(path.lstat().st_mode) & 0o077}


@pytest.fixture
def umask_000() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask_000")
def test_nothing_of_a_studio_is_for_others_whatever_the_umask(tmp_path: Path) -> None:
    """As found: umask 000 gave `objects` 0777; siblings: Mismo's folders, temporary files, receipts."""
    library = tmp_path / "library"
    library.mkdir()
    song = write_wav(library / "song.wav", sound("song", seconds=2))
    with running(tmp_path / "data", STEMWRIGHT_MISMO_LIBRARY=str(library)) as server:
        job = server.wait(server.submit(song, model="sketch", analysis="false")["id"])
        assert job["status"] == "succeeded"
        for name in ("vocals.mp3", "drums.wav"):
            assert server.http.get(f"/api/v1/songs/{job['song_id']}/stems/{name}").status_code == 200
        wish = {"file_path": str(song), "track_hash": "a1b2", "options": {"stems": True}}
        answer = server.http.post("/doors/mismo/jobs", json=wish)
        assert answer.status_code in {200, 202}, answer.text
        until = time.monotonic() + 60
        while not (made := [*server.data.rglob("stems.json")]) and time.monotonic() < until:
            time.sleep(0.2)
        assert made
        assert not open_to_others(server.data)
    assert (tmp_path / "data" / "objects").is_dir()
    assert not open_to_others(tmp_path / "data")


def test_data_folder_that_was_open_is_closed_with_a_line_for_each(tmp_path: Path) -> None:
    """As found: a folder made before with 0755 left the database and the stems readable by everybody."""
    data = tmp_path / "data"
    for name, mode in (("", 0o755), ("objects", 0o777), ("mismo", 0o755), ("temp", 0o775)):
        (data / name).mkdir()
        (data / name).chmod(mode)
    (data / "studio.db").touch(mode=0o644)
    (data / "studio.db").chmod(0o644)
    with running(data) as server:
        log = server.log.read_text()
        assert not {path: mode for path, mode in open_to_others(data).items() if path != str(server.log)}
    told = [line for line in log.splitlines() if "others could read this" in line]
    for name, had in ((str(data), "0755"), ("objects", "0777"), ("mismo", "0755"), ("studio.db", "0644")):
        assert any(name in line and had in line for line in told), (name, told)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user can reach."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def nobody(folder: Path) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("becomes another user, which only root can")
    (folder / "db").touch(mode=0o644)
    folder.chmod(0o755)
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


@pytest.mark.usefixtures("nobody")
def test_open_folder_of_another_user_is_refused(folder: Path) -> None:
    with pytest.raises(PermissionError) as caught:
        make_private(folder)
    assert caught.value.filename == str(folder)


@pytest.mark.usefixtures("umask_000")
def test_folder_of_objects_elsewhere_is_for_its_user_alone(tmp_path: Path) -> None:
    """Sibling: a folder that is there already."""
    (tmp_path / "results").mkdir(mode=0o777)
    open_store(Settings(data=tmp_path, storage=ObjectStorage(url=f"file://{tmp_path / 'results'}")))
    assert not open_to_others(tmp_path / "results")


@pytest.mark.parametrize(
    ("around", "inside", "file"), [(0o700, 0o700, 0o600), (0o755, 0o755, 0o644), (0o750, 0o750, 0o640)]
)
def test_folder_for_another_program_is_as_open_as_the_one_around_it(
    around: int, inside: int, file: int, tmp_path: Path
) -> None:
    made = tmp_path / "jobs" / "a1b2"
    (made / "stems").mkdir(parents=True)
    for path in (made / "stems.json", made / "stems" / "vocals.wav"):
        path.touch(mode=0o600)
    (tmp_path / "secret").touch(mode=0o600)
    (made / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "jobs").chmod(around)
    make_as_open_as(made, tmp_path / "jobs")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (made, *made.rglob("*"))}
    assert modes == {"a1b2": inside, "stems": inside, "stems.json": file, "vocals.wav": file, "link": 0o600}


@pytest.mark.parametrize(
    ("umask", "file", "inside"), [("022", 0o644, 0o755), ("077", 0o600, 0o700), ("002", 0o664, 0o775)]
)
def test_command_line_writes_as_the_user_s_umask_says(umask: str, file: int, inside: int, tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("song", seconds=1))
    words = (
        f"umask {umask}; exec {STEMWRIGHT[0]} -m stemwright separate {song} --model sketch --drums -o {tmp_path}/out"
    )
    subprocess.run(["bash", "-c", words], check=True, capture_output=True)
    made = list((tmp_path / "out" / "song").iterdir())
    assert len(made) > 5
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in made} == {path.name: file for path in made}
    assert stat.S_IMODE((tmp_path / "out" / "song").stat().st_mode) == inside
