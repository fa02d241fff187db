"""The receipt of stems that somebody had already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright.audio.ffmpeg import ffmpeg_version
from stemwright.disk import sha256_of
from stemwright.engine.receipt import (
    PIPELINE,
    FileRecord,
    InputRecord,
    ModelRecord,
    NoticeRecord,
    Receipt,
    SettingsRecord,
    versions,
)
from stemwright.strategies.plan import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.engine.imported import Imported
    from stemwright.types import Seconds

IMPORTED = "imported"  # what stands where a model's name does


def receipt_of(made: Imported, root: Path, *, size_bytes: int, elapsed: Seconds) -> Receipt:
    """The receipt of stems that lie in `root`; their recordings had `size_bytes` together.

    Raises OSError for a file that is gone.
    """
    stems = tuple(stem.record for stem in made.stems)
    notices = [*made.notices, *(notice for stem in made.stems for notice in stem.notices)]
    overviews = [
        FileRecord(file=stem.peaks, size_bytes=(root / stem.peaks).stat().st_size, digest=sha256_of(root / stem.peaks))
        for stem in made.stems
    ]
    return Receipt(
        key=digest_of([IMPORTED, PIPELINE, made.digest]),
        input=InputRecord(
            name=", ".join(stem.name for stem in stems),
            digest=made.digest,
            size_bytes=size_bytes,
            container="stems",
            sample_rate=made.sample_rate,
            channels=made.channels,
            frames=made.frames,
            duration=made.duration,
            loudness=made.mix_loudness,
        ),
        model=ModelRecord(
            requested=IMPORTED, name=IMPORTED, family=IMPORTED, licence="", draft=False, weights_digest=None
        ),
        device="cpu",
        settings=SettingsRecord(
            stems=tuple(stem.name for stem in stems),
            overlap=None,
            shifts=None,
            segment=None,
            exact=False,
            format=made.format.name,
            bitrate=None,
            sample_rate=made.sample_rate,
        ),
        gain_db=made.gain_db,
        residual_db=None,
        residual_added_to=None,
        elapsed=round(elapsed, 3),
        real_time_factor=round(elapsed / made.duration, 5),
        versions=versions(ffmpeg_version()),
        warnings=tuple(map(NoticeRecord.of, notices)),
        stems=stems,
        files=tuple(sorted([*(stem.file for stem in stems), *(one.file for one in overviews), "receipt.json"])),
        kept=(),
        others=tuple(overviews),
    )
