"""Blocks of samples to an audio file, by one ffmpeg child; decoded again they are as many, and in their place."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from stemwright.audio._containers import append_wav_chunk, id3_size, set_mp3_length
from stemwright.audio._tag_writing import TagArguments, add_mp4_tags, tag_arguments
from stemwright.audio.ffmpeg import FfmpegChild
from stemwright.audio.formats import parse_format
from stemwright.disk import sync
from stemwright.errors import DiskFullError, OutputError, as_output_error

if TYPE_CHECKING:
    from types import TracebackType

    from stemwright.audio.formats import Format
    from stemwright.audio.tags import Tags
    from stemwright.types import SampleRate, Samples

Quantised: TypeAlias = npt.NDArray[np.int16 | np.int32]

_COMMON_OPTIONS = ("-y", "-xerror")  # without -xerror, ffmpeg 5.1 ends with 0 on a full disk
# packets; with its own 8, ffmpeg 5.1 is 3.5 times slower beside a second input, such as the tags
_READ_AHEAD = ("-thread_queue_size", "64")
_BIT_EXACT = ("-flags:a", "+bitexact", "-fflags", "+bitexact")  # no version and no time stamp of the encoder


class Encoder:
    """An audio file in the making, at `path`, which is overwritten.

    Use as a context: leaving it closes the file; leaving it by an exception removes the file.
    """

    _tracks: ClassVar[int] = 1

    def __init__(
        self,
        path: Path,
        *,
        format: Format,  # noqa: A002
        sample_rate: SampleRate,
        channels: int,
        bitrate: int | None = None,
        tags: Tags | None = None,
    ) -> None:
        """Start ffmpeg; `sample_rate` in Hz, `bitrate` in bits/s (the format's own when None).

        Raises `OptionError` for what the format cannot carry, and `FfmpegMissingError`.
        """
        format.check_channels(channels)
        format.check_rate(sample_rate)
        bitrate = format.check_bitrate(bitrate)
        self.path = path
        self.frames = 0
        self._format = format
        self._channels = channels * self._tracks
        self._sample_rate = sample_rate
        self._tags = tags
        self._closed = False
        self._folder = tempfile.TemporaryDirectory(prefix="stemwright-")
        try:
            self._child = FfmpegChild(self._arguments(bitrate), folder=Path(self._folder.name), reads=True)
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, block: Samples | Quantised) -> None:
        """Append `[C, T]` float32, full scale at ±1, or what `quantise` makes of it for the format's bits.

        Raises `OutputError`, `DiskFullError`; ValueError for a block of another shape.
        """
        if block.ndim != 2 or block.shape[0] != self._channels:
            raise ValueError(f"a block of shape {block.shape} for {self._channels} channels")
        if not block.size:
            return
        bits = self._format.bits
        samples = block if bits is None or block.dtype.kind == "i" else quantise(cast("Samples", block), bits=bits)
        try:
            self._child.stdin.write(np.ascontiguousarray(samples.T).data)
        except BrokenPipeError:  # it has ended; why, its exit code and its log tell
            self._end()
            self.abort()
            raise OutputError(f"{self.path}: ffmpeg ended before all was written") from None
        self.frames += block.shape[1]

    def close(self) -> None:
        """End the file and see it on the disk; a second call does nothing.

        Raises `OutputError` with ffmpeg's own words, `DiskFullError`; the file is removed then.
        """
        if self._closed:
            return
        try:
            with contextlib.suppress(BrokenPipeError):  # the exit code tells
                self._child.stdin.close()
            if not self.frames and not self._format.can_be_empty:
                raise OutputError(f"{self.path}: {self._format.name} cannot hold a recording of no samples")
            self._end()
            self._complete_and_sync()
        except BaseException:
            self.abort()
            raise
        self._release()

    def abort(self) -> None:
        """End ffmpeg and remove the file; after `close`, do nothing."""
        if self._closed:
            return
        self._release()
        self.path.unlink(missing_ok=True)

    def _arguments(self, bitrate: int | None) -> list[str]:
        form = self._format
        raw = {None: "f32le", 16: "s16le", 24: "s32le"}[form.bits]
        extra = TagArguments(inputs=[], output=["-map_metadata", "-1"])
        if self._tags:
            extra = tag_arguments(self._tags, container=form.container, folder=Path(self._folder.name), inputs=1)
        return [
            *_COMMON_OPTIONS,
            *_READ_AHEAD,
            *("-f", raw, "-ar", str(self._sample_rate), "-ac", str(self._channels), "-i", "pipe:0"),
            *extra.inputs,
            *(*self._streams(), *extra.output),
            *_encoder_options(form, sample_rate=self._sample_rate, bitrate=bitrate),
            *(*_BIT_EXACT, "-f", form.muxer, f"file:{self.path.absolute()}"),
        ]

    def _streams(self) -> list[str]:
        """Tell ffmpeg what to make of the channels it is sent."""
        return ["-map", "0:a"]

    def _end(self) -> None:
        """Raise `OutputError` or `DiskFullError`, the file removed, unless ffmpeg ended well."""
        try:
            _check_exit(self._child, path=self.path)
        except OutputError:
            self.abort()
            raise

    def _complete(self) -> None:
        """Add to the file what ffmpeg cannot write. Raises ValueError, OSError."""
        if self._format.container == "mp3":
            set_mp3_length(self.path, frames=self.frames)
        elif self._tags and self._format.container == "mp4":
            add_mp4_tags(self.path, self._tags)
        elif self._tags and self._format.container == "wav" and self.frames:  # behind no data it would be sound
            append_wav_chunk(self.path, name=b"id3 ", body=_id3_tag(self._tags))

    def _complete_and_sync(self) -> None:
        try:
            self._complete()
            sync(self.path)
        except ValueError as error:
            raise OutputError(f"{self.path}: {error}") from error
        except OSError as error:
            raise as_output_error(error, place=self.path) from error

    def _release(self) -> None:
        self._closed = True
        self._child.kill()
        self._folder.cleanup()


def quantise(samples: Samples, *, bits: int) -> Quantised:
    """Round float32 of any shape, full scale at ±1, to integers: int16 for 16 bits, else int32 with the low bits zero.

    Half to even, and limited to the range, so that the same samples give the same bytes under any ffmpeg.
    """
    full = np.float32(2 ** (bits - 1))
    whole: npt.NDArray[np.float32] = samples * full
    np.clip(np.rint(whole, out=whole), -full, full - 1, out=whole)
    if bits == 16:
        return whole.astype(np.int16)
    return whole.astype(np.int32) << np.int32(32 - bits)


def _encoder_options(form: Format, *, sample_rate: SampleRate, bitrate: int | None) -> list[str]:
    """What ffmpeg is told of the encoder and of the container."""
    options = ["-c:a", form.codec, *form.options]
    if form.sample_fmt:
        options += ["-sample_fmt", form.sample_fmt, "-bits_per_raw_sample", str(form.bits)]
    if bitrate:
        options += ["-b:a", str(bitrate)]
    if form.container == "mp4":  # else edit lists count in milliseconds, and lengths are rounded to them
        options += ["-movie_timescale", str(sample_rate)]
    return options


def _check_exit(child: FfmpegChild, *, path: Path) -> None:
    """Wait for an ffmpeg that writes `path`. Raises `DiskFullError`, `OutputError` unless it ended well."""
    code = child.wait()
    lines = [text for level, text in child.log.lines if level in {"error", "fatal", "panic"}]
    if any("No space left on device" in line for line in lines):
        raise DiskFullError(f"{path}: the disk is full")
    if code:
        words = next((line for line in lines if "not on whitelist" not in line), f"ended with {code}")
        raise OutputError(f"{path}: ffmpeg: {words}")


def _id3_tag(tags: Tags) -> bytes:
    """An ID3v2.3 tag, as ffmpeg writes it at the head of an MP3. Raises `OutputError`, `DiskFullError`."""
    with tempfile.TemporaryDirectory(prefix="stemwright-") as name:
        path = Path(name) / "tag.mp3"
        with Encoder(path, format=parse_format("mp3"), sample_rate=44100, channels=1, tags=tags) as encoder:
            encoder.write(np.zeros((1, 1), np.float32))
        data = path.read_bytes()
    return data[: id3_size(data)]
