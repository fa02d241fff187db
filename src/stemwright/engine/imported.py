"""Stems that somebody has already, as stems of ours: one rate, one length, FLAC, measured."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.audio.decode import open_audio
from stemwright.audio.formats import parse_format
from stemwright.audio.resample import Resampler, resampled_length
from stemwright.audio.tags import Tags
from stemwright.engine.mixdown import summed
from stemwright.engine.naming import folded, safe_name
from stemwright.engine.options import SeparateOptions
from stemwright.engine.output import staging
from stemwright.engine.render import MIX, RECEIPT, Measured, Meter, Names, Renderer
from stemwright.engine.scan import Scan, scan, song_blocks
from stemwright.engine.scratch import ScratchAudio
from stemwright.errors import (
    InputChangedError,
    InputError,
    OptionError,
    OutputExistsError,
    TooLargeError,
    TooLongError,
    as_output_error,
)
from stemwright.types import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping
    from pathlib import Path

    from stemwright.audio.decode import DecodeLimits
    from stemwright.audio.formats import Format
    from stemwright.engine.output import Staging
    from stemwright.engine.receipt import Loudness, StemRecord
    from stemwright.types import Digest, SampleRate, Samples, Seconds, StemName

MAX_STEMS: Final = 32
MAX_NAME_CHARACTERS: Final = 64
_MAX_NAME_BYTES = 240  # file systems take 255, endings included
_UNSAID: Final[Seconds] = 0.05  # silence at the end that is not worth a notice
_READING, _EQUALISING, _MEASURING = 0.25, 0.6, 0.7  # how far all is, once each is done


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedStem:
    """One stem that came in; `record` tells its file, and what is in it."""

    record: StemRecord
    peaks: str  # the file, relative to the folder
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The stems of a song, as they are on the disk now: FLAC of one rate, number of channels and length."""

    stems: tuple[ImportedStem, ...]  # in the order given
    format: Format
    sample_rate: SampleRate
    channels: int
    frames: int
    duration: Seconds
    gain_db: float  # of all stems; 0 unless one would have clipped
    digest: Digest  # over names and samples of all stems, in whichever order they came
    mix_loudness: Loudness  # of their sum
    notices: tuple[Notice, ...]  # of the whole; what was wrong with a stem is with the stem


@dataclass(frozen=True, slots=True)
class _Shape:
    """What all stems have in common in the end."""

    sample_rate: SampleRate
    channels: int
    frames: int


@dataclass(slots=True)
class _Equalised:
    """Stems on their way: of one shape, not yet encoded."""

    audio: dict[StemName, ScratchAudio]
    fits_16_bits: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Most:
    """What all recordings of one import may come to together."""

    seconds: Seconds = math.inf
    decoded_bytes: float = math.inf  # of all stems as float32, in their common shape


def import_stems(
    files: Mapping[StemName, Path],
    root: Path,
    *,
    limits: DecodeLimits,
    most: Most | None = None,
    tags: Tags | None = None,
    on_progress: Callable[[float], None] | None = None,
    on_mix: Callable[[SampleRate, Samples], None] | None = None,
) -> Imported:
    """Make `<name>.flac` and `<name>.peaks.dat` in `root` of several recordings of one song.

    All get the highest rate among them, two channels if any has two or more, and the length of the longest, with
    silence at the end. They have 16 bits where that loses nothing, else 24. One gain lowers all if one would clip.
    `limits` hold for each recording, `most` for all together; `tags` are the song's. `on_progress` is told the share
    that is done, 0–1, and `on_mix` the rate and, block by block, the sum of the stems, `[C, T]` float32; what they
    raise comes out. Files appear in `root` when all are whole.
    Raises `OptionError` (`check_stem_names`), the `InputError`s of decoding, whose messages name stem and file,
    `OutputExistsError`, `OutputError`, `DiskFullError`; then nothing is left.
    """
    check_stem_names(files)
    report = on_progress or _silent
    wanted = [PurePosixPath(f"{name}.{ending}") for name in files for ending in ("flac", "peaks.dat")]

    def check() -> None:
        if taken := next((root / name for name in wanted if (root / name).exists()), None):
            raise OutputExistsError(f"{taken} exists already")

    try:
        check()
        most = most or Most()
        found = _scanned(files, limits=limits, most=most, report=report)
        shape = _common(found)
        if len(files) * shape.frames * shape.channels * 4 > most.decoded_bytes:
            raise TooLargeError(
                f"the recordings come to more than {most.decoded_bytes / 1e9:g} GB once decoded (max_decoded_bytes)"
            )
        with staging(root) as stage:
            stage.require(len(files) * shape.frames * shape.channels * 8)  # float32, and at most as much for the files
            equal = _equalise(files, found, shape, limits=limits, stage=stage, report=report)
            mix = _measured_mix(equal, shape, report=report, on_mix=on_mix)
            return _finish(equal, found, shape, mix=mix, tags=tags or Tags(), stage=stage, check=check, report=report)
    except OSError as error:
        raise as_output_error(error) from error


def check_stem_names(names: Collection[StemName], /) -> None:
    """Make sure that each name can be a stem's, and its file's.

    It has up to 64 letters of any script, digits, spaces, `-`, `_`, `.`; no space at its ends, no dot there; it is not
    `mix`, not `receipt`, nor one that Windows keeps for itself. Names that differ in case only are the same.
    Raises `OptionError` for other names, and unless there are 1 to 32.
    """
    if not 1 <= len(names) <= MAX_STEMS:
        raise OptionError(f"1 to {MAX_STEMS} stems make a song, not {len(names)}")
    seen: set[str] = set()
    for name in names:
        shown = repr(name[:80])
        if not name or len(name) > MAX_NAME_CHARACTERS or len(name.encode("utf-8", "replace")) > _MAX_NAME_BYTES:
            raise OptionError(f"a stem's name has 1 to {MAX_NAME_CHARACTERS} characters: {shown}")
        if not all(character in " -_." or unicodedata.category(character)[0] in "LMN" for character in name):
            raise OptionError(f"a stem's name is made of letters, digits, spaces, '-', '_' and '.': {shown}")
        same = folded(name)
        tame = name == name.strip(" .") and name.startswith(safe_name(name)[:30])  # which cuts long ones
        if not tame or same in {MIX, RECEIPT}:
            raise OptionError(f"a stem cannot be called {shown}")
        if same in seen:
            raise OptionError(f"two stems are called {shown}")
        seen.add(same)


def _scanned(
    files: Mapping[StemName, Path], *, limits: DecodeLimits, most: Most, report: Callable[[float], None]
) -> dict[StemName, Scan]:
    """Read each recording once; reading stops where all together become too long. Raises `TooLongError`."""
    found: dict[StemName, Scan] = {}
    left = most.seconds
    for name, path in files.items():
        done = _READING * len(found) / len(files)
        within = limits if left >= limits.duration else replace(limits, duration=left)
        with _naming(name), _together(most, cut=within is not limits):
            found[name] = scan(path, limits=within, on_block=lambda done=done: report(done))  # type: ignore[misc]
        left -= found[name].shape.frames / found[name].shape.sample_rate
    return found


@contextmanager
def _together(most: Most, *, cut: bool) -> Iterator[None]:
    """Say that it is all recordings together that last too long, where one alone would not."""
    try:
        yield
    except TooLongError as error:
        if not cut:
            raise
        raise TooLongError(
            f"all recordings together last longer than the limit of {most.seconds:g} s (making.max_import_duration)"
        ) from error


def _common(found: Mapping[StemName, Scan]) -> _Shape:
    shapes = [each.shape for each in found.values()]
    rate = max(shape.sample_rate for shape in shapes)
    frames = max(resampled_length(shape.frames, in_rate=shape.sample_rate, out_rate=rate) for shape in shapes)
    return _Shape(rate, max(shape.channels for shape in shapes), frames)


def _equalise(
    files: Mapping[StemName, Path],
    found: Mapping[StemName, Scan],
    shape: _Shape,
    *,
    limits: DecodeLimits,
    stage: Staging,
    report: Callable[[float], None],
) -> _Equalised:
    """Read each recording again, and write it down in the common shape."""
    equal = _Equalised({name: ScratchAudio(stage.new_file(f"{n}.f32"), shape.channels) for n, name in enumerate(files)})
    total, done = len(files) * shape.frames, 0
    for name, scratch in equal.audio.items():
        with closing(scratch), closing(_in_shape(name, files[name], found[name], shape, limits=limits)) as blocks:
            for block in blocks:
                equal.fits_16_bits = equal.fits_16_bits and _fits_16_bits(block)
                scratch.write(block)
                done += block.shape[1]
                report(_READING + (_EQUALISING - _READING) * done / total)
    return equal


def _in_shape(name: StemName, path: Path, found: Scan, shape: _Shape, *, limits: DecodeLimits) -> Generator[Samples]:
    """Yield `[C, T]` float32 blocks in the common shape, `shape.frames` samples in all."""
    resampler = Resampler(found.shape.sample_rate, shape.sample_rate, channels=found.shape.channels)
    given = 0
    with _naming(name), open_audio(path, limits=limits, track=found.info.track) as stream:
        if stream.info != found.info:
            raise InputChangedError("the file changed while it was being read")
        for block in song_blocks(stream, expected=found.digest):
            ready = resampler.push(block)
            given += ready.shape[1]
            yield _widened(ready, shape.channels)
    rest = resampler.finish()
    given += rest.shape[1]
    yield _widened(rest, shape.channels)
    while given < shape.frames:
        silence = np.zeros((shape.channels, min(shape.frames - given, 1 << 18)), np.float32)
        given += silence.shape[1]
        yield silence


def _widened(block: Samples, channels: int) -> Samples:
    """Mono as two equal channels, where there are to be two."""
    return block if len(block) == channels else np.repeat(block, channels, axis=0)


def _fits_16_bits(block: Samples) -> bool:
    """Whether 16-bit integers hold each sample as it is."""
    steps = block * np.float32(1 << 15)
    return bool(np.all((steps == np.rint(steps)) & (steps >= -(1 << 15)) & (steps < 1 << 15)))


def _finish(
    equal: _Equalised,
    found: Mapping[StemName, Scan],
    shape: _Shape,
    *,
    mix: Measured,
    tags: Tags,
    stage: Staging,
    check: Callable[[], None],
    report: Callable[[float], None],
) -> Imported:
    """Encode, and move the files to their place."""
    form = parse_format("flac16" if equal.fits_16_bits else "flac24")
    names = Names(
        song="untitled",
        model="import",
        of=lambda stem, ending: PurePosixPath(f"{stem}.{ending}"),
        stems=tuple(equal.audio),
        options=SeparateOptions(format=form, peaks=("dat",)),
    )
    rendering = Renderer(
        names,
        stage=stage,
        tags=tags,
        sample_rate=shape.sample_rate,
        on_progress=lambda done: report(_MEASURING + (1 - _MEASURING) * done),
    ).render(equal.audio, mix=None, measured_mix=mix)
    result = Imported(
        stems=tuple(
            ImportedStem(
                record=record,
                peaks=str(names.peaks(record.name, "dat")),
                notices=_notices(record.name, found[record.name], shape),
            )
            for record in rendering.stems
        ),
        format=form,
        sample_rate=shape.sample_rate,
        channels=shape.channels,
        frames=shape.frames,
        duration=shape.frames / shape.sample_rate,
        gain_db=rendering.gain_db,
        digest=_digest(rendering.stems),
        mix_loudness=mix.loudness,
        notices=rendering.notices,
    )
    report(1.0)
    stage.publish(rendering.files, receipt=names.receipt, check=check)
    return result


def _measured_mix(
    equal: _Equalised,
    shape: _Shape,
    *,
    report: Callable[[float], None],
    on_mix: Callable[[SampleRate, Samples], None] | None,
) -> Measured:
    """What the sum of the stems measures, at the gain that they will have."""
    audio = list(equal.audio.values())
    gain = 1 / max(1.0, *(scratch.peak for scratch in audio))
    meter, done = Meter(shape.sample_rate, shape.channels, peaks=False), 0
    for blocks in zip(*(scratch.blocks() for scratch in audio), strict=True):
        mix = summed(blocks, [gain] * len(blocks))
        meter.add(mix)
        if on_mix:
            on_mix(shape.sample_rate, mix)
        done += blocks[0].shape[1]
        report(_EQUALISING + (_MEASURING - _EQUALISING) * done / shape.frames)
    return meter.measured()


def _notices(name: StemName, found: Scan, shape: _Shape) -> tuple[Notice, ...]:
    """What the user must know of a stem."""
    notices = [Notice(notice.code, f"{name}: {notice.message}") for notice in found.notices]
    rate = found.shape.sample_rate
    if rate != shape.sample_rate:
        text = f"{name}: resampled from {rate} Hz to the {shape.sample_rate} Hz of another stem"
        notices.append(Notice("resampled", text))
    missing = shape.frames - resampled_length(found.shape.frames, in_rate=rate, out_rate=shape.sample_rate)
    if missing > _UNSAID * shape.sample_rate:
        seconds = missing / shape.sample_rate
        notices.append(Notice("padded", f"{name}: shorter than the longest stem; {seconds:.2f} s of silence follow it"))
    return tuple(notices)


def _digest(stems: tuple[StemRecord, ...]) -> Digest:
    pairs = sorted((stem.name, stem.digest) for stem in stems)
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


@contextmanager
def _naming(stem: StemName) -> Iterator[None]:
    """Say of which stem it is that a recording cannot be used."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{stem}: {error.message}") from error


def _silent(_done: float, /) -> None:
    """Report to nobody."""
