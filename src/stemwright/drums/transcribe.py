"""All stages in one: blocks of drum sound in, a chart out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright.drums.beats import find_beats
from stemwright.drums.chart import Chart, strokes_of
from stemwright.drums.features import Features
from stemwright.drums.frames import DrumNetwork, Frames
from stemwright.drums.onsets import Onset, Onsets
from stemwright.drums.toms import ranked

if TYPE_CHECKING:
    from stemwright.types import SampleRate, Samples


class Transcriber:
    """Hears the drums of a stream in blocks of any size, the same however it was cut.

    Memory holds a few seconds of sound and the onsets. Raises ValueError for rates outside 4 to 384 kHz, and
    `WeightsError` where the network cannot be loaded.
    """

    def __init__(self, sample_rate: SampleRate, *, channels: int, network: DrumNetwork | None = None) -> None:
        self._network = network or DrumNetwork()
        self._features = Features(sample_rate, channels=channels)
        self._frames = Frames(self._network)
        self._onsets = Onsets(self._network.thresholds)
        self._rate, self._samples = sample_rate, 0
        self._found: list[Onset] = []

    def add(self, block: Samples) -> list[Onset]:
        """Take the next block, `[C, T]` float32 with any T; give the onsets that are certain now.

        Raises ValueError for another number of channels and for samples that are not finite.
        """
        self._samples += block.shape[1]
        found = self._onsets.add(self._frames.add(self._features.add(block)))
        self._found += found
        return found

    def finish(self, *, bpm: float | None = None, octave_bpm: float | None = None) -> Chart:
        """The chart of all that was heard; with beats, where the strokes follow the tempo that was measured.

        Here the toms of the whole recording are ranked among themselves: one may be on another lane than `add` said.
        """
        self._found += self._onsets.add(self._frames.add(self._features.finish()))
        self._found += self._onsets.add(self._frames.finish())
        self._found += self._onsets.finish()
        duration = self._samples / self._rate
        onsets = ranked([onset for onset in self._found if onset.time <= duration])
        beats = find_beats(onsets, bpm=bpm)
        return Chart(
            duration=duration,
            strokes=strokes_of(onsets),
            beats=beats,
            octave_bpm=octave_bpm if beats else None,
            weights_digest=self._network.digest,
        )
