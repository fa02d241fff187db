"""Spooled stems to finished files: one gain, encoded side by side, measured on the way."""

from __future__ import annotations

import os
import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stemwright.audio.digest import PcmDigest
from stemwright.audio.encode import Encoder, quantise
from stemwright.audio.loudness import LoudnessMeter
from stemwright.audio.peaks import Peaks
from stemwright.audio.picture import Track, waveform_svg
from stemwright.audio.stem_mp4 import EXTENSION, StemTrack, write_stem_mp4
from stemwright.engine.drum_names import PARTS
from stemwright.engine.receipt import Loudness, StemRecord
from stemwright.errors import CancelledError
from stemwright.types import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path, PurePosixPath

    from stemwright.audio.encode import Quantised
    from stemwright.audio.tags import Tags
    from stemwright.engine.drum_names import Part
    from stemwright.engine.options import SeparateOptions
    from stemwright.engine.output import Staging
    from stemwright.engine.scratch import ScratchAudio
    from stemwright.types import Digest, SampleRate, Samples, StemName

MIX = "mix"
RECEIPT = "receipt"
PICTURE = "waveforms"
STEM_EXTENSION = EXTENSION.removeprefix(".")


@dataclass(frozen=True, slots=True)
class Names:
    """Where the files of a song go, relative to the output folder."""

    song: str
    model: str
    of: Callable[[str, str], PurePosixPath]  # (stem, extension)
    stems: tuple[StemName, ...]
    options: SeparateOptions

    @property
    def receipt(self) -> PurePosixPath:
        """The receipt."""
        return self.of(RECEIPT, "json")

    @property
    def picture(self) -> PurePosixPath:
        """The picture of the waveforms."""
        return self.of(PICTURE, "svg")

    def stem(self, stem: StemName) -> PurePosixPath:
        """The file that holds a stem."""
        if self.options.stem_mp4:
            return self.of(self.song, STEM_EXTENSION)
        return self.of(stem, self.options.format.extension.removeprefix("."))

    def peaks(self, track: str, kind: str) -> PurePosixPath:
        """The waveform overview of a stem or of the mix."""
        return self.of(f"{track}.peaks", kind)

    def chart(self, part: Part) -> PurePosixPath:
        """A file of the drum chart."""
        return self.of(*PARTS[part])

    def all(self) -> list[PurePosixPath]:
        """Every file but the receipt that there may be."""
        names = [self.stem(stem) for stem in self.stems]
        names += [self.peaks(track, kind) for track in (MIX, *self.stems) for kind in self.options.peaks]
        names += [self.picture] if self.options.picture else []
        names += [self.chart(part) for part in PARTS] if self.options.drums else []
        return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a recording after one pass over it."""

    loudness: Loudness
    peaks: Peaks | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """Finished files in the staging folder, by the names that they will have."""

    files: dict[PurePosixPath, Path]
    stems: tuple[StemRecord, ...]
    gain_db: float
    notices: tuple[Notice, ...]


class Meter:
    """Loudness, and where wanted peaks, of a stream in one pass."""

    def __init__(self, sample_rate: SampleRate, channels: int, *, peaks: bool) -> None:
        self._loudness = LoudnessMeter(sample_rate, channels=channels)
        self._peaks = Peaks(sample_rate) if peaks else None  # they grow with the song

    def add(self, block: Samples) -> None:
        """Take the next samples. Input: `[C, T]` float32."""
        self._loudness.add(block)
        if self._peaks:
            self._peaks.add(block)

    def measured(self) -> Measured:
        """What was found."""
        loudness = Loudness(
            integrated_lufs=_rounded(self._loudness.integrated_lufs()),
            true_peak_dbtp=_rounded(self._loudness.true_peak_dbtp()),
        )
        return Measured(loudness, self._peaks)


class Renderer:
    """Encodes all stems of a song."""

    def __init__(
        self,
        names: Names,
        *,
        stage: Staging,
        tags: Tags,
        sample_rate: SampleRate,
        on_progress: Callable[[float], None],
    ) -> None:
        self._names, self._stage, self._tags, self._rate = names, stage, tags, sample_rate
        self._options = names.options
        self._on_progress = on_progress

    def render(
        self, audio: Mapping[StemName, ScratchAudio], *, mix: ScratchAudio | None, measured_mix: Measured
    ) -> Rendering:
        """Write everything but the receipt into the staging folder; `mix` is needed for a `.stem.mp4` only.

        Raises `OutputError`, `DiskFullError`, `OptionError`, and what `on_progress` raises.
        """
        gain, notices = self._gain([*audio.values(), *([mix] if mix else [])])
        measured = self._each(audio, gain, mix=mix)
        staged = self._staged(self._names.song) if mix else None
        files = {self._names.stem(stem): staged or self._staged(stem) for stem in audio}
        gain_db = round(20 * float(np.log10(gain)), 4) + 0.0
        records = tuple(
            StemRecord(
                name=stem,
                file=str(self._names.stem(stem)),
                size_bytes=files[self._names.stem(stem)].stat().st_size,
                sample_rate=self._rate,
                channels=scratch.channels,
                frames=scratch.frames,
                digest=measured[stem][1],
                gain_db=gain_db,
                loudness=measured[stem][0].loudness,
            )
            for stem, scratch in audio.items()
        )
        files |= self._overviews({MIX: measured_mix} | {stem: found for stem, (found, _) in measured.items()})
        return Rendering(files=files, stems=records, gain_db=gain_db, notices=notices)

    def _gain(self, audio: Sequence[ScratchAudio]) -> tuple[float, tuple[Notice, ...]]:
        """One gain for the whole song: 1 unless a stem would clip."""
        loudest = max(scratch.peak for scratch in audio)
        if loudest <= 1 or not self._options.format.clips:
            return 1.0, ()
        gain = 1 / loudest
        text = f"all stems were lowered by {-20 * np.log10(gain):.2f} dB so that none clips"
        return gain, (Notice("gain", text),)

    def _each(
        self, audio: Mapping[StemName, ScratchAudio], gain: float, *, mix: ScratchAudio | None
    ) -> dict[StemName, tuple[Measured, Digest]]:
        """Encode and measure the stems side by side, and write them into a `.stem.mp4` if there is a `mix`."""
        total = max(1, sum(scratch.frames for scratch in [*audio.values(), *([mix] if mix else [])]))
        done, lock, stop = 0, threading.Lock(), threading.Event()

        def step(frames: int) -> None:
            nonlocal done
            if stop.is_set():
                raise CancelledError("another stem failed")
            with lock:
                done += frames

        with ThreadPoolExecutor(min(len(audio) + (mix is not None), os.cpu_count() or 1)) as pool:
            stems = {stem: pool.submit(self._one, stem, scratch, gain, step) for stem, scratch in audio.items()}
            jobs: list[Future[Any]] = [*stems.values()]
            if mix:
                jobs.append(pool.submit(self._stem_file, mix, audio, gain, step))
            try:
                while (state := wait(jobs, timeout=0.1, return_when=FIRST_EXCEPTION)).not_done:
                    if any(job.exception() for job in state.done):
                        break
                    self._on_progress(done / total)
            finally:
                stop.set()  # those that are done do not mind
            wait(jobs)
        errors = [error for job in jobs if (error := job.exception())]
        if errors:
            raise next((error for error in errors if not isinstance(error, CancelledError)), errors[0])
        return {stem: job.result() for stem, job in stems.items()}

    def _one(
        self, stem: StemName, scratch: ScratchAudio, gain: float, step: Callable[[int], None]
    ) -> tuple[Measured, Digest]:
        """Encode one stem, unless it goes into a `.stem.mp4`; what it measures, and its digest."""
        meter = Meter(self._rate, scratch.channels, peaks=self._options.wants_peaks)
        digest, bits = PcmDigest(self._rate, scratch.channels), self._options.format.bits
        with nullcontext() if self._options.stem_mp4 else self._encoder(stem, scratch.channels) as encoder:
            for block in scratch.blocks():
                step(block.shape[1])
                scaled = block * np.float32(gain) if gain != 1 else block
                meter.add(scaled)
                whole = None if bits is None else quantise(scaled, bits=bits)
                digest.update(scaled if whole is None else _as_decoded(whole))
                if encoder:
                    encoder.write(scaled if whole is None else whole)
        return meter.measured(), digest.hexdigest()

    def _stem_file(
        self, mix: ScratchAudio, audio: Mapping[StemName, ScratchAudio], gain: float, step: Callable[[int], None]
    ) -> None:
        write_stem_mp4(
            self._staged(self._names.song),
            mix=mix.path,
            stems=[StemTrack(name=stem, path=scratch.path) for stem, scratch in audio.items()],
            sample_rate=self._rate,
            channels=mix.channels,
            format=self._options.format,
            bitrate=self._options.bitrate,
            gain=gain,
            tags=self._tags,
            on_block=step,
        )

    def _encoder(self, stem: StemName, channels: int) -> Encoder:
        return Encoder(
            self._staged(stem),
            format=self._options.format,
            sample_rate=self._rate,
            channels=channels,
            bitrate=self._options.bitrate,
            tags=self._tags.for_stem(stem, fallback=self._names.song),
        )

    def _overviews(self, tracks: Mapping[str, Measured]) -> dict[PurePosixPath, Path]:
        """The peaks of mix and stems, as files and as a picture, where asked for."""
        files: dict[PurePosixPath, Path] = {}
        data = {track: found.peaks.data(bits=16) for track, found in tracks.items() if found.peaks}
        for kind in self._options.peaks:
            for track, peaks in data.items():
                path = self._stage.new_file(f"{track}.peaks.{kind}")
                (peaks.write_json if kind == "json" else peaks.write_dat)(path)
                files[self._names.peaks(track, kind)] = path
        if self._options.picture:
            lanes = [
                Track(label=name, peaks=peaks, lufs=tracks[name].loudness.integrated_lufs)
                for name, peaks in data.items()
            ]
            path = self._stage.new_file("waveforms.svg")
            title = self._tags.text.get("title") or self._names.song
            picture = waveform_svg(lanes, title=title, subtitle=f"taken apart by {self._names.model}")
            path.write_text(picture, encoding="utf-8")
            files[self._names.picture] = path
        return files

    def _staged(self, name: str) -> Path:
        return self._stage.new_file(f"{name}{EXTENSION if self._options.stem_mp4 else self._options.format.extension}")


def _as_decoded(whole: Quantised) -> Samples:
    """The samples as a lossless file gives them back, so that the digest can be checked against the file."""
    samples = whole.astype(np.float32)
    samples /= np.float32(-float(np.iinfo(whole.dtype).min))
    return samples


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
