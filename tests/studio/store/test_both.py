"""What SQLite and PostgreSQL do in ways of their own, and the studio in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stemwright.errors import JobNotFoundError
from stemwright.studio import charts, files, imports, jobs, outbox, songs, submit, tracks
from stemwright.studio.options import JobOptions
from stemwright.studio.store.tables import File, Track
from studio.shelves import over
from studio.work.desks import Desk, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stemwright.studio.studio import Studio

ME = "local"
REQUEST = submit.JobRequest(options=JobOptions(model="sketch"))
TITLES = ("Zebra", "apple", "Äpfel", "ähre", "a-b", "ab", "a c", "_", "10", "9", "")


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    yield from opened(tmp_path, database_url)


@pytest.fixture
def studio(desk: Desk, tmp_path: Path) -> Studio:
    return over(desk, tmp_path)


def lowered(text: str) -> str:
    """Of the letters A to Z, which is what both databases can do."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


@pytest.mark.parametrize("sort", ["title", "artist"])
def test_texts_are_ordered_by_the_numbers_of_their_characters(desk: Desk, studio: Studio, sort: str) -> None:
    for number, title in enumerate(TITLES):
        changes: dict[str, Any] = {sort: title}
        desk.song(f"{number}", **changes)
    found, _ = songs.list_songs(studio, owner=ME, search=None, sort=sort, limit=99, offset=0)
    assert [getattr(song, sort) for song in found] == sorted(TITLES, key=lowered)


def test_files_are_listed_by_the_numbers_of_their_characters(desk: Desk, studio: Studio, tmp_path: Path) -> None:
    song = desk.song()
    for title in TITLES:
        desk.add(Track(id=title, owner=ME, root=str(tmp_path), relative_path=title, size_bytes=1, modified_ns=1))
        desk.add(File(owner=ME, song_id=song, name=title, object_key=title, size_bytes=1, digest="d"))
    found, _ = tracks.list_tracks(studio, roots=[tmp_path], search=None, limit=99, offset=0, owner=ME)
    assert [track.relative_path for track in found] == sorted(TITLES)
    assert [note.name for note in songs.get_song(studio, song, owner=ME).notes] == sorted(TITLES)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "'; --", "%"], ids=["NUL", "long", "quote", "percent"])
@pytest.mark.parametrize(
    "look",
    [
        lambda studio, name: jobs.get_job(studio, name, owner=ME),
        lambda studio, name: jobs.cancel_job(studio, name, owner=ME),
        lambda studio, name: jobs.list_deliveries(studio, name, owner=ME),
        lambda studio, name: submit.resubmit(studio, name, owner=ME),
        lambda studio, name: submit.submit_song(studio, name, REQUEST, owner=ME),
        lambda studio, name: songs.get_song(studio, name, owner=ME),
        lambda studio, name: songs.update_song(studio, name, owner=ME, title="t"),
        lambda studio, name: songs.delete_song(studio, name, owner=ME),
        lambda studio, name: files.find_stems(studio, name, owner=ME, separation=None),
        lambda studio, name: imports.note_file(studio, name, name, owner=ME),
        lambda studio, name: charts.find_charted(studio, name, owner=ME),
        lambda studio, name: outbox.latest(studio, door="mismo", name=name, owner=ME),
        lambda studio, name: tracks.get_track(studio, name, roots=[], owner=ME),
    ],
)
def test_whatever_a_client_calls_a_thing_that_is_not_there_it_is_not_there(
    studio: Studio, name: str, look: Callable[[Studio, str], Any]
) -> None:
    with pytest.raises(JobNotFoundError):
        look(studio, name)


def test_whatever_a_client_searches_for_is_found_or_not(desk: Desk, studio: Studio) -> None:
    song = desk.song()
    desk.separation(song)
    for text in ("x\0y", "x" * 5000, "%", "\\"):
        assert songs.list_songs(studio, owner=ME, search=text, sort="title", limit=9, offset=0) == ([], 0)
        assert jobs.list_jobs(studio, owner=ME, status=text, song_id=text, limit=9, offset=0) == ([], 0)
        assert jobs.get_jobs(studio, {text}) == {}
        assert tracks.separations_of(studio, {text}, owner=ME) == set()
        with pytest.raises(JobNotFoundError):
            files.find_stems(studio, song, owner=ME, separation=text)
