"""All stages in one: blocks of drum sound in, a chart out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stemwright.drums.beats import find_beats
from stemwright.drums.chart import Chart, hits_of
from stemwright.drums.confidence import confident
from stemwright.drums.features import Features
from stemwright.drums.frames import DrumNetwork, Frames
from stemwright.drums.onsets import Onset, Onsets
from stemwright.drums.toms import TOMS, ranked
from stemwright.drums.tones import Tones

if TYPE_CHECKING:
    from stemwright.drums.features import FrameFeatures
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
        self._tones = Tones()
        self._rate, self._samples = sample_rate, 0
        self._found: list[Onset] = []

    def add(self, block: Samples) -> list[Onset]:
        """Take the next block, `[C, T]` float32 with any T; give the onsets that are certain now.

        Raises ValueError for another number of channels and for samples that are not finite.
        """
        self._samples += block.shape[1]
        return self._take(self._features.add(block))

    def finish(self, *, bpm: float | None = None) -> Chart:
        """The chart of all that was heard; with beats, where the hits follow the tempo that was measured.

        Here all onsets of the recording are seen together: of those that `add` gave, doubtful ones are left out, and
        toms may be on other lanes.
        """
        self._take(self._features.finish())
        self._keep(self._onsets.add(self._frames.finish()))
        self._keep(self._onsets.finish())
        duration = self._samples / self._rate
        onsets = [onset for onset in self._found if onset.time <= duration]
        onsets = ranked(confident(onsets, lowest=self._network.thresholds))
        beats = find_beats(onsets, bpm=bpm)
        return Chart(
            duration=duration,
            hits=hits_of(onsets),
            beats=beats,
            weights_digest=self._network.digest,
        )

    def _take(self, features: FrameFeatures) -> list[Onset]:
        self._tones.add(features)
        found = self._keep(self._onsets.add(self._frames.add(features)))
        self._tones.forget()
        return found

    def _keep(self, found: list[Onset]) -> list[Onset]:
        """The onsets, toms with their tones."""
        found = [replace(onset, tones=self._tones.at(onset.time)) if onset.lane in TOMS else onset for onset in found]
        self._found += found
        return found
