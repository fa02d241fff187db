"""The folder `media`: `PROFILE/NAME/` with stems, waveforms and `metadata.json`, for the command line and the door."""

from __future__ import annotations

import os
import re
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from stemwright.audio.peaks import read_dat
from stemwright.disk import is_regular, read_json, read_small, write_whole
from stemwright.doors.stemset.waveform import draw, loudest
from stemwright.engine.receipt import Receipt
from stemwright.records import iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stemwright.engine.receipt import StemRecord

METADATA: Final = "metadata.json"
RECEIPT: Final = "receipt.json"
_TARGET: Final = -23.0  # LUFS, of EBU R 128
_MOST: Final = 12.0  # dB that a stem is turned up or down
_SILENCE: Final = -70.0  # LUFS: the absolute gate of BS.1770, below which nothing is measured
_UNFIT: Final = re.compile(r"[^\w\-]+")
_LONGEST: Final = 100  # bytes of a name, before the digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The recording that was processed, and how."""

    digest: str  # SHA-256 of the file
    file_name: str
    strategy: str


class StemMetadata(BaseModel):
    """What `metadata.json` says of a stem; other programs may write more, or less."""

    model_config = ConfigDict(frozen=True, extra="allow")

    stem_type: str | None = None
    measured_lufs: float | None = None
    peak_amplitude: float | None = None
    stem_gain_adjustment_db: float | None = None
    stem_url: str
    waveform_url: str
    file_size_bytes: int | None = None
    duration_seconds: float | None = None


class Metadata(BaseModel):
    """What `metadata.json` says; other programs may write more, or less."""

    model_config = ConfigDict(frozen=True, extra="allow")

    display_name: str | None = None
    file_hash: str | None = None
    filename: str | None = None
    strategy: str | None = None
    model: str | None = None
    draft: bool | None = None
    duration_seconds: float | None = None
    created_at: str
    stems: dict[str, StemMetadata]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What was made of one recording."""

    folder: Path
    facts: Metadata

    @property
    def name(self) -> str:
        """Its `output_name`."""
        return self.folder.name

    def file(self, name: str) -> Path | None:
        """The file that `metadata.json` lists under a name; links are not served."""
        listed = {one for stem in self.facts.stems.values() for one in (stem.stem_url, stem.waveform_url)}
        known = name in {METADATA, *listed} and Path(name).name == name and is_regular(self.folder / name)
        return self.folder / name if known else None

    def receipt(self) -> Receipt:
        """How it was made. Raises OSError, ValueError."""
        return Receipt.model_validate_json(read_small(self.folder / RECEIPT))


class Media:
    """All that was processed. Names from outside are looked for, and never used as paths."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def recordings(self, profile: str) -> list[Recording]:
        """What a profile has, newest first; what is half made is not there yet."""
        found = [one for folder in self._folders(profile) if (one := _read(folder))]
        return sorted(found, key=lambda one: (one.facts.created_at, one.name), reverse=True)

    def find(self, profile: str, name: str) -> Recording | None:
        """A recording by its `output_name`."""
        folder = next((folder for folder in self._folders(profile) if folder.name == name), None)
        return _read(folder) if folder else None

    def of_digest(self, profile: str, digest: str) -> Recording | None:
        """The recording whose file had this SHA-256, and all of whose files are there."""
        return next((one for one in self.recordings(profile) if one.facts.file_hash == digest and _whole(one)), None)

    def place(self, profile: str, source: Source) -> Path:
        """The folder of a recording."""
        return self.folder / profile / output_name(source)

    def _folders(self, profile: str) -> Iterator[Path]:
        try:
            known = profile in os.listdir(self.folder)  # noqa: PTH208  (names are compared, none is joined)
            entries = list(os.scandir(self.folder / profile)) if known else []
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield Path(entry.path)


def _read(folder: Path) -> Recording | None:
    try:
        return Recording(folder=folder, facts=Metadata.model_validate(read_json(folder / METADATA)))
    except (OSError, ValueError):
        return None


def _whole(recording: Recording) -> bool:
    names = [name for stem in recording.facts.stems.values() for name in (stem.stem_url, stem.waveform_url)]
    return all(is_regular(recording.folder / name) for name in names)


def output_name(source: Source) -> str:
    """A safe name of a recording with the start of its digest: two recordings of one name do not meet."""
    title = _UNFIT.sub("_", Path(source.file_name).stem.encode("utf-8", "replace").decode()).strip("_")
    title = title.encode()[:_LONGEST].decode("utf-8", "ignore")
    return f"{title or 'unnamed'}_{source.digest[:8]}"


def recording_id(profile: str, name: str) -> str:
    """A UUID that is always the same for a recording."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"stemset:{profile}/{name}"))


def describe(folder: Path, receipt: Receipt, source: Source) -> Recording:
    """Draw the waveforms of stems that lie in a folder with overviews, then write `metadata.json`. Raises OSError.

    All stems are drawn to one scale.
    """
    overviews = {stem.name: read_dat(folder / f"{stem.name}.peaks.dat") for stem in receipt.stems}
    full = max(map(loudest, overviews.values()), default=1.0)
    for name, peaks in overviews.items():
        write_whole(folder / f"{name}_waveform.png", draw(peaks, full=full), mode=0o666)
    facts = Metadata(
        display_name="",
        file_hash=source.digest,
        filename=source.file_name,
        strategy=source.strategy,
        model=receipt.model.name,
        draft=receipt.model.draft,
        duration_seconds=round(receipt.input.duration, 3),
        created_at=iso(time.time()),
        stems={stem.name: _stem(folder, stem) for stem in receipt.stems},
    )
    write_whole(folder / METADATA, f"{facts.model_dump_json(indent=2)}\n".encode(), mode=0o666)
    return Recording(folder=folder, facts=facts)


def _stem(folder: Path, stem: StemRecord) -> StemMetadata:
    lufs, peak = stem.loudness.integrated_lufs, stem.loudness.true_peak_dbtp
    return StemMetadata(
        stem_type=stem.name,
        measured_lufs=round(_SILENCE if lufs is None else lufs, 2),
        peak_amplitude=0.0 if peak is None else round(10 ** (peak / 20), 4),
        stem_gain_adjustment_db=0.0 if lufs is None else round(max(-_MOST, min(_MOST, _TARGET - lufs)), 2),
        stem_url=Path(stem.file).name,
        waveform_url=f"{stem.name}_waveform.png",
        file_size_bytes=(folder / Path(stem.file).name).stat().st_size,
        duration_seconds=round(stem.frames / stem.sample_rate, 3),
    )
