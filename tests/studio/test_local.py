"""Files of the operator's folders: those and no others are read, and each is read once."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sounds import sound, write_wav
from stemwright.disk import sha256_of
from stemwright.errors import DiskFullError, InputError, JobNotFoundError, TooLargeError
from stemwright.studio import local, songs
from stemwright.studio.local import opened, submit_local
from stemwright.studio.options import JobOptions
from stemwright.studio.store.tables import Song
from stemwright.studio.submit import JobRequest
from studio.shelves import idle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stemwright.studio.studio import Studio

ME = "local"
REQUEST = JobRequest(options=JobOptions(model="sketch"))


@pytest.fixture
def studio(tmp_path: Path, database_url: str) -> Iterator[Studio]:
    with idle(tmp_path, database_url) as studio:
        yield studio


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A song in a folder of the library, and one beside the library."""
    library = tmp_path / "library"
    (library / "album").mkdir(parents=True)
    write_wav(library / "album" / "song.wav", sound("noise", seconds=0.2), bits=16)
    write_wav(tmp_path / "secret.wav", sound("noise", seconds=0.2, seed=1), bits=16)
    return library


def test_file_of_a_listed_folder_is_opened_under_its_own_name(library: Path) -> None:
    path = library / "album" / "song.wav"
    with opened(f"{library}/album/../album/./song.wav", roots=[library]) as found:
        assert (found.path, found.relative_path, found.size_bytes) == (path, "album/song.wav", path.stat().st_size)
        assert found.file.read() == path.read_bytes()


def test_listed_folder_may_itself_be_a_link_and_links_may_lead_within_it(library: Path, tmp_path: Path) -> None:
    (tmp_path / "music").symlink_to(library)
    (library / "favourite.wav").symlink_to("album/song.wav")
    with opened(tmp_path / "music" / "favourite.wav", roots=[tmp_path / "music"]) as found:
        assert found.path == tmp_path / "music" / "album" / "song.wav"


def test_nothing_outside_is_opened_and_nobody_learns_whether_it_is_there(library: Path, tmp_path: Path) -> None:
    (library / "link.wav").symlink_to(tmp_path / "secret.wav")
    (library / "up").symlink_to(tmp_path)
    (library / "loop").symlink_to("loop")
    os.mkfifo(library / "pipe.wav")
    (library / "sealed").mkdir(mode=0)
    (tmp_path / "library-2").mkdir()
    write_wav(tmp_path / "library-2" / "song.wav", sound("noise", seconds=0.1))
    wrong = ["link.wav", "up/secret.wav", "../secret.wav", "loop", "pipe.wav", "album", "", "none.wav", "sealed/x.wav"]
    paths = [f"{library}/{name}" for name in wrong]
    paths += [
        f"{tmp_path}/secret.wav",
        f"{tmp_path}/library-2/song.wav",
        "album/song.wav",
        "/",
        "/" + "a/" * 3000,
        "\0",
    ]
    said = set()
    for path in paths:
        with pytest.raises(JobNotFoundError) as caught, opened(path, roots=[library]):
            pass
        said.add(str(caught.value))
    assert said == {str(local.missing())}
    with pytest.raises(JobNotFoundError), opened(library / "album" / "song.wav", roots=[]):
        pass


def test_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere(library: Path, tmp_path: Path) -> None:
    """An attacker who may write into the library swaps a folder, again and again, while it is being opened."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "song.wav").write_bytes(b"secret")
    album, away, stop = library / "album", library / "away", threading.Event()

    def swap() -> None:
        while not stop.is_set():
            album.rename(away)
            album.symlink_to(tmp_path / "elsewhere")
            album.unlink()
            away.rename(album)

    thread = threading.Thread(target=swap)
    thread.start()
    opens = tries = 0
    try:
        while tries < 3000 or (not opens and tries < 100_000):
            tries += 1
            try:
                with opened(album / "song.wav", roots=[library]) as found:
                    assert found.file.read(4) == b"RIFF"
                    opens += 1
            except JobNotFoundError:
                continue
    finally:
        stop.set()
        thread.join()
    assert opens


def test_file_is_copied_once_and_known_again_until_it_changes(
    studio: Studio, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = library / "album" / "song.wav"
    with opened(path, roots=[library]) as found:
        first, digest = submit_local(studio, found, REQUEST, owner=ME)
    assert digest == sha256_of(path)
    [song] = songs.list_songs(studio, owner=ME, search=None, sort="title", limit=9, offset=0)[0]
    assert (song.id, song.file_name) == (first.song_id, "song.wav")
    with monkeypatch.context() as patch:
        patch.setattr(local, "_copied", None)  # not called
        with opened(path, roots=[library]) as found:
            assert submit_local(studio, found, REQUEST, owner=ME)[0].song_id == first.song_id
    write_wav(path, sound("noise", seconds=0.2, seed=2), bits=16)
    os.utime(path, (1, 1))
    with opened(path, roots=[library]) as found:
        again, changed = submit_local(studio, found, REQUEST, owner=ME)
    assert again.song_id != first.song_id
    assert changed == sha256_of(path) != digest
    assert list(studio.incoming.iterdir()) == []


def test_file_that_several_ask_for_at_once_is_one_song(studio: Studio, library: Path) -> None:
    def ask(_: int) -> str:
        with opened(library / "album" / "song.wav", roots=[library]) as found:
            return str(submit_local(studio, found, REQUEST, owner=ME)[0].song_id)

    with ThreadPoolExecutor(6) as pool:
        assert len({*pool.map(ask, range(12))}) == 1


def test_song_that_the_studio_forgot_is_copied_again(studio: Studio, library: Path) -> None:
    path = library / "album" / "song.wav"
    with opened(path, roots=[library]) as found:
        first, _ = submit_local(studio, found, REQUEST, owner=ME)
    with studio.db.session() as session:
        session.get_one(Song, first.song_id).upload_key = None
    with opened(path, roots=[library]) as found:
        again, _ = submit_local(studio, found, REQUEST, owner=ME)
    with studio.db.session() as session:
        key = session.get_one(Song, again.song_id).upload_key
    assert key
    assert studio.store.get(key) == path.read_bytes()


def test_copy_is_the_studios_own(studio: Studio, library: Path) -> None:
    """A program that writes tags into the file must not change what the studio has."""
    path = library / "album" / "song.wav"
    before = path.read_bytes()
    with opened(path, roots=[library]) as found:
        job, _ = submit_local(studio, found, REQUEST, owner=ME)
    with path.open("r+b") as file:
        file.write(b"XXXX")
    with studio.db.session() as session:
        key = session.get_one(Song, job.song_id).upload_key
    assert studio.store.get(str(key)) == before


def test_file_that_is_too_large_is_not_even_begun(studio: Studio, library: Path) -> None:
    with (library / "large.wav").open("wb") as file:
        file.truncate(1_000_001)
    with opened(library / "large.wav", roots=[library]) as found, pytest.raises(TooLargeError):
        submit_local(studio, found, REQUEST, owner=ME)
    assert list(studio.incoming.iterdir()) == []


@pytest.mark.parametrize("size", [6_000, 60_000], ids=["found when the copy is closed", "found amid the copy"])
def test_disk_that_fills_up_under_a_copy_is_told_as_that_and_nothing_stays(
    studio: Studio, library: Path, disk: Callable[[str], Path], size: int
) -> None:
    full = replace(studio, incoming=disk("size=4k"))
    (library / "growing.wav").touch()
    with opened(library / "growing.wav", roots=[library]) as found:
        (library / "growing.wav").write_bytes(bytes(size))
        with pytest.raises(DiskFullError):
            submit_local(full, found, REQUEST, owner=ME)
    assert list(full.incoming.iterdir()) == []


def test_file_that_cannot_be_read_is_to_blame_itself(studio: Studio) -> None:
    me = Path("/proc/self")
    with opened(me / "mem", roots=[me]) as found, pytest.raises(InputError, match="mem: Input/output error"):
        submit_local(studio, found, REQUEST, owner=ME)
    assert list(studio.incoming.iterdir()) == []
