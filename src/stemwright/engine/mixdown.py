"""Stored stems in other forms: one transcoded, several mixed down, four as a Stems file, their recording beside."""

from __future__ import annotations

import math
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.audio.decode import open_audio
from stemwright.audio.encode import Encoder
from stemwright.audio.resample import Resampler
from stemwright.audio.sniff import sniff
from stemwright.audio.stem_mp4 import StemTrack, write_stem_mp4
from stemwright.audio.tags import read_tags
from stemwright.engine.channel_strip import ChannelStrip, Equaliser
from stemwright.engine.output import staging
from stemwright.engine.prefetch import prefetch
from stemwright.engine.scan import song_blocks
from stemwright.engine.scratch import ScratchAudio
from stemwright.engine.stored import LONGEST, STORED, Promise, Stems, opened
from stemwright.errors import OptionError, OutputExistsError, UnknownStemError, as_output_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from stemwright.audio.formats import Format
    from stemwright.audio.tags import Tags
    from stemwright.engine.channel_strip import Doubles
    from stemwright.engine.output import Staging
    from stemwright.types import Digest, SampleRate, Samples, Seconds, StemName

_SILENT: Final = ChannelStrip(gain_db=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixdown:
    """What was written."""

    gain_db: float  # of the whole, on top of the stems' own gains; 0 unless it would have clipped
    frames: int
    sample_rate: SampleRate
    duration: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How a file is to be written."""

    format: Format
    bitrate: int | None
    tags: Tags | None

    def encoder(self, path: Path, *, sample_rate: SampleRate, channels: int) -> Encoder:
        return Encoder(
            path,
            format=self.format,
            sample_rate=sample_rate,
            channels=channels,
            bitrate=self.bitrate,
            tags=self.tags,
        )


def transcode(
    source: Path,
    target: Path,
    *,
    format: Format,  # noqa: A002
    bitrate: int | None = None,
    tags: Tags | None = None,
    promise: Promise | None = None,
) -> None:
    """Write one stored stem as another format: as many samples, in their place, at the same level.

    A format that cannot carry the rate gets its `nearest_rate`; `resampled_length` tells how many samples that makes.
    `bitrate` is in bits/s; without `tags` the stem's own are written. `target` appears when it is whole, and replaces
    what stands there. With a `promise` the stem has exactly that shape.
    Raises `OptionError` for what the format cannot carry, `CorruptInputError` (the stem is damaged, or not as promised)
    and the other `InputError`s of decoding, `OutputExistsError` (`target` is the stem itself), `OutputError`,
    `DiskFullError`.
    """
    limits = promise.limits() if promise else STORED
    with _making(target, [source]) as (stage, path), opened({source.stem: source}, limits=limits) as stems:
        form = _Form(format=format, bitrate=bitrate, tags=tags or _tags_of(source))
        rate = format.nearest_rate(stems.sample_rate)
        single = stems.single(promise)
        with (
            form.encoder(path, sample_rate=rate, channels=stems.channels) as encoder,
            closing(prefetch(_resampled(single, stems.sample_rate, rate, channels=stems.channels))) as blocks,
        ):
            for block in blocks:
                encoder.write(block)
        _publish(stage, path, target)


def recording(
    source: Path,
    target: Path,
    *,
    digest: Digest,
    track: int | None = None,
    sample_rate: SampleRate,
    gain_db: float,
    format: Format,  # noqa: A002
) -> None:
    """Write the recording that stems were made of as they are: at their rate and level, mono or stereo, as long.

    `digest` is that of its samples, `gain_db` and `track` are the receipt's. `target` appears when it is whole, and
    replaces what stands there. Raises `InputChangedError` (it is another recording), and as `transcode`.
    """
    gain = np.float32(10 ** (gain_db / 20))
    with _making(target, [source]) as (stage, path), open_audio(source, limits=STORED, track=track) as stream:
        form = _Form(format=format, bitrate=None, tags=_tags_of(source))
        rate, channels = stream.info.sample_rate, min(stream.info.channels, 2)
        heard = _resampled(song_blocks(stream, expected=digest), rate, sample_rate, channels=channels)
        with (
            form.encoder(path, sample_rate=sample_rate, channels=channels) as encoder,
            closing(prefetch(heard)) as blocks,
        ):
            for block in blocks:
                encoder.write(block if gain == 1 else block * gain)
        _publish(stage, path, target)


def mixdown(
    stems: Mapping[StemName, Path],
    target: Path,
    *,
    strips: Mapping[StemName, ChannelStrip],
    start: Seconds | None,
    end: Seconds | None,
    format: Format,  # noqa: A002
    bitrate: int | None = None,
    tags: Tags | None = None,
) -> Mixdown:
    """Write the sum of stored stems, each with its settings, from `start` to `end`, both rounded to whole samples.

    A stem without settings is taken as it is. The sum is exact before it is rounded to float32, once; it is stereo
    where a stem is, or is panned. Where its sample peak exceeds full scale, and the format clips, a second pass lowers
    the whole so that the peak is at 0 dBFS; float WAV keeps it as it is. `bitrate` is in bits/s; without `tags` the
    song's are written, as the stems have them. `target` appears when it is whole, and replaces what stands there.
    Raises `UnknownStemError` (settings for a stem that is not there), `OptionError` (no stems, settings out of bounds,
    a region outside the song or of no samples, what the format cannot carry), and as `transcode`.
    """
    settings = _checked_strips(stems, strips)
    heard = {stem: settings[stem] for stem in sorted(stems) if settings[stem].heard} or {min(stems): _SILENT}
    with _making(target, stems.values()) as (stage, path):
        form = _Form(format=format, bitrate=bitrate, tags=tags or _song_tags(stems))
        job = _Mix({stem: stems[stem] for stem in heard}, tuple(heard.values()), start=start, end=end, form=form)
        gain = 1.0
        result = job.write(path)
        if result.peak > 1 and format.clips:
            gain = 1 / result.peak
            result = job.write(path, gain=gain)
        _publish(stage, path, target)
    return _described(gain, frames=result.frames, sample_rate=result.sample_rate)


def stem_mp4(
    stems: Mapping[StemName, Path],
    target: Path,
    *,
    format: Format,  # noqa: A002
    bitrate: int | None = None,
    tags: Tags | None = None,
) -> Mixdown:
    """Write four stored stems, in the order given, and their sum into one `.stem.mp4`.

    `format` is `m4a` or `alac16`, which is what players of such files read; `bitrate` is in bits/s, for each track;
    without `tags` the song's are written, as the stems have them.
    One gain for the five tracks keeps the loudest at 0 dBFS where one would clip. `target` appears when it is whole,
    and replaces what stands there.
    Raises `OptionError` for another number of stems or another format, and as `transcode`.
    """
    if len(stems) != 4:
        raise OptionError(f"a .stem.mp4 holds four stems, not {len(stems)}")
    if format.container != "mp4" or format.bits not in {None, 16}:
        raise OptionError(f"a .stem.mp4 holds AAC or 16-bit ALAC, not {format.name}")
    with _making(target, stems.values()) as (stage, path):
        with opened(stems) as found:
            rate, channels = format.nearest_rate(found.sample_rate), found.channels
            audio = {name: ScratchAudio(stage.new_file(f"{number}.f32"), channels) for number, name in enumerate(stems)}
            mix = ScratchAudio(stage.new_file("mix.f32"), channels)
            _to_scratch(found, [*audio.values(), mix], sample_rate=rate)
        gain = 1 / max(1.0, mix.peak, *(scratch.peak for scratch in audio.values()))
        write_stem_mp4(
            path,
            mix=mix.path,
            stems=[StemTrack(name=name, path=scratch.path) for name, scratch in audio.items()],
            sample_rate=rate,
            channels=channels,
            gain=gain,
            format=format,
            bitrate=bitrate,
            tags=tags or _song_tags(stems),
        )
        _publish(stage, path, target)
    return _described(gain, frames=mix.frames, sample_rate=rate)


def _tags_of(path: Path) -> Tags:
    return read_tags(path, demuxer=sniff(path))[0]


def _song_tags(stems: Mapping[StemName, Path]) -> Tags:
    """What the tags of a song were before its stems got their own."""
    stem = min(stems)
    tags = _tags_of(stems[stem])
    title = tags.text.get("title", "").removesuffix(f" ({stem})")
    return replace(tags, text={**tags.text, "title": title}) if title else tags


def summed(blocks: Sequence[Samples | Doubles], factors: Sequence[float | Doubles] | None = None) -> Samples:
    """The sum of blocks, each times its factor (1 without), added up in double precision and rounded once.

    Input: `[C, T]` float32 or float64 each; factors that are arrays, `[1, 1]` or `[2, 1]`. Output: `[C, T]` float32, C
    the most of any. Without factors it does not depend on the blocks' order.
    """
    factors = factors or [1.0] * len(blocks)
    channels = max(*(block.shape[0] for block in blocks), *(np.size(factor) for factor in factors))
    total = np.zeros((channels, blocks[0].shape[1]))
    for block, factor in zip(blocks, factors, strict=True):
        total += block if np.size(factor) == 1 and factor == 1 else np.multiply(block, factor, dtype=np.float64)
    rounded: Samples = total.astype(np.float32)
    return rounded


@dataclass(frozen=True, slots=True)
class _Written:
    """What one pass found: the sample peak before any gain, and the length and rate of the file."""

    peak: float
    frames: int
    sample_rate: SampleRate


class _Mix:
    """A mixdown that can be written more than once."""

    def __init__(
        self,
        stems: Mapping[StemName, Path],
        strips: Sequence[ChannelStrip],
        *,
        start: Seconds | None,
        end: Seconds | None,
        form: _Form,
    ) -> None:
        self._stems, self._strips = stems, strips
        self._start, self._end = _checked("start", start), _checked("end", end)
        self._form = form

    def write(self, path: Path, *, gain: float = 1.0) -> _Written:
        """Write it all at this gain; without one, once it would clip, only the peak is looked for, to the end."""
        form, peak, frames = self._form.format, 0.0, 0
        with opened(self._stems) as stems:
            first, last = self._region(stems.sample_rate)
            rate = form.nearest_rate(stems.sample_rate)
            channels = max(stems.channels, *(len(strip.factors()) for strip in self._strips))
            mixed = self._mixed(stems, first=first, last=last)
            with (
                self._form.encoder(path, sample_rate=rate, channels=channels) as encoder,
                closing(prefetch(_resampled(mixed, stems.sample_rate, rate, channels=channels))) as blocks,
            ):
                for block in blocks:
                    frames += block.shape[1]
                    peak = max(peak, float(block.max()), -float(block.min()))
                    if gain < 1:
                        encoder.write(block * np.float32(gain))
                    elif peak > 1 and form.clips:
                        encoder.abort()
                    else:
                        encoder.write(block)
        return _Written(peak, frames, rate)

    def _mixed(self, stems: Stems, *, first: int, last: int | None) -> Iterator[Samples]:
        factors = [strip.factors() for strip in self._strips]
        filters = [Equaliser(strip, stems.sample_rate, channels=stems.channels) for strip in self._strips]
        for blocks in stems.blocks(first=first, last=last):
            yield summed([one.run(block) for one, block in zip(filters, blocks, strict=True)], factors)

    def _region(self, rate: SampleRate) -> tuple[int, int | None]:
        """First sample and the one after the last; None for the song's own end."""
        first = round((self._start or 0.0) * rate)
        last = None if self._end is None else round(self._end * rate)
        if last is not None and last <= first:
            raise OptionError(f"the end ({self._end} s) does not lie behind the start ({self._start or 0.0} s)")
        return first, last


@contextmanager
def _making(target: Path, sources: Iterable[Path]) -> Iterator[tuple[Staging, Path]]:
    """A folder next to `target`, gone afterwards whatever happens, and in it the file to write."""
    try:
        if target.exists() and any(source.exists() and target.samefile(source) for source in sources):
            raise OutputExistsError(f"{target} is the stem itself")
        with staging(target.parent) as stage:
            yield stage, stage.new_file(f"result{target.suffix}")
    except OSError as error:
        raise as_output_error(error) from error


def _publish(stage: Staging, path: Path, target: Path) -> None:
    name = PurePosixPath(target.name)
    stage.publish({name: path}, receipt=name, check=lambda: None)


def _to_scratch(stems: Stems, audio: Sequence[ScratchAudio], *, sample_rate: SampleRate) -> None:
    """Write the stems and, as the last, their sum, all at `sample_rate`."""
    joined = (np.concatenate([*blocks, summed(blocks)]) for blocks in stems.blocks())
    channels = len(audio) * stems.channels
    with ExitStack() as stack:
        for scratch in audio:
            stack.enter_context(closing(scratch))
        for flat in _resampled(joined, stems.sample_rate, sample_rate, channels=channels):
            for scratch, block in zip(audio, flat.reshape(len(audio), stems.channels, -1), strict=True):
                scratch.write(block)


def _resampled(
    blocks: Iterable[Samples], in_rate: SampleRate, out_rate: SampleRate, *, channels: int
) -> Iterator[Samples]:
    """Yield blocks at another rate, none of them empty."""
    resampler = Resampler(in_rate, out_rate, channels=channels)
    for block in blocks:
        if (ready := resampler.push(block)).shape[1]:
            yield ready
    if (rest := resampler.finish()).shape[1]:
        yield rest


def _checked_strips(
    stems: Mapping[StemName, Path], strips: Mapping[StemName, ChannelStrip]
) -> dict[StemName, ChannelStrip]:
    """The settings of every stem."""
    if not stems:
        raise OptionError("there are no stems to mix")
    if unknown := sorted(set(strips) - set(stems)):
        raise UnknownStemError(f"there is no stem called {unknown[0]!r}; there are {', '.join(stems)}")
    for stem, strip in strips.items():
        strip.check(stem)
    return {stem: strips.get(stem, ChannelStrip()) for stem in stems}


def _checked(what: str, seconds: Seconds | None) -> Seconds | None:
    if seconds is not None and not 0 <= seconds <= LONGEST:  # NaN neither
        raise OptionError(f"the {what} ({seconds} s) does not lie in the song")
    return seconds


def _described(gain: float, *, frames: int, sample_rate: SampleRate) -> Mixdown:
    gain_db = round(20 * math.log10(gain), 4) + 0.0
    return Mixdown(gain_db=gain_db, frames=frames, sample_rate=sample_rate, duration=frames / sample_rate)
