"""The key of a result: what equal keys made is the same to the sample, and has the same names."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from stemwright.engine import drum_chart
from stemwright.engine.receipt import PIPELINE
from stemwright.separators.protocol import is_half
from stemwright.strategies.plan import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePosixPath

    from stemwright.audio.tags import Tags
    from stemwright.drums.frames import DrumNetwork
    from stemwright.engine.receipt import SettingsRecord
    from stemwright.engine.song_separator import SongSeparator
    from stemwright.types import Digest


def result_key(
    song: Digest,
    separator: SongSeparator,
    settings: SettingsRecord,
    *,
    device: str,
    tags: Tags,
    files: Iterable[PurePosixPath],
    drums: DrumNetwork | None,
) -> Digest:
    """Everything that can change what is written and where, in one digest; `device` as it was asked for."""
    info = separator.info
    return digest_of(
        {
            "pipeline": PIPELINE,
            "input": song,
            "tags": [sorted(tags.text.items()), hashlib.sha256(tags.cover.data).hexdigest() if tags.cover else None],
            "model": [info.family, info.name, separator.digest, is_half(device)],
            "settings": settings.model_dump(mode="json"),
            "files": sorted(map(str, files)),
            "drums": [drum_chart.VERSION, drums.digest] if drums else None,
        }
    )
