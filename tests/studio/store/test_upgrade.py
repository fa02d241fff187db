"""A database of an earlier edition, opened by this one: what people have in it is there, in its new form."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, Table

from stemwright.records import Fault
from stemwright.studio import outbox, songs
from stemwright.studio.options import AudioFormat
from stemwright.studio.store import database
from stemwright.studio.store.database import Database
from stemwright.studio.store.tables import Run, Separation, Song, Track
from studio.shelves import idle

STEM = {
    "name": "vocals",
    "file": "vocals.flac",
    "size_bytes": 9,
    "sample_rate": 8000,
    "channels": 1,
    "frames": 16_000,
} | {
    "digest": "d" * 64,
    "gain_db": 0.0,
    "loudness": {"integrated_lufs": -20.0, "true_peak_dbtp": -3.0},
}
IMPORTED = {
    "input": {"digest": "p" * 64, "duration": 2.0, "sample_rate": 8000, "channels": 1, "loudness": STEM["loudness"]},
    "model": {"name": "imported", "draft": False},
    "settings": {"format": "flac16", "stems": ["vocals"]},
    "gain_db": -1.5,
    "residual_db": None,
    "warnings": [{"code": "truncated", "message": "cut"}],
    "stems": [STEM],
}
KEY = {"name": "A minor", "tonic": "A", "mode": "minor", "camelot": "8A", "open_key": "1m", "confidence": 0.9}
TEMPO = {"bpm": 120.0, "confidence": 0.8, "octave": None, "octave_strength": 0.0}
FOUND = {"duration": 2.0, "sample_rate": 8000, "channels": 1, "tempo": TEMPO, "key": KEY, "loudness": STEM["loudness"]}
OPTIONS = {"model": "auto", "resolved": "sketch", "stems": ["vocals"], "master": "flac24", "format": "wav24"} | {
    "sample_rate": None,
    "preview": False,
    "analysis": True,
    "transcribe": False,
    "separate": True,
    "max_duration": None,
}
TOLD = {
    "basic_features": {"status": "completed", "error": None},
    "stems": {"status": "failed", "error": {"code": "timeout", "message": "too slow"}},
}


@pytest.fixture
def old(empty_database_url: str) -> str:
    """The URL of a database of revision 0002 with a row of each kind."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    db = Database(empty_database_url)
    rows: dict[str, dict[str, object]] = {
        "separations": {"id": "sep", "owner": "local", "key": "k", "pcm_digest": "p" * 64, "model": "imported"}
        | {"draft": False, "receipt": IMPORTED, "duration": 2.0, "elapsed": 0.0, "created_at": 1.0, "used_at": 1.0},
        "songs": {"id": "song", "owner": "local", "kind": "stems", "title": "t", "artist": "", "search": "t"}
        | {"file_name": "f", "source_digest": "s", "size_bytes": 1, "pcm_digest": "p" * 64, "duration": 2.0}
        | {"analysis": {"tempo": TEMPO, "key": None}, "separation_id": "sep", "created_at": 1.0, "used_at": 1.0},
        "runs": {"id": "run", "owner": "local", "song_id": "song", "key": "k", "options": OPTIONS, "queue": "cpu"}
        | {"priority": "normal", "rank": 1, "status": "succeeded", "stage": "done", "progress": 100.0, "attempts": 1}
        | {"created_at": 1.0, "updated_at": 1.0},
        "jobs": {"id": "job", "owner": "local", "song_id": "song", "run_id": "run", "options": {"format": "wav24"}}
        | {"request_digest": "r", "cached": False, "created_at": 1.0},
        "tracks": {"id": "track", "owner": "local", "root": "/m", "relative_path": "a.wav", "size_bytes": 1}
        | {"modified_ns": 1, "source_digest": "s", "found": FOUND, "created_at": 1.0},
        "orders": {"id": "order", "owner": "local", "door": "mismo", "name": "n", "job_id": "job"}
        | {"facts": {"kind": "callback"}, "told": TOLD, "open": True, "created_at": 1.0},
    }
    with db.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for table, row in rows.items():
            connection.execute(Table(table, MetaData(), autoload_with=connection).insert(), row)
        connection.commit()
    db.close()
    return empty_database_url


def test_database_of_the_first_edition_is_brought_to_the_present_form(old: str, tmp_path: Path) -> None:
    with idle(tmp_path, old) as studio:
        with studio.db.session() as session:
            receipt = session.get_one(Separation, "sep").receipt
            options = session.get_one(Run, "run").options
            found = session.get_one(Track, "track").found
            analysis = session.get_one(Song, "song").analysis
        assert (receipt.gain_db, receipt.input.frames, receipt.stems[0].name) == (-1.5, 16_000, "vocals")
        assert [notice.code for notice in receipt.warnings] == ["truncated"]
        assert (options.format, options.master, options.stems) == (AudioFormat.wav24, "flac24", ("vocals",))
        assert found
        assert found.analysis
        assert found.analysis.key
        assert found.loudness
        assert (found.duration, found.analysis.key.camelot, found.loudness.integrated_lufs) == (2.0, "8A", -20.0)
        assert analysis
        assert analysis.tempo
        assert (analysis.tempo.bpm, analysis.key) == (120.0, None)
        entry = outbox.latest(studio, door="mismo", name="n", owner="local")
        assert entry.sent == {"basic_features": None, "stems": Fault(code="timeout", message="too slow")}
        assert (entry.facts, entry.open, entry.job_id) == ({"kind": "callback"}, True, "job")
        [song] = songs.get_song(studio, "song", owner="local").separations
        assert [stem.name for stem in song.stems] == ["vocals"]
