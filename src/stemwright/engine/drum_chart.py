"""The drum chart of a stem: heard block by block, then written as JSON, MIDI and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stemwright.audio.peaks import Peaks
from stemwright.drums.midi import midi_bytes
from stemwright.drums.picture import chart_svg
from stemwright.drums.transcribe import Transcriber
from stemwright.engine.drum_names import PARTS, STEM, Part
from stemwright.engine.receipt import DrumsRecord
from stemwright.types import Notice, SampleRate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path, PurePosixPath

    from stemwright.audio.peaks import PeakData
    from stemwright.drums.chart import Chart
    from stemwright.drums.frames import DrumNetwork
    from stemwright.engine.output import Staging
    from stemwright.engine.render import Names
    from stemwright.engine.scratch import ScratchAudio
    from stemwright.types import Samples, StemName

VERSION: Final = 3  # raised when the same sound and network would give another chart or other files
_NARROW: Final[SampleRate] = 22_050  # Hz, below which hi-hats and cymbals are hardly there


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The chart of a recording of drums, and its waveform."""

    chart: Chart
    peaks: PeakData
    sample_rate: SampleRate

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What is to be said of the chart."""
        if self.sample_rate >= _NARROW:
            return ()
        text = f"nothing above {self.sample_rate // 2} Hz is in the recording: hi-hats and cymbals may be missing"
        return (Notice("narrow_band", text),)

    def contents(self, *, title: str) -> dict[Part, bytes]:
        """The files of the chart; `midi_quantised` is there only where there are beats to move hits to."""
        files: dict[Part, bytes] = {"chart": self.chart.dumps().encode(), "midi": midi_bytes(self.chart)}
        if self.chart.beats:
            files["midi_quantised"] = midi_bytes(self.chart, quantise=True)
        files["picture"] = chart_svg(self.chart, self.peaks, title=title).encode()
        return files

    def record(self, files: Mapping[Part, str]) -> DrumsRecord:
        """What a receipt says of it; `files` are their names there."""
        chart, beats = self.chart, self.chart.beats
        return DrumsRecord(
            weights_digest=chart.weights_digest,
            onsets=len(chart.hits),
            bpm=round(beats.bpm, 2) if beats else None,
            octave_bpm=round(beats.octave_bpm, 2) if beats and beats.octave_bpm else None,
            files={str(part): name for part, name in files.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Charted:
    """A chart's files in a staging folder, by the names that they will have, and what a receipt says of it."""

    files: dict[PurePosixPath, Path]
    record: DrumsRecord
    notices: tuple[Notice, ...]


def listen(
    blocks: Iterable[Samples],
    *,
    sample_rate: SampleRate,
    channels: int,
    network: DrumNetwork | None = None,
    on_block: Callable[[int], None] | None = None,
) -> Heard:
    """Hear the drums of a stream of blocks `[C, T]` float32; `on_block` is told the samples of each.

    Raises ValueError for samples that are not finite, `WeightsError`, and what `on_block` raises.
    """
    transcriber = Transcriber(sample_rate, channels=channels, network=network)
    peaks = Peaks(sample_rate)
    for block in blocks:
        transcriber.add(block)
        peaks.add(block)
        if on_block:
            on_block(block.shape[1])
    return Heard(chart=transcriber.finish(), peaks=peaks.data(), sample_rate=sample_rate)


def write(heard: Heard, *, title: str, path_of: Callable[[Part], Path]) -> dict[Part, Path]:
    """Write the files of a chart. Raises OSError."""
    paths: dict[Part, Path] = {}
    for part, content in heard.contents(title=title).items():
        paths[part] = path_of(part)
        paths[part].write_bytes(content)
    return paths


def make(
    audio: Mapping[StemName, ScratchAudio],
    *,
    sample_rate: SampleRate,
    network: DrumNetwork | None,
    stage: Staging,
    names: Names,
    title: str,
    on_progress: Callable[[float], None],
) -> Charted | None:
    """Hear the drum stem, as it is before it is encoded, and write its chart into the staging folder.

    None without a network: nobody asked for a chart. Raises what `on_progress` raises, which is told the share of the
    stem that was heard, and OSError.
    """
    if network is None:
        return None
    scratch, done = audio[STEM], 0

    def step(frames: int) -> None:
        nonlocal done
        done += frames
        on_progress(done / scratch.frames)

    heard = listen(scratch.blocks(), sample_rate=sample_rate, channels=scratch.channels, network=network, on_block=step)
    made = write(heard, title=title, path_of=lambda part: stage.new_file(".".join(PARTS[part])))
    return Charted(
        files={names.chart(part): path for part, path in made.items()},
        record=heard.record({part: str(names.chart(part)) for part in made}),
        notices=heard.notices,
    )
