from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from receipts import receipt
from stemwright.studio.options import JobOptions
from stemwright.studio.store.database import Database
from stemwright.studio.store.tables import Base, File, Job, Run, Separation, Song, new_id
from studio.work.desks import options

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    database.migrate()
    yield database
    database.close()


def song(number: int = 0, *, owner: str = "local") -> Song:
    return Song(
        owner=owner,
        title="A",
        search="a",
        file_name="a.wav",
        source_digest=f"{number:064x}",
        size_bytes=1,
        upload_key="k",
    )


def run(song_id: str | None, *, key: str = "k", status: str = "queued") -> Run:
    return Run(
        owner="local",
        song_id=song_id,
        key=key,
        options=options(),
        queue="cpu",
        priority="normal",
        rank=1,
        status=status,
    )


def test_migrations_make_exactly_the_tables_that_the_code_describes(db: Database) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or name in Base.metadata.tables}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_at_once_from_many_processes_is_like_migrating_once(empty_database_url: str) -> None:
    db = Database(empty_database_url)
    faults: list[BaseException] = []

    def migrate() -> None:
        one = Database(empty_database_url)
        try:
            one.migrate()
        except BaseException as error:  # noqa: BLE001
            faults.append(error)
        finally:
            one.close()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    with db.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
    db.close()


def test_session_that_fails_leaves_nothing(db: Database) -> None:
    def fail() -> None:
        with db.session() as session:
            session.add(song())
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with db.session() as session:
        assert session.scalar(select(func.count(Song.id))) == 0


def test_the_same_bytes_are_one_song_for_each_owner(db: Database) -> None:
    with db.session() as session:
        session.add_all([song(1), song(1, owner="other"), song(2)])
    with pytest.raises(IntegrityError), db.session() as session:
        session.add(song(1))


def test_only_one_run_of_a_kind_is_live_and_ended_ones_do_not_count(db: Database) -> None:
    with db.session() as session:
        one = song()
        session.add(one)
        session.flush()
        session.add_all([run(one.id, status="failed"), run(one.id, status="succeeded"), run(one.id)])
    for status in ("queued", "running"):
        with pytest.raises(IntegrityError), db.session() as session:
            session.add(run(None, status=status))


def test_rows_of_a_separation_go_with_it_and_songs_stay(db: Database) -> None:
    with db.session() as session:
        made = Separation(
            owner="local", key="k", pcm_digest="p", model="m", draft=False, receipt=receipt(), duration=1.0, elapsed=1.0
        )
        one = song()
        session.add_all([made, one])
        session.flush()
        one.separation_id = made.id
        session.add(
            File(owner="local", separation_id=made.id, name="vocals.flac", object_key="x", size_bytes=1, digest="d")
        )
        going = run(one.id)
        session.add(going)
        session.flush()
        session.add(Job(owner="local", song_id=one.id, run_id=going.id, options=JobOptions(), request_digest="r"))
    with db.session() as session:
        session.delete(session.get_one(Separation, made.id))
    with db.session() as session:
        assert session.scalar(select(func.count(File.id))) == 0
        assert session.get_one(Song, one.id).separation_id is None
        session.delete(session.get_one(Song, one.id))
    with db.session() as session:
        assert session.scalars(select(Job.song_id)).all() == [None]


def test_writers_wait_for_each_other(db: Database) -> None:
    def write(number: int) -> None:
        for part in range(10):
            with db.session() as session:
                session.add(song(100 * number + part))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.session() as session:
        assert session.scalar(select(func.count(Song.id))) == 80


def test_later_identifiers_sort_behind_earlier_ones_of_another_millisecond() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(one) for one in ids} == {28}
