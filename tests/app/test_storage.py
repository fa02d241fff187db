"""Where the objects are that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stemwright.app.settings import Settings
from stemwright.app.storage_settings import ObjectStorage
from stemwright.app.wiring import ObjectsElsewhereError, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from s3 import S3


def in_bucket(s3: S3) -> ObjectStorage:
    place = s3.storage()
    return ObjectStorage(
        url=place.url,
        endpoint=place.endpoint,
        region=place.region,
        access_key_id=place.access_key_id,
        secret_access_key=place.secret_access_key,  # type: ignore[arg-type]  # pydantic makes a secret of it
    )


def test_objects_are_in_the_data_folder_unless_the_settings_say_otherwise(tmp_path: Path, s3: S3) -> None:
    assert open_store(Settings(data=tmp_path)).folder == tmp_path / "objects"
    elsewhere = ObjectStorage(url=f"file://{tmp_path / 'big disk'}")
    assert open_store(Settings(data=tmp_path, storage=elsewhere)).folder == tmp_path / "big disk"
    bucket = open_store(Settings(data=tmp_path, storage=in_bucket(s3)))
    assert bucket.folder is None
    bucket.put("local/uploads/a", b"sound")
    assert bucket.get("local/uploads/a") == b"sound"


def test_songs_are_not_left_behind_by_a_change_of_place(tmp_path: Path, s3: S3) -> None:
    """The sweep would take them for lost, and forget their rows."""
    before = open_store(Settings(data=tmp_path))
    before.put("doors/runpod/jobs/j/vocals.wav", b"sound")
    assert open_store(Settings(data=tmp_path, storage=in_bucket(s3))).folder is None
    before.put("local/uploads/a", b"sound")
    for place in (in_bucket(s3), ObjectStorage(url=f"file://{tmp_path / 'elsewhere'}")):
        with pytest.raises(ObjectsElsewhereError) as caught:
            open_store(Settings(data=tmp_path, storage=place))
        assert str(tmp_path / "objects") in caught.value.message
    same = ObjectStorage(url=f"file://{tmp_path / 'objects'}")
    assert open_store(Settings(data=tmp_path, storage=same)).get("local/uploads/a") == b"sound"
