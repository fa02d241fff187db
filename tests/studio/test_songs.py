from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stemwright.engine.song_facts import AnalysisRecord, KeyRecord, TempoRecord
from stemwright.studio.songs import list_songs
from stemwright.studio.store.tables import Song
from studio.shelves import idle

if TYPE_CHECKING:
    from pathlib import Path

KEY = KeyRecord(name="A minor", tonic="A", mode="minor", camelot="8A", open_key="1m", confidence=0.9)
FACTS = {  # title: tempo and key
    "fast": (174.0, "2A"),
    "slow": (60.5, "10B"),
    "middle": (124.0, "12A"),
    "free": (None, "1B"),
    "noise": (None, None),
}


@pytest.mark.parametrize(
    ("sort", "titles"),
    [
        ("bpm", ["slow", "middle", "fast"]),
        ("-bpm", ["fast", "middle", "slow"]),
        ("key", ["free", "fast", "slow", "middle", "noise"]),
        ("-key", ["middle", "slow", "fast", "free", "noise"]),
    ],
)
def test_songs_are_sorted_by_tempo_and_around_the_circle_of_fifths(
    tmp_path: Path, database_url: str, sort: str, titles: list[str]
) -> None:
    with idle(tmp_path, database_url) as studio:
        with studio.db.session() as session:
            for title, (bpm, camelot) in FACTS.items():
                tempo = TempoRecord(bpm=bpm, confidence=1.0, octave=None, octave_strength=0.0) if bpm else None
                key = KEY.model_copy(update={"camelot": camelot}) if camelot else None
                analysis = AnalysisRecord(tempo=tempo, key=key)
                facts = {"file_name": f"{title}.wav", "source_digest": title, "size_bytes": 1, "search": title}
                session.add(Song(owner="me", title=title, analysis=analysis, **facts))
        items, total = list_songs(studio, owner="me", search=None, sort=sort, limit=50, offset=0)
        assert total == len(FACTS)
        assert [song.title for song in items][: len(titles)] == titles
        assert {song.title for song in items} == FACTS.keys()
